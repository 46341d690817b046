//! The server that a command talks to, and the client for it.
//!
//! # Decisions
//!
//! *The server of the last login is the default only for the API key of that login.* An API key in the environment was put there
//! for a server that is named next to it, or for the one on this machine; it is never sent to another server because of a login
//! that was forgotten.

use std::sync::atomic::{AtomicBool, Ordering};

use muster_client::{Client, ClientBuilder, RetryReason};

use super::credentials::Credentials;
use super::output::Format;
use super::{Exit, output};
use crate::caller::PermissionLevel;
use crate::config::environment;
use crate::secret::Secret;

/// The variables with an API key, in the order of precedence.
pub(super) const TOKEN_VARIABLES: [&str; 2] = ["MUSTER_TOKEN", "ANYSCALE_CLI_TOKEN"];

/// Which server to talk to.
#[derive(clap::Args, Debug)]
pub(super) struct ServerArgs {
    /// Server URL [default: ANYSCALE_HOST, else the server of the last `muster login`, else http://127.0.0.1:8080]. The API
    /// key is read from MUSTER_TOKEN, then ANYSCALE_CLI_TOKEN, for which the last login is no default, then the file that
    /// `muster login` writes; never from the command line, which other users of this machine can see.
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

    pub(super) fn access(&self) -> Result<Access, Exit> {
        self.server.access()
    }
}

/// A server, and an API key for it.
pub(super) struct Access {
    pub(super) host: String,
    pub(super) token: Secret,
    /// Where the API key comes from: a variable or a file.
    pub(super) source: String,
}

impl Access {
    pub(super) fn client(&self) -> Result<Client, Exit> {
        Ok(builder(self.host.clone()).token(self.token.expose()).build()?)
    }
}

impl ServerArgs {
    /// A client with the API key for the server.
    pub(super) fn client(&self) -> Result<Client, Exit> {
        self.access()?.client()
    }

    /// The server, and the API key for it.
    pub(super) fn access(&self) -> Result<Access, Exit> {
        let in_environment = TOKEN_VARIABLES.iter().find_map(|name| Some((*name, environment(name)?)));
        if let Some((name, token)) = in_environment {
            let host = host(self.host.clone(), || None);
            return Ok(Access { host, token: Secret::new(token), source: name.to_owned() });
        }
        let credentials = Credentials::load()?;
        let host = host(self.host.clone(), || credentials.default_host().map(str::to_owned));
        let host = builder(host).build_without_token()?.host();
        let token = credentials.find(&host).ok_or_else(|| {
            Exit::usage(
                "no API key; run `muster login`, or set MUSTER_TOKEN or ANYSCALE_CLI_TOKEN. On the server's machine, \
                 `muster key create --name NAME --role owner` creates a key",
            )
        })?;
        Ok(Access { host, token, source: credentials.path().display().to_string() })
    }

    /// A client that sends no API key.
    pub(super) fn client_without_token(&self) -> Result<Client, Exit> {
        let remembered = || Credentials::load().ok()?.default_host().map(str::to_owned);
        Ok(builder(host(self.host.clone(), remembered)).build_without_token()?)
    }
}

/// The given server, else that of the environment, else the remembered one, else the default.
pub(super) fn host(given: Option<String>, remembered: impl FnOnce() -> Option<String>) -> String {
    given
        .or_else(|| environment("ANYSCALE_HOST"))
        .or_else(remembered)
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
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
