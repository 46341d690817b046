//! The audit log: who did what to which object, when, from where, and with what outcome.
//!
//! A change and its events are written in one transaction by [`crate::change::Change`], so neither exists without the
//! other. Denials change nothing and are written on their own: failed authentication, missing permissions, conflicts
//! with the stored state, and lists with findings. Denials that repeat are counted ([`Repeats`]).
//!
//! Events identify people by ID, and by a keyed digest of the address (`address.rs`). They never contain a password, token or
//! hash, or a person's name or e-mail address, so the log can be kept after a person's data has been deleted.
//!
//! # Decisions
//!
//! *Entries show the name of a batch's file, events don't contain it*: `ada-lovelace.csv` is personal data, and an event can't be
//! changed. The name comes from the batch when the log is read, as the name of an API key does.
//!
//! *The operator's events contain the account of the operating system and the host.* They name an administrator of the machine,
//! which is what they are for; no operation on users deletes them.

mod action_group;
mod actor;
pub(crate) mod address;
mod denial;
mod entry_names;
mod event;
mod filter;
mod operator;
mod query;
mod read;
mod repeats;
mod target;
mod turns;
pub(crate) mod write;

pub use action_group::{ActionFilter, ActionGroup, OutcomeFilter};
pub use actor::{ActorKind, ActorRef, Attribution};
pub use denial::{AuditDenial, Findings};
pub use entry_names::{Names, names};
pub use event::Event;
pub(crate) use event::Recorded;
pub use filter::{ActorFilter, Filter, TargetFilter};
pub use read::{Entry, MostRefused, get, list, list_span, most_refused};
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
