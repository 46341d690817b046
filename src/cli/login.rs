//! `muster login`, `muster login approve` and `muster logout`: the device login of the command line.

use std::io::IsTerminal;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use muster_client::{Client, Error, ExposeSecret, LoginRequest, SecretString};
use nix::sys::utsname::uname;

use super::Exit;
use super::args::OperatorArgs;
use super::credentials::Credentials;
use super::local::{user_of, with_operator};
use super::output::{self, say};
use super::remote::{ServerArgs, TOKEN_VARIABLES};
use crate::clock::Clock;
use crate::config::environment;
use crate::device_logins;
use crate::keys::Token;
use crate::secret::Secret;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  muster login --host https://muster.example.org
  muster login approve BDWP-HQPK")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Lifetime of the API key in days, up to the server's maximum; 0 requests the maximum.
    #[arg(long, value_name = "N", default_value_t = 7)]
    expire_in_days: u32,
    /// Don't open the approval page in a browser.
    #[arg(long)]
    no_browser: bool,
    /// Interval between polls for the approval, in milliseconds.
    #[arg(long, hide = true, default_value_t = 3000)]
    poll_interval: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Approve a login: the client that started it gets an API key that acts as you. Shows who asks, and asks before it
    /// approves. Approve only your own logins.
    #[command(after_help = "\
Example:
  muster login approve BDWP-HQPK")]
    Approve {
        /// Code that `muster login` shows, such as BDWP-HQPK; or the one-time password of `anyscale login`: otp_…
        code: String,
        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,
        /// Approve directly in the database, as the local operator, without an API key.
        #[arg(long, requires = "user")]
        local: bool,
        /// User that the new API key acts as; only with --local.
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
        Some(Command::Approve { code, yes, user: Some(user), config, .. }) => {
            approve_locally(&config, &code, yes, &user).await
        }
        Some(Command::Approve { code, yes, server, .. }) => {
            let client = server.client()?;
            confirm(&client.get_login(&code).await?, "you", yes)?;
            let approved = client.approve_login(&code).await?;
            say_approved(&approved.permission_level, approved.user_id.as_deref());
            Ok(())
        }
    }
}

async fn approve_locally(config: &OperatorArgs, code: &str, yes: bool, user: &str) -> Result<(), Exit> {
    let approved = with_operator(config.load()?, async |app, caller| {
        let user_id = user_of(app, caller, user).await?;
        confirm(&device_logins::get(app, caller, code).await?.into(), user, yes)?;
        Ok(device_logins::approve(app, caller, code, Some(user_id)).await?)
    })
    .await?;
    say_approved(approved.permission_level.as_str(), approved.user_id.map(|id| id.to_string()).as_deref());
    Ok(())
}

/// Shows who asks for a login, and asks whether to approve it.
fn confirm(login: &LoginRequest, user: &str, yes: bool) -> Result<(), Exit> {
    say(&describe(login, Clock::System.now()));
    if yes {
        return Ok(());
    }
    output::require_terminal("`--yes`")?;
    let user = output::clean(user);
    let question = format!("Did you start this login yourself? Its client gets an API key that acts as {user}. [y/N] ");
    if output::confirm(&question) { Ok(()) } else { Err(Exit::rejected("not approved; the client gets no API key")) }
}

/// Who asks, from where and when.
fn describe(login: &LoginRequest, now: DateTime<Utc>) -> String {
    let or_unknown = |text: &Option<String>| text.as_deref().map_or_else(|| "unknown".to_owned(), output::clean);
    let ago = u64::try_from((now - login.requested_at).num_seconds()).unwrap_or_default();
    format!(
        "login started {} ago, at {}:\n  machine  {} (as the client says)\n  program  {} (as the client says)\n  address  {}",
        output::seconds(ago),
        output::time(login.requested_at),
        or_unknown(&login.machine),
        or_unknown(&login.user_agent),
        or_unknown(&login.client_address),
    )
}

fn say_approved(level: &str, user_id: Option<&str>) {
    let principal = user_id.map_or_else(|| "as itself".to_owned(), |user_id| format!("as {user_id}"));
    say(&format!("approved; the new API key acts {principal} with permission level `{}`", output::clean(level)));
}

async fn log_in(args: &Args) -> Result<(), Exit> {
    let client = args.server.client_without_token()?;
    // Fail before the approval if the key could not be stored.
    let mut credentials = Credentials::load()?;
    let lifetime = Duration::from_secs(u64::from(args.expire_in_days) * 24 * 60 * 60);
    let machine = uname().ok().and_then(|system| system.nodename().to_str().map(str::to_owned));
    let machine = machine.filter(|machine| !machine.is_empty());
    let login = client.start_login(lifetime, machine.as_deref()).await?;
    let url = output::clean(&login.url);
    let code = output::clean(login.code.as_deref().unwrap_or(login.otp.expose_secret()));
    say(&format!("to log in to {}, approve this code:\n\n    {code}\n", client.host()));
    say(&format!("approve in a browser at {url}, or with `muster login approve {code}` where you are logged in"));
    if !args.no_browser {
        open(&url);
    }
    let token = wait(&client, &login.otp, Duration::from_millis(args.poll_interval)).await?;
    let replaced = credentials.find(&client.host());
    credentials.store(&client.host(), token.expose_secret())?;
    let path = credentials.path().display();
    say(&format!("logged in; the API key is stored in {path}, and commands use {} by default", client.host()));
    if let Some(replaced) = replaced {
        revoke_replaced(&client.host(), &replaced).await;
    }
    for variable in TOKEN_VARIABLES {
        if environment(variable).is_some() {
            say(&format!("warning: {variable} is set and takes precedence over the stored API key"));
        }
    }
    Ok(())
}

/// Revokes the API key that a new login replaced: its secret is no longer stored, so that it could not be revoked
/// later. A failure is only a warning.
async fn revoke_replaced(host: &str, token: &Secret) {
    let (key_id, outcome) = revoke(host, token).await;
    match outcome {
        Revocation::Revoked => say(&format!("revoked the API key of the previous login, {key_id}")),
        Revocation::AlreadyInvalid => say("the API key of the previous login was already invalid"),
        Revocation::Failed(error) => say(&format!(
            "warning: can't revoke the API key of the previous login: {error}; revoke it with `muster api-key revoke \
             {key_id}`"
        )),
    }
}

/// The outcome of revoking an API key.
enum Revocation {
    Revoked,
    /// The server rejected the key: it had expired or been revoked before.
    AlreadyInvalid,
    /// The server could not be reached or failed; the key may still be valid.
    Failed(Error),
}

/// Revokes an API key, authenticated by that key; also returns its ID.
async fn revoke(host: &str, token: &Secret) -> (String, Revocation) {
    let key_id = Token::parse(token.expose()).map(|token| token.id.to_string()).unwrap_or_default();
    let revoked = match Client::new(host, token.expose()) {
        Ok(client) => client.revoke_api_key(&key_id).await,
        Err(error) => Err(error),
    };
    let outcome = match revoked {
        Ok(_) => Revocation::Revoked,
        Err(Error::Rejected(_) | Error::Config(_)) => Revocation::AlreadyInvalid,
        Err(error) => Revocation::Failed(error),
    };
    (key_id, outcome)
}

/// Polls until the login is approved; the server reports an expired code as an error.
async fn wait(client: &Client, otp: &SecretString, interval: Duration) -> Result<SecretString, Exit> {
    loop {
        if let Some(token) = client.fetch_login(otp).await? {
            return Ok(token);
        }
        tokio::time::sleep(interval).await;
    }
}

/// Opens a page in a browser, if there is a terminal and a desktop. Failures are ignored: the URL is on the terminal.
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
        return Err(Exit::rejected(format!(
            "not logged in to {host}: {} has no API key for this server",
            credentials.path().display()
        )));
    };
    let (key_id, outcome) = revoke(&host, &token).await;
    credentials.remove(&host)?;
    match outcome {
        Revocation::Revoked => say(&format!("logged out of {host}; revoked the API key {key_id}")),
        Revocation::AlreadyInvalid => say(&format!("logged out of {host}; the API key was already invalid")),
        Revocation::Failed(error) => {
            return Err(Exit::Usage(format!(
                "removed the API key from this machine, but can't revoke it: {error}; revoke it with `muster api-key \
                 revoke {key_id}` or `muster key revoke {key_id}`"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_described_by_what_is_known_of_its_client() {
        let now: DateTime<Utc> = "2026-11-30T10:00:40Z".parse().unwrap();
        let requested_at = "2026-11-30T10:00:00Z".parse().unwrap();
        let unknown =
            LoginRequest { requested_at, expires_at: now, client_address: None, user_agent: None, machine: None };
        assert_eq!(
            describe(&unknown, now),
            "login started 40 s ago, at 2026-11-30T10:00:00Z:\n  machine  unknown (as the client says)\n  program  unknown (as \
             the client says)\n  address  unknown"
        );
        let known = LoginRequest {
            client_address: Some("203.0.113.5".to_owned()),
            user_agent: Some("muster/0.1.0".to_owned()),
            machine: Some("lap\u{1b}top".to_owned()),
            ..unknown
        };
        let described = describe(&known, now);
        let lines: Vec<&str> = described.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  machine  lap\u{fffd}top (as the client says)",
                "  program  muster/0.1.0 (as the client says)",
                "  address  203.0.113.5"
            ]
        );
    }
}
