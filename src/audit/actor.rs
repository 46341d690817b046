//! The actor of an audit event.

use uuid::Uuid;

use crate::caller::{Caller, Origin, Principal};
use crate::id::{ApiKey, Id, Invitation, Kind, Organization, Session, User};
use crate::names::names;

names! {
    /// A kind of actor. `scim_token` is reserved for later versions: this version reads it and never writes it.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum ActorKind {
        /// An API key.
        ApiKey = "api_key",
        /// The holder of an invitation link.
        Invitation = "invitation",
        /// A signed-in user.
        Session = "session",
        /// A SCIM client.
        ScimToken = "scim_token",
        /// A person who ran `muster` with direct access to the database.
        Operator = "operator",
        /// muster itself, in the background.
        System = "system",
        /// A client that failed to authenticate. Only denials are recorded for it.
        Anonymous = "anonymous",
    }
}

impl ActorKind {
    /// The prefix of IDs of this kind; `None` for kinds whose IDs have no type yet.
    pub(super) const fn id_prefix(self) -> Option<&'static str> {
        match self {
            Self::ApiKey => Some(ApiKey::PREFIX),
            Self::Invitation => Some(Invitation::PREFIX),
            Self::Session => Some(Session::PREFIX),
            Self::ScimToken | Self::Operator | Self::System | Self::Anonymous => None,
        }
    }
}

/// An actor as it is recorded: enough to name it, not enough to act as it ([`Principal`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActorRef {
    /// The kind of actor.
    pub kind: ActorKind,
    /// The actor's ID; `None` for kinds without one.
    pub id: Option<Uuid>,
}

impl ActorRef {
    /// A client that failed to authenticate.
    pub const ANONYMOUS: Self = Self { kind: ActorKind::Anonymous, id: None };

    /// An API key.
    #[must_use]
    pub fn api_key(id: Id<ApiKey>) -> Self {
        Self { kind: ActorKind::ApiKey, id: Some(id.into()) }
    }

    /// A session.
    #[must_use]
    pub fn session(id: Id<Session>) -> Self {
        Self { kind: ActorKind::Session, id: Some(id.into()) }
    }
}

impl From<Principal> for ActorRef {
    fn from(principal: Principal) -> Self {
        match principal {
            Principal::ApiKey { id, .. } => Self::api_key(id),
            Principal::Session { id, .. } => Self::session(id),
            Principal::Invitation(id) => Self { kind: ActorKind::Invitation, id: Some(id.into()) },
            Principal::Operator => Self { kind: ActorKind::Operator, id: None },
            Principal::System => Self { kind: ActorKind::System, id: None },
        }
    }
}

/// The organization, actor and origin that an audit event is attributed to.
#[derive(Clone, Copy, Debug)]
pub struct Attribution {
    /// The organization whose log gets the event.
    pub organization_id: Id<Organization>,
    /// The actor.
    pub actor: ActorRef,
    /// The user on whose behalf the actor acted.
    pub user_id: Option<Id<User>>,
    /// The request that led to the event.
    pub origin: Origin,
}

impl From<&Caller> for Attribution {
    fn from(caller: &Caller) -> Self {
        Self {
            organization_id: caller.organization_id,
            actor: caller.principal.into(),
            user_id: caller.user_id(),
            origin: caller.origin,
        }
    }
}
