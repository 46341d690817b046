//! Links with which users set their passwords: one-time, for people who have no password yet or have forgotten it.
//!
//! An owner gets a link for each user and hands it out. Opening a link changes nothing; setting a password with it uses it up, ends
//! all sessions of the user and signs in.
//!
//! # Decisions
//!
//! *A link never signs in without a new password*: scanners of mail and chat open links before people do.
//!
//! *A user has at most one open link.* A new one replaces it, so only the latest works.
//!
//! *A link that is over says why only to a client that has its secret.* An unknown link and a wrong secret are indistinguishable.
//!
//! *A repeated request needs no idempotency key.* Links are not stored, so no key could return them again; the repeated request
//! replaces them.
//!
//! *For a batch, links are made for those of its users who can use one*: a batch of people with passwords and with single sign-on
//! is one list to its administrator. A list of users names each of them, so who can't use a link is a finding.
//!
//! *The secret of a link that is sent by mail is derived, not random* (`derived.rs`): see [`crate::mail`].
//!
//! *A link of the local operator can be for anybody* (`recover`): it works for a user with single sign-on, so that an organization
//! whose identity provider is down has a way in, and its session ends after an hour.

mod create;
mod derived;
mod read;
mod r#use;
mod write;

use chrono::{DateTime, Utc};

use crate::id::{Id, PasswordLink, User};
use crate::names::names;
use crate::secret::Secret;
use crate::token;

pub use create::{CreatedLinks, For, LinkRequest, MOST_HOURS, create, recover};
pub(crate) use create::{make, to_send};
pub(crate) use derived::LinkKey;
pub(crate) use read::lock as lock_candidates;
pub use r#use::{OpenLink, UsedLink, open, set_password};

/// The token of a link.
pub type Token = token::Token<PasswordLink>;

names! {
    /// What a link is for.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Purpose {
        /// An administrator gave it.
        Set = "set",
        /// The user asked for it.
        Reset = "reset",
        /// The local operator made it: it skips single sign-on.
        Recover = "recover",
    }
}

/// A new link. Its token is not stored and can only be shown now.
#[derive(Debug)]
pub struct NewLink {
    /// The link's ID.
    pub link_id: Id<PasswordLink>,
    /// The user.
    pub user_id: Id<User>,
    /// The user's address.
    pub email: String,
    /// The user's first and last name.
    pub name: String,
    /// The last part of the link.
    pub token: Secret,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
}
