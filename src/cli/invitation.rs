//! `muster invitation …`: invitations, over HTTP. Creating and revoking requires an owner's API key; accepting, the link.
//!
//! # Decisions
//!
//! - People who have an open invitation are counted and named on standard error, and not in the output: a row without a link
//!   would be sent to somebody.
//! - A file without the extension of a users file has one address in each line, which is what other programs write.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use muster_client::{
    AcceptInvitation, AcceptedInvitation, Client, Error, ExposeSecret, Invitation, InvitationOutcome, InvitedUser,
    InvitedUsers, SecretString,
};
use serde_json::{Value, json};

use super::file_args::FileArgs;
use super::file_report::{self, FileReport};
use super::output::{self, Format, TableRow};
use super::remote::{RemoteArgs, builder, host};
use super::{Exit, password};
use crate::caller::PermissionLevel as Role;
use crate::config::environment;
use crate::users_file::{self, Contents, FileFormat, UsersFile};

/// The field of a row with the permission level.
const PERMISSION_LEVEL: &str = "permission_level";

/// How many people who are already invited are named.
const MAX_NAMED: usize = 10;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Invite people: all or none. Prints the links to standard output, only once.
    ///
    /// muster sends no e-mail. People who have an open invitation are skipped, unless `--resend` is given. If any row is
    /// invalid, reports every error and invites nobody.
    Create(CreateArgs),
    /// List pending invitations. Links are not stored.
    List {
        /// Only the invitation for this e-mail address; case-insensitive.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Revoke an invitation, effective immediately.
    Invalidate {
        /// Invitation ID, as `muster invitation list` shows it, or e-mail address.
        #[arg(value_name = "ID|EMAIL")]
        invitation: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Accept an invitation: create the account. Requires no API key.
    Accept(AcceptArgs),
}

const FORMAT_HELP: &str = "File format [default: by the file extension (.yaml, .yml, .json, .ndjson, .jsonl, .csv, .tsv, \
                           .xlsx), else one address per line]";

#[derive(clap::Args, Debug)]
#[command(mut_arg("format", |format| format.help(FORMAT_HELP)))]
pub(super) struct CreateArgs {
    /// E-mail addresses.
    #[arg(value_name = "EMAIL", required_unless_present = "users_file", conflicts_with_all = ["users_file", "format"])]
    emails: Vec<String>,
    /// Users file, as for `muster user batch-create`: YAML, JSON, JSON lines, CSV or an Excel workbook (.xlsx), of which
    /// only `email` is required; names and titles are the defaults of the form. A file with another extension, and standard
    /// input (`-`), has one e-mail address per line; empty lines and lines that start with # are ignored.
    #[arg(short = 'f', long, alias = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    users_file: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// Permission level of the new accounts, unless the file has another one.
    #[arg(long, value_enum, default_value = "collaborator")]
    role: Role,
    /// Replace the links of people who have an open invitation: the earlier links no longer work.
    #[arg(long)]
    resend: bool,
    /// Show who would be invited, or the errors; invite nobody.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct AcceptArgs {
    /// Invitation link, or the token at its end. `-` reads the first line of standard input, which other users of this
    /// machine can't see.
    #[arg(value_name = "TOKEN")]
    token: String,
    /// First name or full name.
    #[arg(long)]
    name: String,
    /// Last name.
    #[arg(long)]
    lastname: Option<String>,
    /// Title or position.
    #[arg(long)]
    title: Option<String>,
    /// Sign in through the organization's identity provider, without a password. Otherwise the password is prompted for
    /// on a terminal, or read from the first line of standard input (the second line if the first is the link).
    #[arg(long)]
    sso: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Server URL [default: the server of the link, else MUSTER_HOST, else ANYSCALE_HOST, else http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    host: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create(args) => create(&args).await,
        Command::List { email, remote } => {
            let invitations = remote.client()?.list_invitations(email.as_deref()).await?;
            output::print_list(remote.output, &invitations)
        }
        Command::Invalidate { invitation, remote } => revoke(&remote.client()?, &invitation, remote.output).await,
        Command::Accept(args) => accept(args).await,
    }
}

impl TableRow for Invitation {
    const HEADER: &'static [&'static str] = &["INVITATION ID", "EMAIL", "PERMISSION", "CREATED", "EXPIRES AT"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.id.clone(),
            self.email.clone(),
            self.permission_level.clone().unwrap_or_default(),
            output::time(self.created_at),
            output::time(self.expires_at),
        ]
    }
}

impl TableRow for AcceptedInvitation {
    const HEADER: &'static [&'static str] = &["USER ID", "EMAIL", "NAME", "PERMISSION"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![self.user_id.clone(), self.email.clone(), self.name.clone(), self.permission_level.clone()]
    }
}

async fn create(args: &CreateArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let list = args.list()?;
    let rows: Vec<Cow<'_, Value>> = list.rows().map(|row| args.with_role(row)).collect();
    let invited = client.invite_users(&rows, args.resend, args.dry_run).await.map_err(|error| {
        if error.outcome_unknown() && !args.dry_run {
            let retry = "run the command again; `--resend` replaces links that were not shown";
            return Exit::usage(format!("{error}; the outcome is unknown: {retry}"));
        }
        list.rejected(error)
    })?;
    show_invited(args, &invited)
}

/// The people to invite.
enum List {
    Addresses(Vec<Value>),
    File(UsersFile, FileReport),
}

impl List {
    fn rows(&self) -> Box<dyn Iterator<Item = &Value> + '_> {
        match self {
            Self::Addresses(rows) => Box::new(rows.iter()),
            Self::File(file, _) => Box::new(file.rows()),
        }
    }

    fn rejected(&self, error: Error) -> Exit {
        match self {
            _ if error.rows().is_empty() => error.into(),
            Self::File(file, report) => report.rejected(file, error.rows(), error.more_findings(), "invited"),
            Self::Addresses(rows) => {
                let emails: Vec<&str> = rows.iter().map(|row| row["email"].as_str().unwrap_or_default()).collect();
                file_report::rejected_arguments(&emails, error.rows(), error.more_findings(), "invited")
            }
        }
    }
}

impl CreateArgs {
    fn list(&self) -> Result<List, Exit> {
        let addresses =
            |emails: &[String]| List::Addresses(emails.iter().map(|email| json!({ "email": email })).collect());
        let users_file = self.users_file.as_ref().filter(|path| self.file.format.or(FileFormat::of(path)).is_some());
        let Some(path) = users_file else {
            self.file.check_unused()?;
            let Some(path) = &self.users_file else { return Ok(addresses(&self.emails)) };
            let emails = read_addresses(path)?;
            if emails.is_empty() {
                return Err(Exit::usage("the file contains no e-mail address"));
            }
            return Ok(addresses(&emails));
        };
        let (file, report) = self.file.read(path, Contents::INVITED, self.remote.output, "invited")?;
        Ok(List::File(file, report))
    }

    /// The row with the level of `--role`, unless it has one.
    fn with_role<'a>(&self, row: &'a Value) -> Cow<'a, Value> {
        match row {
            Value::Object(fields) if matches!(self.role, Role::Owner) && !fields.contains_key(PERMISSION_LEVEL) => {
                let level = Value::from(Role::Owner.as_str());
                let fields = fields.iter().map(|(field, value)| (field.clone(), value.clone()));
                Cow::Owned(fields.chain([(PERMISSION_LEVEL.to_owned(), level)]).collect())
            }
            row => Cow::Borrowed(row),
        }
    }
}

/// Prints the new invitations, and says who already has one.
fn show_invited(args: &CreateArgs, InvitedUsers { results, metadata }: &InvitedUsers) -> Result<(), Exit> {
    let format = args.remote.output;
    let (invited, skipped): (Vec<_>, Vec<_>) =
        results.iter().partition(|user| user.outcome == InvitationOutcome::Invited);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let replaces = |user: &InvitedUser| (metadata.replaced > 0).then(|| text(&user.replaces));
    let with = |mut header: Vec<&'static str>| {
        header.extend((metadata.replaced > 0).then_some("REPLACES"));
        header
    };
    if args.dry_run {
        let row = |user: &&InvitedUser| {
            [user.email.clone(), user.permission_level.clone()].into_iter().chain(replaces(user)).collect()
        };
        output::print_rows(format, &invited, &with(vec!["EMAIL", "PERMISSION"]), invited.iter().map(row))?;
    } else if !invited.is_empty() || !format.is_table() {
        if format.is_table() {
            output::say("invitation links, shown only once; send each to its recipient");
        }
        if let Some(warning) = metadata.link_warning.as_ref().filter(|_| !invited.is_empty()) {
            output::say(&format!("warning: {}", output::clean(warning)));
        }
        let link = |user: &InvitedUser| user.link.as_ref().map(|link| link.expose_secret().to_owned());
        let row = |user: &&InvitedUser| {
            let cells = [user.email.clone(), link(user).unwrap_or_default(), output::time(user.expires_at)];
            cells.into_iter().chain(replaces(user)).collect()
        };
        // A narrow terminal must not hide a link.
        let format = if format.is_table() { Format::Wide } else { format };
        output::print_rows(format, &invited, &with(vec!["EMAIL", "LINK", "EXPIRES AT"]), invited.iter().map(row))?;
    }
    let others = match skipped.len() {
        0 => String::new(),
        count => format!(", {count} already invited"),
    };
    let count = output::users(metadata.invited);
    let replaced = match metadata.replaced {
        0 => String::new(),
        replaced => format!(", {} replaced", output::count(replaced, "link")),
    };
    output::say(&match args.dry_run {
        true => format!("dry run: {count} would be invited{others}{replaced}; nothing was written"),
        false => format!("{count} invited{others}{replaced}"),
    });
    if !skipped.is_empty() {
        let mut named: Vec<String> = skipped.iter().take(MAX_NAMED).map(|user| output::clean(&user.email)).collect();
        named.extend((skipped.len() > MAX_NAMED).then(|| format!("{} more", skipped.len() - MAX_NAMED)));
        output::say(&format!("already invited, `--resend` replaces the links: {}", named.join(", ")));
    }
    Ok(())
}

/// The addresses in a file with one in each line.
fn read_addresses(path: &Path) -> Result<Vec<String>, Exit> {
    let mut text = String::new();
    let read = |from: &mut dyn Read, text: &mut String| from.take(users_file::MAX_BYTES + 1).read_to_string(text);
    let read = if path.as_os_str() == "-" {
        read(&mut std::io::stdin().lock(), &mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file, &mut text))
    };
    let shown = path.display().to_string();
    let length = read.map_err(|error| Exit::Usage(format!("can't read `{}`: {error}", shown.escape_debug())))?;
    if u64::try_from(length).is_ok_and(|length| length > users_file::MAX_BYTES) {
        let most = users_file::MAX_BYTES / 1024 / 1024;
        return Err(Exit::rejected(format!(
            "`{}` is larger than {most} MiB; nobody was invited",
            shown.escape_debug()
        )));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

async fn revoke(client: &Client, named: &str, format: Format) -> Result<(), Exit> {
    let id = if named.contains('@') {
        let found = client.list_invitations(Some(named)).await?.into_iter().next();
        found
            .map(|invitation| invitation.id)
            .ok_or_else(|| Exit::rejected(format!("no pending invitation for {}", output::clean(named))))?
    } else {
        named.to_owned()
    };
    let invitation = client.invalidate_invitation(&id).await?;
    let message = format!("revoked {} for {}", invitation.id, output::clean(&invitation.email));
    output::say_or_print(format, &message, &invitation)
}

async fn accept(args: AcceptArgs) -> Result<(), Exit> {
    let token = if args.token == "-" { password::read("link: ")? } else { SecretString::from(args.token) };
    let (link_host, token) = split(&token);
    let password = if args.sso { None } else { Some(password::read("password: ")?) };
    let host = host(args.host.or(link_host).or_else(|| environment("MUSTER_HOST")), || None);
    let client = builder(host).build_without_token()?;
    let AcceptArgs { name, lastname, title, sso, output, .. } = args;
    let acceptance = AcceptInvitation { token, name, lastname, title, password, is_sso_user: sso };
    let accepted = client.accept_invitation(&acceptance).await?;
    let message = format!("created the account of {}: {}", output::clean(&accepted.email), accepted.user_id);
    output::say_or_print(output, &message, &accepted)
}

/// Splits a link into server and token; a bare token has no server.
fn split(text: &SecretString) -> (Option<String>, SecretString) {
    match text.expose_secret().trim().rsplit_once("/invitations/") {
        Some((host, token)) => (Some(host.to_owned()), SecretString::from(token.to_owned())),
        None => (None, SecretString::from(text.expose_secret().trim().to_owned())),
    }
}
