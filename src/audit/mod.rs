//! The audit log: who did what to which object, when, from where, and with what outcome.
//!
//! A change and its events are written in one transaction by [`crate::change::Change`], so neither exists without the
//! other. Denials change nothing and are written on their own: failed authentication, missing permissions, conflicts
//! with the stored state, and lists with findings. Denials that repeat are counted ([`Repeats`]).
//!
//! Events identify people by ID. They never contain a password, token or hash, or a person's name or e-mail address,
//! so the log can be kept after a person's data has been deleted.

mod actor;
mod denial;
mod event;
mod read;
mod repeats;
mod target;
mod turns;
pub(crate) mod write;

pub use actor::{ActorKind, ActorRef, Attribution};
pub use denial::{AuditDenial, Findings};
pub use event::Event;
pub use read::{ActorFilter, Entry, Filter, list};
pub use repeats::Repeats;
pub use target::{Target, TargetKind};
pub(crate) use turns::Turns;

use crate::names::names;

names! {
    /// How an action ended.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Outcome {
        /// Done.
        Success = "success",
        /// The actor failed to authenticate or lacks the permission.
        Denied = "denied",
        /// The actor has the permission, but the request conflicts with the stored state or has findings.
        Rejected = "rejected",
    }
}
