//! The target of an audit event.

use uuid::Uuid;

use crate::id::{ApiKey, Batch, Group, Id, Invitation, Kind, Organization, PasswordLink, Session, SsoProvider, User};
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
    /// A link with which a user sets a password.
    PasswordLink(Id<PasswordLink>),
    /// A session.
    Session(Id<Session>),
    /// An identity provider.
    SsoProvider(Id<SsoProvider>),
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
        /// A link with which a user sets a password.
        PasswordLink = "password_link",
        /// A session.
        Session = "session",
        /// An identity provider.
        SsoProvider = "sso_provider",
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
            Self::PasswordLink => PasswordLink::PREFIX,
            Self::Session => Session::PREFIX,
            Self::SsoProvider => SsoProvider::PREFIX,
            Self::User => User::PREFIX,
        }
    }
}

impl Target {
    /// The kind, and the ID without its type, since `audit_events.target_id` holds IDs of all kinds; `None` for
    /// [`Target::Nothing`].
    pub(crate) fn kind_and_id(self) -> Option<(TargetKind, Uuid)> {
        match self {
            Self::Nothing => None,
            Self::Organization(id) => Some((TargetKind::Organization, id.into())),
            Self::ApiKey(id) => Some((TargetKind::ApiKey, id.into())),
            Self::Batch(id) => Some((TargetKind::Batch, id.into())),
            Self::Group(id) => Some((TargetKind::Group, id.into())),
            Self::Invitation(id) => Some((TargetKind::Invitation, id.into())),
            Self::PasswordLink(id) => Some((TargetKind::PasswordLink, id.into())),
            Self::Session(id) => Some((TargetKind::Session, id.into())),
            Self::SsoProvider(id) => Some((TargetKind::SsoProvider, id.into())),
            Self::User(id) => Some((TargetKind::User, id.into())),
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
