//! The target of an audit event.

use uuid::Uuid;

use crate::id::{ApiKey, Batch, Group, Id, Invitation, Kind, Organization, User};
use crate::names::names;

/// The object that an event is about.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No object with an ID: the action would have created one.
    Nothing,
    /// The organization as a whole.
    Organization(Id<Organization>),
    /// An API key.
    ApiKey(Id<ApiKey>),
    /// A batch of users.
    Batch(Id<Batch>),
    /// A group.
    Group(Id<Group>),
    /// An invitation.
    Invitation(Id<Invitation>),
    /// A user, or the user's membership.
    User(Id<User>),
}

names! {
    /// The kind of a [`Target`].
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum TargetKind {
        /// An organization.
        Organization = "organization",
        /// An API key.
        ApiKey = "api_key",
        /// A batch of users.
        Batch = "batch",
        /// A group.
        Group = "group",
        /// An invitation.
        Invitation = "invitation",
        /// A user.
        User = "user",
    }
}

impl TargetKind {
    /// The prefix of IDs of this kind.
    pub(super) const fn id_prefix(self) -> &'static str {
        match self {
            Self::Organization => Organization::PREFIX,
            Self::ApiKey => ApiKey::PREFIX,
            Self::Batch => Batch::PREFIX,
            Self::Group => Group::PREFIX,
            Self::Invitation => Invitation::PREFIX,
            Self::User => User::PREFIX,
        }
    }
}

impl Target {
    /// The kind; `None` for [`Target::Nothing`].
    pub(crate) const fn kind(self) -> Option<TargetKind> {
        match self {
            Self::Nothing => None,
            Self::Organization(_) => Some(TargetKind::Organization),
            Self::ApiKey(_) => Some(TargetKind::ApiKey),
            Self::Batch(_) => Some(TargetKind::Batch),
            Self::Group(_) => Some(TargetKind::Group),
            Self::Invitation(_) => Some(TargetKind::Invitation),
            Self::User(_) => Some(TargetKind::User),
        }
    }

    /// The ID, without its type: `audit_events.target_id` holds IDs of all kinds.
    pub(crate) fn id(self) -> Option<Uuid> {
        match self {
            Self::Nothing => None,
            Self::Organization(id) => Some(id.into()),
            Self::ApiKey(id) => Some(id.into()),
            Self::Batch(id) => Some(id.into()),
            Self::Group(id) => Some(id.into()),
            Self::Invitation(id) => Some(id.into()),
            Self::User(id) => Some(id.into()),
        }
    }

    /// The ID of a batch; `None` for other kinds.
    pub(crate) const fn batch_id(self) -> Option<Id<Batch>> {
        match self {
            Self::Batch(id) => Some(id),
            _ => None,
        }
    }
}
