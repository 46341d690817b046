//! Optimistic concurrency: the revision of a user that a change expects.

use crate::error::{Code, Error, Result};

/// The revision that a user must still have, so that a change does not overwrite another one (RFC 9110,
/// section 13.1.1, `If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any revision.
    Any,
    /// One of these revisions.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Checks the revision of a locked user.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub(crate) fn check(&self, revision: i64) -> Result<()> {
        match self {
            Self::OneOf(revisions) if !revisions.contains(&revision) => {
                let detail = "the user has changed since the revision in `If-Match`; read the user again and retry";
                Err(Error::new(Code::PreconditionFailed, detail))
            }
            Self::Any | Self::OneOf(_) => Ok(()),
        }
    }
}
