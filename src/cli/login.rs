//! `muster login`, `muster login approve` and `muster logout`.

use std::io::IsTerminal;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use muster_client::{Client, Error, ExposeSecret, SecretString};

use super::credentials::Credentials;
use super::local::{user_of, with_operator};
use super::output::{self, say};
use super::user::ServerArgs;
use super::{Exit, OperatorArgs};
use crate::config::environment;
use crate::device_logins;
use crate::keys::Token;
use crate::secret::Secret;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// For how many days the key is wanted, as far as the server allows; 0: for as long as it allows.
    #[arg(long, value_name = "N", default_value_t = 7)]
    expire_in_days: u32,
    /// Don't open the page in a browser.
    #[arg(long)]
    no_browser: bool,
    /// How often the server is asked whether the login is approved, in milliseconds.
    #[arg(long, hide = true, default_value_t = 3000)]
    poll_interval: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Approve a login: whoever started it gets an API key that acts as you. Approve only what you started yourself.
    Approve {
        /// The code that `muster login` or `anyscale login` shows: otp_…
        code: String,
        /// Approve it in the database itself, as the local operator, who needs no API key.
        #[arg(long, requires = "user")]
        local: bool,
        /// With --local: as whom.
        #[arg(long, value_name = "EMAIL|ID", requires = "local")]
        user: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
        #[command(flatten)]
        config: OperatorArgs,
    },
}

#[derive(clap::Args, Debug)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args) -> Result<(), Exit> {
    match args.command {
        None => log_in(&args).await,
        Some(Command::Approve { code, user: Some(user), config, .. }) => approve_locally(&config, &code, &user).await,
        Some(Command::Approve { code, server, .. }) => {
            let approved = server.client()?.approve_login(&code).await?;
            say_approved(&approved.permission_level, approved.user_id.as_deref());
            Ok(())
        }
    }
}

async fn approve_locally(config: &OperatorArgs, code: &str, user: &str) -> Result<(), Exit> {
    let approved = with_operator(config.load()?, async |app, caller| {
        let user_id = user_of(app, caller, user).await?;
        Ok(device_logins::approve(app, caller, code, Some(user_id)).await?)
    })
    .await?;
    say_approved(approved.permission_level.as_str(), approved.user_id.map(|id| id.to_string()).as_deref());
    Ok(())
}

fn say_approved(level: &str, user_id: Option<&str>) {
    let whom = user_id.map_or_else(|| "as a key of its own".to_owned(), |user_id| format!("as {user_id}"));
    say(&format!("approved: whoever started this login acts {}, with the level {}", whom, output::clean(level)));
}

async fn log_in(args: &Args) -> Result<(), Exit> {
    let client = args.server.client_without_token()?;
    // What can't be kept is noticed before anybody is asked to approve.
    let mut credentials = Credentials::load()?;
    let lifetime = Duration::from_secs(u64::from(args.expire_in_days) * 24 * 60 * 60);
    let login = client.start_login(lifetime).await?;
    let url = output::clean(&login.url);
    say(&format!("to log in at {}, approve the code\n\n    {}\n", client.host(), login.otp.expose_secret()));
    say(&format!("{url} says how; with `muster login approve CODE`, where you are logged in"));
    if !args.no_browser {
        open(&url);
    }
    let token = wait(&client, &login.otp, Duration::from_millis(args.poll_interval)).await?;
    let replaced = credentials.find(&client.host());
    credentials.keep(&client.host(), token.expose_secret())?;
    say(&format!("logged in: the API key is in {}", credentials.path().display()));
    if let Some(replaced) = replaced {
        revoke_replaced(&client.host(), &replaced).await;
    }
    for variable in ["MUSTER_TOKEN", "ANYSCALE_CLI_TOKEN"] {
        if environment(variable).is_some() {
            say(&format!("warning: {variable} is set, and is used instead"));
        }
    }
    Ok(())
}

/// Revokes the API key of a login that another one replaced: nobody has it any longer to revoke it with. Whether
/// that works or not, one is logged in.
async fn revoke_replaced(host: &str, token: &Secret) {
    let (key_id, end) = revoke(host, token).await;
    match end {
        End::Revoked => say(&format!("the API key of the login before, {key_id}, is revoked")),
        End::Ended => say("the API key of the login before had stopped working already"),
        End::Unheard(error) => say(&format!(
            "warning: the API key of the login before still works: the server could not be told ({error}); revoke it \
             with `muster api-key revoke {key_id}`"
        )),
    }
}

/// What has become of an API key that was to be revoked.
enum End {
    /// It opens nothing from now on.
    Revoked,
    /// It did so before.
    Ended,
    /// The server doesn't know of it.
    Unheard(Error),
}

/// Revokes an API key with itself; also gives its id.
async fn revoke(host: &str, token: &Secret) -> (String, End) {
    let key_id = Token::parse(token.expose()).map(|token| token.id.to_string()).unwrap_or_default();
    let revoked = match Client::new(host, token.expose()) {
        Ok(client) => client.revoke_api_key(&key_id).await,
        Err(error) => Err(error),
    };
    let end = match revoked {
        Ok(_) => End::Revoked,
        Err(Error::Rejected(_) | Error::Config(_)) => End::Ended,
        Err(error) => End::Unheard(error),
    };
    (key_id, end)
}

/// Until it is approved, or its one-time password has expired, which the server says.
async fn wait(client: &Client, otp: &SecretString, interval: Duration) -> Result<SecretString, Exit> {
    loop {
        if let Some(token) = client.fetch_login(otp).await? {
            return Ok(token);
        }
        tokio::time::sleep(interval).await;
    }
}

/// Opens a page in a browser, where there is a person and a browser. That nothing opens is no harm: the address is
/// on the terminal.
fn open(url: &str) {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if !is_web || !std::io::stderr().is_terminal() {
        return;
    }
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if environment("DISPLAY").or_else(|| environment("WAYLAND_DISPLAY")).is_some() {
        "xdg-open"
    } else {
        return;
    };
    let _ = Program::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

pub(super) async fn log_out(args: &LogoutArgs) -> Result<(), Exit> {
    let host = args.server.client_without_token()?.host();
    let mut credentials = Credentials::load()?;
    let Some(token) = credentials.find(&host) else {
        return Err(Exit::Refused(Some(format!(
            "not logged in at {host}: {} has no API key for it",
            credentials.path().display()
        ))));
    };
    let (key_id, end) = revoke(&host, &token).await;
    credentials.forget(&host)?;
    match end {
        End::Revoked => say(&format!("logged out of {host}: the API key {key_id} is revoked")),
        End::Ended => say(&format!("logged out of {host}: the API key had stopped working before")),
        End::Unheard(error) => {
            return Err(Exit::Usage(format!(
                "the API key is removed from this machine, but {key_id} still works: the server could not be told \
                 ({error}); revoke it with `muster api-key revoke {key_id}` or `muster key revoke {key_id}`"
            )));
        }
    }
    Ok(())
}
