//! The audit log: who did what, to what, when, from where, and how it ended.
//!
//! A change and its events are written in one transaction, by [`crate::change::Change`]:
//! there is no change without an event, and no event without its change. Refusals
//! change nothing, so they are written on their own: who is not let in or may not, changes that what
//! is there does not allow, lists with findings.
//!
//! Events name people by id. No password, token, hash, name or address of a person is
//! ever part of one, so the log can be kept when a person has to be forgotten.

mod event;
mod read;
mod refusal;
mod target;
pub(crate) mod write;

pub use event::Event;
pub use read::{Entry, Filter, Who, list};
pub use refusal::{Findings, Refusal};
pub use target::Target;
