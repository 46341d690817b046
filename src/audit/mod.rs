//! The audit log: who did what, to what, when, from where, and how it ended.
//!
//! A change and its events are written in one transaction, by [`crate::change::Change`]:
//! there is no change without an event, and no event without its change. Refusals
//! change nothing, so they are written on their own: who is not let in or may not, changes that what
//! is there does not allow, lists with findings.
//!
//! Events name people by id. No password, token, hash, name or address of a person is
//! ever part of one, so the log can be kept when a person has to be forgotten.

mod actor;
mod denial;
mod event;
mod read;
mod target;
pub(crate) mod write;

pub use actor::{ActorKind, ActorRef, Attribution};
pub use denial::{AuditDenial, Findings};
pub use event::Event;
pub use read::{ActorFilter, Entry, Filter, list};
pub use target::{Target, TargetKind};

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Success,
    /// The actor failed to authenticate or lacks the permission.
    Denied,
    /// The actor has the permission, but the request conflicts with the stored state or has findings.
    Rejected,
}

impl Outcome {
    /// The name in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
        }
    }
}
