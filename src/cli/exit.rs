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
            _ => Self::usage(clean(&error.to_string())),
        }
    }
}
