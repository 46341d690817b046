//! `muster session …`: sessions of people who have signed in with a browser, over HTTP.

use muster_client::{Client, Error, Session};
use serde::Serialize;

use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use super::{Exit, find, listing};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List the sessions of a user, or of everybody, that are not over, the latest first.
    List {
        /// E-mail address, user ID or full display name; for owners [default: the user of the API key].
        #[arg(conflicts_with = "everyone")]
        user: Option<String>,
        /// List the sessions of all users of the organization; for owners.
        #[arg(long)]
        everyone: bool,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// End a session, or all sessions of a user or of everybody: effective immediately, on other instances within one second.
    End(EndArgs),
}

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct EndArgs {
    /// Session ID, as `muster session list` shows it.
    #[arg(value_name = "ID", required_unless_present_any = ["user", "all", "everyone"], conflicts_with_all = ["user", "all", "everyone"])]
    session_id: Option<String>,
    /// End all sessions of this user: an e-mail address, ID or full display name; for owners.
    #[arg(long, value_name = "USER", conflicts_with = "all")]
    user: Option<String>,
    /// End all sessions of the user of the API key.
    #[arg(long, conflicts_with = "everyone")]
    all: bool,
    /// End the sessions of all users of the organization, who have to sign in again; for owners.
    #[arg(long, conflicts_with = "user")]
    everyone: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::List { everyone: true, remote, .. } => {
            let client = remote.client()?;
            let next =
                async |count, token: Option<String>| client.list_all_sessions(Some(count), token.as_deref()).await;
            let sessions = listing::collect(None, next).await?.into_rows();
            output::print_list(remote.output, &sessions.into_iter().map(OfEveryone).collect::<Vec<_>>())
        }
        Command::List { user, remote, .. } => {
            let client = remote.client()?;
            let user_id = user_id(&client, user.as_deref()).await?;
            let listed = client.list_sessions(user_id.as_deref()).await;
            let sessions =
                listed.map_err(|error| without_user(error, user_id.is_none(), "muster session list USER"))?;
            output::print_list(remote.output, &sessions)
        }
        Command::End(args) => end(&args).await,
    }
}

async fn end(args: &EndArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let (format, user) = (args.remote.output, args.user.as_deref());
    if let Some(session_id) = &args.session_id {
        client.end_session(session_id).await?;
        return show_ended(format, &format!("ended {}", output::clean(session_id)), 1);
    }
    if args.everyone {
        let ended = client.end_all_sessions().await?.ended;
        return show_ended(format, &format!("{} ended", output::count(ended, "session")), ended);
    }
    let user_id = user_id(&client, user).await?;
    let ended = client.end_sessions(user_id.as_deref()).await;
    let ended = ended.map_err(|error| without_user(error, user_id.is_none(), "muster session end --user USER"))?.ended;
    show_ended(format, &format!("{} ended", output::count(ended, "session")), ended)
}

async fn user_id(client: &Client, user: Option<&str>) -> Result<Option<String>, Exit> {
    match user {
        Some(user) => find::user_id(client, user).await.map(Some),
        None => Ok(None),
    }
}

/// Says what to write if no user was named, and the API key has none.
fn without_user(error: Error, is_own: bool, command: &str) -> Exit {
    match error.api_error() {
        Some(rejection) if is_own && rejection.status == 404 => {
            Exit::rejected(format!("the API key acts as no user; name one: {command}"))
        }
        _ => error.into(),
    }
}

fn show_ended(format: Format, message: &str, ended: usize) -> Result<(), Exit> {
    match format {
        Format::Table | Format::Wide => {
            output::say(message);
            Ok(())
        }
        Format::Json => output::print_json(&muster_client::EndedSessions { ended }),
        Format::Csv => output::print_csv(&["ENDED"], [vec![ended.to_string()]]),
    }
}

impl TableRow for Session {
    const HEADER: &'static [&'static str] =
        &["SESSION ID", "METHOD", "BROWSER", "NETWORK", "LAST SEEN", "CREATED", "EXPIRES", "STAGE"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.id.clone(),
            self.method.clone(),
            self.browser.clone(),
            self.network.clone().unwrap_or_default(),
            output::time(self.last_seen_at),
            output::time(self.created_at),
            output::time(self.expires_at),
            self.stage.clone(),
        ]
    }
}

/// A session of a list with the sessions of several users.
#[derive(Serialize)]
#[serde(transparent)]
struct OfEveryone(Session);

impl TableRow for OfEveryone {
    const HEADER: &'static [&'static str] =
        &["SESSION ID", "EMAIL", "METHOD", "BROWSER", "NETWORK", "LAST SEEN", "CREATED", "EXPIRES", "STAGE"];

    fn cells(&self, format: Format) -> Vec<String> {
        let mut cells = self.0.cells(format);
        cells.insert(1.min(cells.len()), self.0.email.clone().unwrap_or_default());
        cells
    }
}
