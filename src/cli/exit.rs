//! How a failed command ends: the error message and the exit status.

use super::output::clean;

/// Why a command failed.
#[derive(Debug)]
pub enum Exit {
    /// The request was valid and was rejected; exit status 1. `None` if the reasons have been printed already.
    Rejected(Option<String>),
    /// Wrong usage, or a server, database or file could not be reached or read; exit status 2.
    Usage(String),
}

impl Exit {
    /// The error message; `None` if the reasons have been printed already.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Rejected(message) => message.as_deref(),
            Self::Usage(message) => Some(message),
        }
    }

    /// The exit status of the process.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Rejected(_) => 1,
            Self::Usage(_) => 2,
        }
    }

    /// The same with a sentence behind the message.
    pub(super) fn with(self, more: &str) -> Self {
        match self {
            Self::Rejected(Some(message)) => Self::Rejected(Some(format!("{message}; {more}"))),
            Self::Rejected(None) => Self::rejected(more),
            Self::Usage(message) => Self::Usage(format!("{message}; {more}")),
        }
    }

    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected(Some(message.into()))
    }

    pub(super) fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<crate::error::Error> for Exit {
    fn from(error: crate::error::Error) -> Self {
        match (error.code().status(), error.chain()) {
            (400..500, _) => Self::rejected(error.to_string()),
            (_, Some(cause)) => Self::Usage(format!("{error} ({cause})")),
            (_, None) => Self::usage(error),
        }
    }
}

impl From<muster_client::Error> for Exit {
    fn from(error: muster_client::Error) -> Self {
        match error {
            muster_client::Error::Rejected(_) | muster_client::Error::NotCreated(_) => {
                Self::rejected(clean(&error.to_string()))
            }
            _ => {
                let message = clean(&error.to_string());
                Self::Usage(match connection_hint(&error) {
                    Some(hint) => format!("{message}\nhint: {hint}"),
                    None => message,
                })
            }
        }
    }
}

/// What to look at when a server can't be reached.
fn connection_hint(error: &muster_client::Error) -> Option<&'static str> {
    let muster_client::Error::Unreachable { host, source, .. } = error else { return None };
    let cause = std::iter::successors(Some(source.as_ref() as &dyn std::error::Error), |error| error.source());
    let cause = cause.last().map(ToString::to_string).unwrap_or_default();
    let is_local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.contains(name));
    if cause.contains("Connection refused") {
        return Some(if is_local {
            "is `muster serve` running on this machine? The address is that of `--host`, MUSTER_HOST or ANYSCALE_HOST"
        } else {
            "does the server listen at this address and port, and not only on 127.0.0.1 (`server.listen`)?"
        });
    }
    if cause.contains("InvalidContentType") {
        return Some("the server speaks HTTP, not HTTPS; use an address that begins with http://");
    }
    if host.starts_with("http://")
        && (cause.contains("invalid HTTP") || cause.contains("connection closed before message"))
    {
        return Some("the server may speak HTTPS; use an address that begins with https://");
    }
    if cause.contains("UnknownIssuer") || cause.contains("self-signed") {
        return Some(
            "the certificate is not from an authority of this machine; SSL_CERT_FILE names a file with others",
        );
    }
    if cause.contains("failed to lookup address") {
        return Some("the host name is unknown; check the address");
    }
    None
}
