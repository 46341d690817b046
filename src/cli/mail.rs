//! `muster mail …`: the messages that a server has sent, over HTTP; and a test message, with the settings of this machine.
//!
//! # Decisions
//!
//! *`test` needs no server and no API key*: it is for the administrator who writes the settings, and shows what the SMTP server
//! replies. Over HTTP, it would let an owner send mail to anybody.

use clap::ValueEnum;
use muster_client::Mail;

use super::args::ConfigArgs;
use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use super::{Exit, listing};
use crate::mail::{MailState, Mailer};
use crate::users::EmailAddress;

/// Default number of messages in a table.
const DEFAULT_ITEMS: u32 = 50;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List the messages of the last 30 days, newest first: sent, to be sent and failed.
    List {
        /// Only messages in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Maximum number of messages [default: 50 in a table, else all].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_items: Option<u32>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Send a failed message again.
    Retry {
        /// ID of the message, as `muster mail list` shows it.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Send a test message to an address with the settings of this machine, and show what the SMTP server replies. Needs
    /// no running server.
    Test {
        /// E-mail address.
        #[arg(value_name = "EMAIL")]
        address: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    Queued,
    Sending,
    Sent,
    Failed,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => MailState::Queued.as_str(),
            Self::Sending => MailState::Sending.as_str(),
            Self::Sent => MailState::Sent.as_str(),
            Self::Failed => MailState::Failed.as_str(),
        }
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::List { state, max_items, remote } => {
            let client = remote.client()?;
            let state = state.map(State::as_str);
            let limit = max_items.or(remote.output.is_table().then_some(DEFAULT_ITEMS));
            let next = async |count, token: Option<String>| client.list_mails(state, count, token.as_deref()).await;
            listing::stream(remote.output, limit, next).await
        }
        Command::Retry { id, remote } => output::print_one(remote.output, &remote.client()?.retry_mail(&id).await?),
        Command::Test { address, config } => test(&address, &config).await,
    }
}

async fn test(address: &str, config: &ConfigArgs) -> Result<(), Exit> {
    let address = EmailAddress::parse(address)
        .map_err(|why| Exit::usage(format!("the address is invalid: {}", why.message())))?;
    let file = config.config.as_deref();
    let mailer = Mailer::new(&config.load()?).map_err(Exit::usage)?.ok_or_else(|| {
        let settings = super::args::settings_source(file);
        Exit::usage(format!("mail is not configured: `mail.url` is not set in {settings}"))
    })?;
    let server = mailer.server();
    match mailer.send_test(address.as_str()).await {
        Ok(()) => {
            output::say(&format!("{server} accepted a test message to {}", output::clean(address.as_str())));
            Ok(())
        }
        Err(why) => Err(Exit::rejected(format!("{server}: {}; nothing was sent", output::clean(&why.to_string())))),
    }
}

impl TableRow for Mail {
    const HEADER: &'static [&'static str] = &["ID", "TO", "KIND", "STATE", "ATTEMPTS", "CREATED", "NEXT", "ERROR"];

    fn cells(&self, format: Format) -> Vec<String> {
        let or_placeholder = |text: Option<String>| text.unwrap_or_else(|| format.placeholder().to_owned());
        vec![
            self.id.clone(),
            self.email.clone(),
            self.kind.clone(),
            self.state.clone(),
            self.attempts.to_string(),
            output::time(self.created_at),
            or_placeholder(self.next_at.map(output::time)),
            or_placeholder(self.last_error.clone()),
        ]
    }
}
