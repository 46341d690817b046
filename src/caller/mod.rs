//! Callers and their permissions.

mod access;
mod action;
mod holder;
mod holders;
mod read;
mod scope;

use std::net::IpAddr;

use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, Invitation, Organization, Request, Session, User};
use crate::names::names;

pub use access::SecretDigest;
pub use action::{Action, NeededScope};
pub use holder::{FRESH, HolderOrganization, HolderUser, KeyHolder, SessionHolder};
pub use holders::Holders;
pub use scope::{Scope, Scopes};

pub(crate) use access::{InvalidKey, InvalidSession, KeyState, SessionState};
pub(crate) use holder::LastUse;
pub(crate) use read::{PresentedKey, PresentedSession, lock_key_access, lock_membership, lock_session_access};

names! {
    /// The level of a membership or of an API key.
    #[derive(clap::ValueEnum, sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum PermissionLevel {
        /// Every action within the organization.
        Owner = "owner",
        /// Reading the list of collaborators, groups and policies, and managing one's own API keys.
        Collaborator = "collaborator",
    }
}

impl PermissionLevel {
    /// The lower of two levels.
    #[must_use]
    pub const fn at_most(self, other: Self) -> Self {
        if matches!(self, Self::Owner) { other } else { self }
    }

    /// Whether the level permits `action`.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        !action.is_for_the_operator() && (matches!(self, Self::Owner) || action.is_for_collaborators())
    }
}

names! {
    /// What a session may do. Only [`Stage::Full`] may do more than to reach it and to end. Later versions add stages for
    /// second factors.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Stage {
        /// The user has to choose a password first: an administrator set the current one.
        MustChange = "must_change",
        /// Everything that the user may do.
        Full = "full",
    }
}

/// An authenticated party that can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An API key.
    ApiKey {
        /// The key.
        id: Id<ApiKey>,
        /// The user on whose behalf the key acts; `None` for a key without a user.
        user_id: Option<Id<User>>,
        /// The lower of the key's level and its user's level.
        permission: PermissionLevel,
        /// The scopes that limit `permission` further.
        scopes: Scopes,
        /// The secret that was presented; `None` if it is unknown: a previous version of muster stored the approval of
        /// a device login without it.
        secret: Option<SecretDigest>,
    },
    /// A signed-in user.
    Session {
        /// The session.
        id: Id<Session>,
        /// The user.
        user_id: Id<User>,
        /// What the session may do.
        stage: Stage,
        /// The user's level.
        permission: PermissionLevel,
        /// Whether the user authenticated a short time ago ([`FRESH`]).
        is_fresh: bool,
        /// The secret that was presented; `None` if it is unknown, for the approval of a device login.
        secret: Option<SecretDigest>,
    },
    /// The holder of an invitation link, who can only accept the invitation.
    Invitation(Id<Invitation>),
    /// A person with direct access to the database, through the local `muster` command.
    Operator,
    /// The background work of the server.
    System,
}

names! {
    /// The kind of program that sent a request.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Source {
        /// The vendor's CLI or SDK.
        VendorClient = "vendor_client",
        /// muster's CLI or Rust client.
        MusterClient = "muster_client",
        /// Any other HTTP client.
        Http = "http",
    }
}

/// The origin of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The request's ID; `None` for the local operator.
    pub request_id: Option<Id<Request>>,
    /// The IP address of the client.
    pub address: Option<IpAddr>,
    /// The kind of program that sent the request; `None` if there was none.
    pub client: Option<Source>,
}

/// A principal that acts in one organization.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The organization. Nothing outside it can be read or changed.
    pub organization_id: Id<Organization>,
    /// The authenticated party.
    pub principal: Principal,
    /// The origin of the request.
    pub origin: Origin,
}

impl Caller {
    /// The local operator in an organization.
    #[must_use]
    pub const fn operator(organization_id: Id<Organization>) -> Self {
        Self {
            organization_id,
            principal: Principal::Operator,
            origin: Origin { request_id: None, address: None, client: None },
        }
    }

    /// The background work in an organization.
    #[must_use]
    pub const fn system(organization_id: Id<Organization>) -> Self {
        Self {
            organization_id,
            principal: Principal::System,
            origin: Origin { request_id: None, address: None, client: None },
        }
    }

    /// The user on whose behalf the caller acts.
    #[must_use]
    pub const fn user_id(&self) -> Option<Id<User>> {
        match self.principal {
            Principal::ApiKey { user_id, .. } => user_id,
            Principal::Session { user_id, .. } => Some(user_id),
            Principal::Invitation(_) | Principal::Operator | Principal::System => None,
        }
    }

    /// Whether the caller is this user, in a browser.
    #[must_use]
    pub fn is_session_of(&self, user_id: Id<User>) -> bool {
        matches!(self.principal, Principal::Session { user_id: own, .. } if own == user_id)
    }

    /// Whether the caller may do `action`.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        match self.principal {
            Principal::ApiKey { permission, scopes, .. } => permission.allows(action) && scopes.suffice(action.scope()),
            Principal::Session { stage: Stage::MustChange, .. } => action.is_for_must_change(),
            Principal::Session { stage: Stage::Full, permission, is_fresh, .. } => {
                permission.allows(action) && (is_fresh || !action.needs_fresh_session())
            }
            Principal::Invitation(_) => matches!(action, Action::InvitationAccept),
            Principal::Operator => true,
            Principal::System => {
                matches!(action, Action::UserSuspend | Action::PasswordResetRequest | Action::SsoLogout)
            }
        }
    }

    /// Checks that the caller may do `action`.
    ///
    /// # Errors
    /// `forbidden`, with the permission that is missing; `reauthentication_needed` for a session that is not fresh.
    pub fn check(&self, action: Action) -> Result<()> {
        if self.may(action) {
            return Ok(());
        }
        let required = match (self.principal, action.scope()) {
            (Principal::ApiKey { permission, .. }, NeededScope::One(scope)) if permission.allows(action) => {
                format!("an API key with the scope `{scope}`")
            }
            (Principal::ApiKey { permission, .. }, NeededScope::All) if permission.allows(action) => {
                "an API key that is not limited to scopes".to_owned()
            }
            (Principal::Session { stage: Stage::Full, permission, .. }, _) if permission.allows(action) => {
                let message = format!(
                    "`{action}` requires that you signed in within the last {} minutes; sign in again",
                    FRESH.num_minutes()
                );
                return Err(Error::new(Code::ReauthenticationNeeded, message));
            }
            (Principal::Session { stage: Stage::MustChange, .. }, _) => "that you choose a password first".to_owned(),
            (Principal::Session { .. }, _) => "an owner".to_owned(),
            _ => "an owner's API key".to_owned(),
        };
        Err(Error::new(Code::Forbidden, format!("not permitted: `{action}` requires {required}")))
    }
}
