//! What an event is about.

use uuid::Uuid;

use crate::id::{ApiKey, Batch, Group, Id, Invitation, Organization, User};

/// What something was done to, or would have been.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Nothing that has an id: something would have been made.
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
    /// A user, or their membership.
    User(Id<User>),
}

impl Target {
    /// Its kind, as the audit log names it.
    pub(crate) const fn kind(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Organization(_) => Some("organization"),
            Self::ApiKey(_) => Some("api_key"),
            Self::Batch(_) => Some("batch"),
            Self::Group(_) => Some("group"),
            Self::Invitation(_) => Some("invitation"),
            Self::User(_) => Some("user"),
        }
    }

    /// Its id.
    pub(crate) const fn id(self) -> Option<Uuid> {
        match self {
            Self::Nothing => None,
            Self::Organization(id) => Some(id.uuid()),
            Self::ApiKey(id) => Some(id.uuid()),
            Self::Batch(id) => Some(id.uuid()),
            Self::Group(id) => Some(id.uuid()),
            Self::Invitation(id) => Some(id.uuid()),
            Self::User(id) => Some(id.uuid()),
        }
    }

    /// Its id if it is a batch.
    pub(crate) const fn batch_id(self) -> Option<Uuid> {
        match self {
            Self::Batch(id) => Some(id.uuid()),
            _ => None,
        }
    }
}
