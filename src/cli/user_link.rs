//! `muster user link`: links with which people set their passwords, over HTTP; with `--recover`, a link of the local operator, made
//! directly in the database.
//!
//! # Decisions
//!
//! - **The file of `--links-out` is created before the request**: a path that can't be written must not replace the links that
//!   people already have. With the option, the links are only in the file, and not on a screen or in its history.
//! - **With `--send`, no table of links is printed**: the links are on their way, and a copy on a screen is one more that can leak.
//! - **A table on a narrow terminal keeps its links**, as that of invitations does.
//! - **A recovery needs no server**: it is for the day on which nobody can sign in. So the command can't ask a server for the
//!   address of the link, and takes it from the settings, or from the data directory if a server runs there.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use muster_client::{Client, ExposeSecret, LinksFor, PasswordLink, PasswordLinks, RowFinding};
use serde_json::Value;

use super::Exit;
use super::args::OperatorArgs;
use super::file_args::FileArgs;
use super::local::{user_of, with_operator};
use super::output::{self, Format, TableRow};
use super::private_file::NewFile;
use super::remote::RemoteArgs;
use super::user_list::UserList;
use crate::config;
use crate::http::link_warning;
use crate::links;
use crate::users_file::Contents;

pub(super) const EXAMPLES: &str = "\
Examples:
  muster user link ada@example.com
  muster user link --batch bat_01k9h6m3x0e8wbz1v5n7q2r4t6 --expires-in 7d --links-out links.csv
  muster user link -f people.csv --send
  Let somebody back in, on the server's machine, without an API key:
    muster user link ada@example.com --recover";

/// What the users of a list are to be, in messages.
const DONE: &str = "given a link";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// E-mail addresses, user IDs or full display names.
    #[arg(
        value_name = "USER",
        required_unless_present_any = ["batch", "users_file"],
        conflicts_with_all = ["batch", "users_file", "format"]
    )]
    users: Vec<String>,
    /// Make links for the users of this batch, except those who can't use one and those who have chosen a password or brought
    /// theirs.
    #[arg(long, value_name = "ID", conflicts_with_all = ["users_file", "format"])]
    batch: Option<String>,
    /// Users file with a list under `users`, as for `muster user suspend`: YAML, JSON, JSON lines, CSV or an Excel workbook
    /// (.xlsx). Each row has `user` (an e-mail address or user ID). `-` reads standard input. The output of `muster user list` or
    /// `muster user export` is such a file, too.
    #[arg(short = 'f', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    users_file: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// How long the links work, in whole hours: 72h, 7d; at most 30d [default: the server's setting links.hours].
    #[arg(long, value_name = "DURATION", value_parser = parse_hours)]
    expires_in: Option<u32>,
    /// Write the links to this CSV file, which only you can read, instead of standard output.
    #[arg(long, value_name = "FILE.csv", value_hint = ValueHint::FilePath)]
    links_out: Option<PathBuf>,
    /// Replace the file of `--links-out` if it exists.
    #[arg(long, requires = "links_out")]
    force: bool,
    /// Send each link to its user by mail; the server must have mail (`mail.url`). A table of the links is not printed.
    #[arg(long)]
    send: bool,
    /// Make a link directly in the database, as the local operator, without an API key. It works for 15 minutes, also for
    /// a user with SSO, and skips the second factor.
    #[arg(long, conflicts_with_all = ["batch", "users_file", "format", "expires_in", "links_out", "send"])]
    recover: bool,
    /// Address that the server listens on, with which the link of `--recover` begins unless `server.public_url` is set
    /// [default: that of the server that runs with the data directory, else the setting server.listen].
    #[arg(long, value_name = "HOST:PORT", env = "MUSTER_LISTEN")]
    listen: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Parses a duration of 1 hour to 30 days.
fn parse_hours(text: &str) -> Result<u32, String> {
    let span = output::parse_duration(text)?;
    let hours = u32::try_from(span.num_hours()).ok().filter(|hours| (1..=links::MOST_HOURS).contains(hours));
    hours
        .filter(|hours| span == chrono::Duration::hours(i64::from(*hours)))
        .ok_or_else(|| "expected whole hours, from 1h to 30d".to_owned())
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    if args.recover {
        return recover(args).await;
    }
    let client = args.remote.client()?;
    let list = match (&args.users_file, &args.batch) {
        (Some(path), _) => {
            let (file, report) = args.file.read(path, Contents::MEMBERS, args.remote.output, DONE)?;
            Some(UserList::File(file, report))
        }
        (None, batch) => {
            args.file.check_unused()?;
            match batch {
                Some(_) => None,
                None => Some(UserList::of(&args.users).with_ids(&client).await?),
            }
        }
    };
    let users = match &list {
        Some(list) => users(list)?,
        None => Vec::new(),
    };
    let target = args.batch.as_deref().map_or(LinksFor::Users(&users), LinksFor::Batch);
    let out = match &args.links_out {
        Some(path) if args.force => Some(NewFile::replacing(path)?),
        Some(path) => Some(NewFile::create(path, "choose another name, or add `--force`")?),
        None => None,
    };
    let request = async {
        match args.send {
            true => client.send_password_links(target, args.expires_in).await,
            false => client.create_password_links(target, args.expires_in).await,
        }
    };
    let made = tokio::select! {
        made = request => made,
        _ = tokio::signal::ctrl_c() => return Err(Exit::rejected(format!("interrupted; {LOST}"))),
    };
    let made = made.map_err(|error| match &list {
        _ if error.outcome_unknown() => Exit::usage(format!("{error}; {LOST}")),
        Some(list) => list.rejected(error, DONE),
        None => error.into(),
    })?;
    if let Some(warning) = &made.metadata.warning {
        output::say(&format!("warning: {}", output::clean(warning)));
    }
    match (out, &args.links_out) {
        (Some(out), Some(path)) => write(out, path, &made)?,
        _ if args.send && args.remote.output.is_table() => (),
        _ => print(args.remote.output, &made.results)?,
    }
    output::say(&summary(&made));
    if args.send {
        output::say(SENT);
    }
    Ok(())
}

const SENT: &str = "the server sends them by mail; `muster mail list` shows what has been sent";

/// What to do about links whose response did not arrive.
const LOST: &str = "the outcome is unknown: repeat the command, which replaces links that were not shown";

/// The users that a list names.
fn users(list: &UserList) -> Result<Vec<String>, Exit> {
    let rows = list.rows();
    if let UserList::File(file, report) = list {
        let findings: Vec<RowFinding> = rows.iter().enumerate().flat_map(|(index, row)| unknown(index, row)).collect();
        if !findings.is_empty() {
            return Err(report.rejected(file, &findings, 0, DONE));
        }
    }
    // The server reports a row that names nobody.
    let user = |row: &&Value| row.as_str().or_else(|| row.get("user")?.as_str()).unwrap_or_default().to_owned();
    Ok(rows.iter().map(user).collect())
}

/// Findings about the fields of a row other than `user`, which the request has no place for.
fn unknown(index: usize, row: &Value) -> Vec<RowFinding> {
    let fields = row.as_object().into_iter().flat_map(|row| row.keys());
    let finding = |field: &String| RowFinding {
        index,
        field: Some(field.clone()),
        code: "unknown_field".to_owned(),
        message: "is unknown; the known field is user".to_owned(),
        other_index: None,
    };
    fields.filter(|field| *field != "user").map(finding).collect()
}

/// Where the links of a batch that is created go.
pub(super) struct BatchLinks<'a> {
    pub(super) file: Option<(NewFile, &'a Path)>,
    pub(super) send: bool,
}

impl BatchLinks<'_> {
    /// The command that makes these links.
    fn command(&self, batch_id: &str) -> String {
        let batch_id = output::clean(batch_id);
        let file = self.file.as_ref().map(|(_, path)| output::shell_quote(&path.to_string_lossy()));
        let out = file.map(|path| format!(" --links-out {path}")).unwrap_or_default();
        let send = if self.send { " --send" } else { "" };
        format!("muster user link --batch {batch_id}{out}{send}")
    }
}

/// Checks that the server can send links, before anything is written that needs it. The server checks that before the list, so a list
/// of nobody is an error in any case.
pub(super) async fn check_mail(client: &Client) -> Result<(), Exit> {
    match client.send_password_links(LinksFor::Users(&[]), None).await {
        Err(error) if error.api_error().is_some_and(|error| error.code == "empty_batch") => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Exit::usage("the server made links for nobody")),
    }
}

/// Makes the links of a batch that was just created, and none for one of an earlier run: they would replace those that people may have.
pub(super) async fn of_batch(
    client: &Client,
    batch_id: &str,
    links: BatchLinks<'_>,
    is_of_earlier_run: bool,
) -> Result<(), Exit> {
    let command = links.command(batch_id);
    if is_of_earlier_run {
        let (what, again) = match links.send {
            true => ("sent to", "to send them new ones"),
            false => ("made for", "to make new ones, which replace the earlier ones"),
        };
        return Err(Exit::rejected(format!("no link was {what} users of an earlier run; {again}: {command}")));
    }
    let made = match links.send {
        true => client.send_password_links(LinksFor::Batch(batch_id), None).await,
        false => client.create_password_links(LinksFor::Batch(batch_id), None).await,
    };
    let written = made.map_err(Exit::from).and_then(|made| {
        if let Some(warning) = &made.metadata.warning {
            output::say(&format!("warning: {}", output::clean(warning)));
        }
        if let Some((out, path)) = links.file {
            write(out, path, &made)?;
        }
        output::say(&summary(&made));
        if links.send {
            output::say(SENT);
        }
        Ok(())
    });
    written.map_err(|exit| exit.with(&format!("the users exist, and have no links; to make them: {command}")))
}

/// Writes the links to a file.
fn write(mut out: NewFile, path: &Path, made: &PasswordLinks) -> Result<(), Exit> {
    let text = output::csv_list(&made.results)?;
    let lost = "the links were made and are lost; repeat the command, which replaces them";
    out.write(text.as_bytes()).map_err(|exit| exit.with(lost))?;
    out.keep();
    let path = path.display().to_string();
    output::say(&format!("the links are in `{}`; give each to its user, and delete the file", output::clean(&path)));
    Ok(())
}

/// Prints the links to standard output.
fn print(format: Format, made: &[PasswordLink]) -> Result<(), Exit> {
    if !format.is_table() {
        return output::print_list(format, made);
    }
    output::say("links to set a password, shown only once; give each to its user");
    let row = |link: &PasswordLink| {
        vec![link.email.clone(), link.link.expose_secret().to_owned(), output::time(link.expires_at)]
    };
    output::print_table(&["EMAIL", "LINK", "EXPIRES"], made.iter().map(row))
}

fn summary(made: &PasswordLinks) -> String {
    let others = [
        (made.metadata.skipped, "got none: they sign in with SSO, are suspended or have expired"),
        (made.metadata.with_password, "got none: they have a password"),
    ];
    let others = others.into_iter().filter(|(count, _)| *count > 0);
    let others: String = others.map(|(count, why)| format!("; {} of the batch {why}", output::users(count))).collect();
    format!(
        "{} made; earlier links of the same users no longer work{others}",
        output::count(made.results.len(), "link")
    )
}

impl TableRow for PasswordLink {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "LINK", "EXPIRES AT"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.email.clone(),
            self.name.clone(),
            self.user_id.clone(),
            self.link.expose_secret().to_owned(),
            output::time(self.expires_at),
        ]
    }
}

async fn recover(args: &Args) -> Result<(), Exit> {
    let [user] = args.users.as_slice() else {
        return Err(Exit::usage("`--recover` takes one user"));
    };
    let operator = args.operator.load_listening(args.listen.as_ref())?;
    let (link, warning) = with_operator(operator, async |app, caller| {
        let server = &app.config.server;
        let base = base_url(server, args.listen.is_some())?;
        let user_id = user_of(app, caller, user).await?;
        let link = links::recover(app, caller, user_id).await?.into_password_link(&base);
        Ok((link, link_warning(&base, server)))
    })
    .await?;
    let (email, until) = (output::clean(&link.email), output::time(link.expires_at));
    output::say(&format!("recovery link for {email}, shown only once; it works once, until {until} (15 minutes)"));
    output::say(
        "a user with a password sets a new one, a user of single sign-on needs none; the session ends after an hour, and all \
         other sessions of the user end",
    );
    if let Some(warning) = warning {
        output::say(&format!("warning: {warning}"));
    }
    match args.remote.output {
        Format::Table | Format::Wide => output::print(link.link.expose_secret()),
        format => output::print_one(format, &link),
    }
}

/// The URL with which a link begins that no server makes. `names_address`: the command line names the address that the server
/// listens on.
fn base_url(server: &config::Server, names_address: bool) -> Result<String, Exit> {
    if !server.public_url.is_empty() {
        return Ok(server.public_url.trim_end_matches('/').to_owned());
    }
    if !names_address && !server.listening_url.is_empty() {
        // A server that listens on all addresses can be opened on this machine.
        return Ok(server.listening_url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"));
    }
    let listen = &server.listen;
    let address = config::resolve(listen).map_err(Exit::usage)?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(Exit::usage(format!(
            "no address for the link: nobody can open `{listen}` (`server.listen`); set `server.public_url`, for example with \
             MUSTER_SERVER__PUBLIC_URL=https://muster.example.org"
        )));
    }
    let scheme = if server.certificate_files().is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{listen}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn links_work_for_whole_hours_up_to_a_month() {
        assert_eq!(["1h", "72h", "7d", "30d"].map(parse_hours), [Ok(1), Ok(72), Ok(168), Ok(720)]);
        for invalid in ["0h", "90m", "31d", "x"] {
            assert!(parse_hours(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_recovery_link_begins_with_the_public_url_or_with_an_address_that_can_be_opened() {
        let base = |public_url: &str, listen: &str| {
            let mut server = Config::built_in().unwrap().server;
            (server.public_url, server.listen) = (public_url.to_owned(), listen.to_owned());
            base_url(&server, true).ok()
        };
        assert_eq!(base("https://m.example.org/", "0.0.0.0:8080").as_deref(), Some("https://m.example.org"));
        assert_eq!(base("", "localhost:8080").as_deref(), Some("http://localhost:8080"));
        assert_eq!(base("", "0.0.0.0:8080"), None);
        assert_eq!(base("", "127.0.0.1:0"), None);

        let running = |url: &str| {
            let mut server = Config::built_in().unwrap().server;
            server.listening_url = url.to_owned();
            (base_url(&server, false).unwrap(), base_url(&server, true).unwrap())
        };
        let named = "http://127.0.0.1:8080".to_owned();
        for (url, expected) in [
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
            ("http://0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("http://[::]:9000", "http://[::1]:9000"),
            ("", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(running(url), (expected.to_owned(), named.clone()), "{url}");
        }
    }
}
