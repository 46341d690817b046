//! The server that a command talks to, and the client for it.

use std::sync::atomic::{AtomicBool, Ordering};

use muster_client::{Client, ClientBuilder, RetryReason};

use super::credentials::Credentials;
use super::output::Format;
use super::{Exit, output};
use crate::caller::PermissionLevel;
use crate::config::environment;
use crate::secret::Secret;

/// Which server to talk to.
#[derive(clap::Args, Debug)]
pub(super) struct ServerArgs {
    /// Server URL [default: ANYSCALE_HOST, else http://127.0.0.1:8080]. The API key is read from MUSTER_TOKEN, then
    /// ANYSCALE_CLI_TOKEN, then the file that `muster login` writes; never from the command line, which other users of
    /// this machine can see.
    #[arg(long, value_name = "URL", env = "MUSTER_HOST")]
    host: Option<String>,
}

/// An output format, and the server to talk to.
#[derive(clap::Args, Debug)]
pub(super) struct RemoteArgs {
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl RemoteArgs {
    pub(super) fn client(&self) -> Result<Client, Exit> {
        self.server.client()
    }
}

impl ServerArgs {
    /// A client with the API key for the server.
    pub(super) fn client(&self) -> Result<Client, Exit> {
        Ok(self.client_and_token()?.0)
    }

    /// A client with the API key for the server, and that key.
    pub(super) fn client_and_token(&self) -> Result<(Client, Secret), Exit> {
        let token = self.token()?;
        Ok((builder(host(self.host.clone())).token(token.expose()).build()?, token))
    }

    fn token(&self) -> Result<Secret, Exit> {
        if let Some(token) = environment("MUSTER_TOKEN").or_else(|| environment("ANYSCALE_CLI_TOKEN")) {
            return Ok(Secret::new(token));
        }
        Credentials::load()?.find(&self.client_without_token()?.host()).ok_or_else(|| {
            Exit::usage(
                "no API key; run `muster login`, or set MUSTER_TOKEN or ANYSCALE_CLI_TOKEN. On the server's machine, \
                 `muster key create --name NAME --role owner` creates a key",
            )
        })
    }

    /// A client that sends no API key.
    pub(super) fn client_without_token(&self) -> Result<Client, Exit> {
        Ok(builder(host(self.host.clone())).build_without_token()?)
    }
}

/// The given server, else that of the environment, else the default.
pub(super) fn host(given: Option<String>) -> String {
    given.or_else(|| environment("ANYSCALE_HOST")).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
}

/// A client that reports its first retry on standard error.
pub(super) fn builder(host: String) -> ClientBuilder {
    let is_reported = AtomicBool::new(false);
    Client::builder(host).on_retry(move |reason| {
        if !is_reported.swap(true, Ordering::Relaxed) {
            output::say(match reason {
                RetryReason::NoResponse => "no response from the server; retrying",
                _ => "the server is not ready; retrying",
            });
        }
    })
}

impl From<PermissionLevel> for muster_client::PermissionLevel {
    fn from(level: PermissionLevel) -> Self {
        match level {
            PermissionLevel::Owner => Self::Owner,
            PermissionLevel::Collaborator => Self::Collaborator,
        }
    }
}
