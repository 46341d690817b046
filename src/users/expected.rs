//! Which revision of a user a change is meant for.

use crate::error::{Code, Error, Result};

/// What a user has to be still, so that nobody overwrites what somebody else has changed meanwhile (RFC 9110,
/// section 13.1.1, `If-Match`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it has become.
    Any,
    /// One of these revisions.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Whether it fits.
    pub(crate) fn fits(&self, revision: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }

    /// Refuses another revision.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub(crate) fn hold(&self, revision: i64) -> Result<()> {
        if self.fits(revision) {
            return Ok(());
        }
        let sentence = "somebody has changed it since (`If-Match`), and nothing was written: read it again";
        Err(Error::new(Code::PreconditionFailed, sentence))
    }
}
