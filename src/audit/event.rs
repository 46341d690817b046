//! The closed list of what can be done.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Target;
use crate::caller::{Action, PermissionLevel, Scopes};
use crate::id::{ApiKey, Batch, Group, Id, Invitation, Organization, User};

/// Something that was done, recorded with the change that did it.
#[derive(Debug)]
pub enum Event {
    /// The organization was made.
    OrganizationCreated(Id<Organization>),
    /// The organization got another name.
    OrganizationRenamed(Id<Organization>),
    /// An API key was made.
    KeyCreated {
        /// Which.
        key_id: Id<ApiKey>,
        /// Whose; `None` for a key that acts for itself.
        user_id: Option<Id<User>>,
        /// What it allows.
        permission_level: PermissionLevel,
        /// What of that it may be used for.
        scopes: Scopes,
        /// Until when.
        expires_at: DateTime<Utc>,
        /// The lifetime that was asked for, in seconds, when it was more than there may be.
        asked_for_seconds: Option<i64>,
    },
    /// An API key got a new secret.
    KeyRotated {
        /// Which.
        key_id: Id<ApiKey>,
        /// Until when the old secret opens as well.
        previous_expires_at: DateTime<Utc>,
    },
    /// An API key was revoked.
    KeyRevoked(Id<ApiKey>),
    /// All API keys of a user were revoked.
    KeysRotatedForUser {
        /// Whose.
        user_id: Id<User>,
        /// How many were alive.
        keys: usize,
    },
    /// Whoever has a one-time password may act as somebody.
    LoginApproved {
        /// As this user; `None`: as the key that approved it, which is nobody's.
        user_id: Option<Id<User>>,
        /// The organization.
        organization_id: Id<Organization>,
    },
    /// A user was created, with their membership.
    UserCreated {
        /// Which.
        user_id: Id<User>,
        /// With which batch; `None` for one who was made alone.
        batch_id: Option<Id<Batch>>,
        /// What their membership allows.
        permission_level: PermissionLevel,
    },
    /// A user's profile was changed.
    UserUpdated {
        /// Which.
        user_id: Id<User>,
        /// The names of the fields that are different now.
        fields: Vec<&'static str>,
    },
    /// A user is kept out.
    UserSuspended(Id<User>),
    /// A user is let in again.
    UserReactivated(Id<User>),
    /// A user was deleted, with their membership, password, keys and everything that names them.
    UserDeleted {
        /// Which.
        user_id: Id<User>,
        /// The batch that was undone; `None` for one who was deleted by themselves.
        batch_id: Option<Id<Batch>>,
    },
    /// A list of users was changed, suspended, reactivated or deleted, with an event for each.
    UsersChanged {
        /// What was done to them: one of the `user.batch_…` actions.
        action: Action,
        /// In which organization.
        organization_id: Id<Organization>,
        /// How many.
        users: usize,
    },
    /// An account for a program was made.
    ServiceAccountCreated(Id<User>),
    /// A membership allows something else.
    CollaboratorUpdated {
        /// Whose.
        user_id: Id<User>,
        /// What it allowed.
        from: PermissionLevel,
        /// What it allows.
        to: PermissionLevel,
    },
    /// A membership ended.
    CollaboratorRemoved(Id<User>),
    /// An address was invited.
    InvitationCreated {
        /// Which.
        invitation_id: Id<Invitation>,
        /// What the account will be allowed.
        permission_level: PermissionLevel,
        /// Until when.
        expires_at: DateTime<Utc>,
        /// An open one for the same address, which this one replaces.
        replaces: Option<Id<Invitation>>,
    },
    /// A list of addresses was invited.
    InvitationsCreated {
        /// To which organization.
        organization_id: Id<Organization>,
        /// How many were invited.
        invitations: usize,
        /// How many could not be.
        refused: usize,
    },
    /// An invitation was taken back.
    InvitationInvalidated(Id<Invitation>),
    /// An invitation became an account.
    InvitationAccepted {
        /// Which.
        invitation_id: Id<Invitation>,
        /// Whose account.
        user_id: Id<User>,
    },
    /// A group was made.
    GroupCreated(Id<Group>),
    /// A group got another name.
    GroupUpdated(Id<Group>),
    /// A group was deleted.
    GroupDeleted(Id<Group>),
    /// Users were put into a group.
    GroupMembersAdded {
        /// Which.
        group_id: Id<Group>,
        /// Those who were not in it before.
        users: Vec<Id<User>>,
    },
    /// Users were taken out of a group.
    GroupMembersRemoved {
        /// Which.
        group_id: Id<Group>,
        /// Those who were in it before.
        users: Vec<Id<User>>,
    },
    /// Groups were bound to what their members may do.
    PolicySet {
        /// In which organization.
        organization_id: Id<Organization>,
        /// All groups whose members are owners now.
        owners: Vec<Id<Group>>,
        /// All groups whose members are collaborators now.
        collaborators: Vec<Id<Group>>,
    },
    /// Permissions were left to a directory's groups.
    ScimMigrated {
        /// In which organization.
        organization_id: Id<Organization>,
        /// How many users got other permissions.
        users: usize,
    },
    /// It was found out what a list of users would do; nothing else was written.
    BatchPlanned {
        /// In which organization.
        organization_id: Id<Organization>,
        /// How many users it would make.
        users: usize,
    },
    /// A batch was stopped before it was created.
    BatchCancelled(Id<Batch>),
    /// A batch was undone.
    BatchUndone {
        /// Which.
        batch_id: Id<Batch>,
        /// How many of its users were deleted.
        users: usize,
        /// How many were kept, because they had signed in or were changed.
        kept: usize,
    },
    /// A batch was created.
    BatchCreated {
        /// Which.
        batch_id: Id<Batch>,
        /// How many users it made.
        users: usize,
    },
}

impl Event {
    /// What was done.
    pub(crate) const fn action(&self) -> Action {
        match self {
            Self::OrganizationCreated(_) => Action::OrganizationCreate,
            Self::OrganizationRenamed(_) => Action::OrganizationRename,
            Self::KeyCreated { .. } => Action::KeyCreate,
            Self::KeyRotated { .. } => Action::KeyRotate,
            Self::KeyRevoked(_) => Action::KeyRevoke,
            Self::KeysRotatedForUser { .. } => Action::KeyRotateForUser,
            Self::LoginApproved { .. } => Action::LoginApprove,
            Self::UserCreated { .. } => Action::UserCreate,
            Self::UserUpdated { .. } => Action::UserUpdate,
            Self::UserSuspended(_) => Action::UserSuspend,
            Self::UserReactivated(_) => Action::UserReactivate,
            Self::UserDeleted { .. } => Action::UserDelete,
            Self::UsersChanged { action, .. } => *action,
            Self::ServiceAccountCreated(_) => Action::ServiceAccountCreate,
            Self::CollaboratorUpdated { .. } => Action::CollaboratorUpdate,
            Self::CollaboratorRemoved(_) => Action::CollaboratorRemove,
            Self::InvitationCreated { .. } => Action::InvitationCreate,
            Self::InvitationsCreated { .. } => Action::InvitationBatchCreate,
            Self::InvitationInvalidated(_) => Action::InvitationInvalidate,
            Self::InvitationAccepted { .. } => Action::InvitationAccept,
            Self::GroupCreated(_) => Action::GroupCreate,
            Self::GroupUpdated(_) => Action::GroupUpdate,
            Self::GroupDeleted(_) => Action::GroupDelete,
            Self::GroupMembersAdded { .. } => Action::GroupAddMembers,
            Self::GroupMembersRemoved { .. } => Action::GroupRemoveMembers,
            Self::PolicySet { .. } => Action::PolicySet,
            Self::ScimMigrated { .. } => Action::ScimMigrate,
            Self::BatchCreated { .. } => Action::UserBatchCreate,
            Self::BatchPlanned { .. } => Action::UserBatchDryRun,
            Self::BatchCancelled(_) => Action::BatchCancel,
            Self::BatchUndone { .. } => Action::BatchUndo,
        }
    }

    /// Whether it changes who is let in, or what somebody may do: whatever is remembered of that is
    /// forgotten with it.
    pub(crate) const fn changes_access(&self) -> bool {
        // Those that are made can't be remembered yet.
        !matches!(
            self,
            Self::OrganizationCreated(_)
                | Self::KeyCreated { .. }
                | Self::LoginApproved { .. }
                | Self::UserCreated { .. }
                | Self::ServiceAccountCreated(_)
                | Self::InvitationCreated { .. }
                | Self::InvitationsCreated { .. }
                | Self::InvitationInvalidated(_)
                | Self::InvitationAccepted { .. }
                | Self::GroupCreated(_)
                | Self::GroupUpdated(_)
                | Self::BatchPlanned { .. }
                | Self::BatchCancelled(_)
                | Self::BatchCreated { .. }
        )
    }

    /// To what.
    pub(crate) const fn target(&self) -> Target {
        match self {
            Self::OrganizationCreated(id) | Self::OrganizationRenamed(id) => Target::Organization(*id),
            Self::BatchPlanned { organization_id, .. }
            | Self::UsersChanged { organization_id, .. }
            | Self::InvitationsCreated { organization_id, .. }
            | Self::PolicySet { organization_id, .. }
            | Self::ScimMigrated { organization_id, .. }
            | Self::LoginApproved { user_id: None, organization_id } => Target::Organization(*organization_id),
            Self::KeyCreated { key_id, .. } | Self::KeyRotated { key_id, .. } | Self::KeyRevoked(key_id) => {
                Target::ApiKey(*key_id)
            }
            Self::UserCreated { user_id, .. }
            | Self::UserUpdated { user_id, .. }
            | Self::UserSuspended(user_id)
            | Self::UserReactivated(user_id)
            | Self::UserDeleted { user_id, .. }
            | Self::ServiceAccountCreated(user_id)
            | Self::CollaboratorUpdated { user_id, .. }
            | Self::CollaboratorRemoved(user_id)
            | Self::LoginApproved { user_id: Some(user_id), .. }
            | Self::KeysRotatedForUser { user_id, .. } => Target::User(*user_id),
            Self::InvitationCreated { invitation_id, .. }
            | Self::InvitationInvalidated(invitation_id)
            | Self::InvitationAccepted { invitation_id, .. } => Target::Invitation(*invitation_id),
            Self::GroupCreated(group_id)
            | Self::GroupUpdated(group_id)
            | Self::GroupDeleted(group_id)
            | Self::GroupMembersAdded { group_id, .. }
            | Self::GroupMembersRemoved { group_id, .. } => Target::Group(*group_id),
            Self::BatchCreated { batch_id, .. }
            | Self::BatchCancelled(batch_id)
            | Self::BatchUndone { batch_id, .. } => Target::Batch(*batch_id),
        }
    }

    /// As part of which batch.
    pub(crate) const fn batch_id(&self) -> Option<Id<Batch>> {
        match self {
            Self::UserCreated { batch_id, .. } | Self::UserDeleted { batch_id, .. } => *batch_id,
            Self::BatchCreated { batch_id, .. }
            | Self::BatchCancelled(batch_id)
            | Self::BatchUndone { batch_id, .. } => Some(*batch_id),
            _ => None,
        }
    }

    /// What else is worth knowing; `None` for nothing.
    pub(crate) fn details(&self) -> Option<Value> {
        match self {
            Self::KeyCreated { user_id, permission_level, scopes, expires_at, asked_for_seconds, .. } => {
                let details = [
                    ("permission_level", Some(json!(permission_level.as_str()))),
                    ("expires_at", Some(json!(expires_at))),
                    ("user_id", user_id.map(|user_id| json!(user_id))),
                    ("scopes", scopes.names().map(|names| json!(names))),
                    ("asked_for_seconds", asked_for_seconds.map(|seconds| json!(seconds))),
                ];
                let present = details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                Some(Value::Object(present.collect()))
            }
            Self::KeyRotated { previous_expires_at, .. } => Some(json!({ "previous_expires_at": previous_expires_at })),
            Self::KeysRotatedForUser { keys, .. } => Some(json!({ "keys": keys })),
            Self::UserCreated { permission_level: PermissionLevel::Owner, .. } => {
                Some(json!({ "permission_level": PermissionLevel::Owner.as_str() }))
            }
            Self::UserUpdated { fields, .. } => Some(json!({ "fields": fields })),
            Self::CollaboratorUpdated { from, to, .. } => Some(json!({ "from": from.as_str(), "to": to.as_str() })),
            Self::InvitationCreated { permission_level, expires_at, replaces, .. } => Some(json!({
                "permission_level": permission_level.as_str(),
                "expires_at": expires_at,
                "replaces": replaces,
            })),
            Self::InvitationsCreated { invitations, refused, .. } => {
                Some(json!({ "invitations": invitations, "refused": refused }))
            }
            Self::InvitationAccepted { user_id, .. } => Some(json!({ "user_id": user_id })),
            Self::GroupMembersAdded { users, .. } | Self::GroupMembersRemoved { users, .. } => {
                Some(json!({ "user_ids": users }))
            }
            Self::PolicySet { owners, collaborators, .. } => {
                Some(json!({ "owner": owners, "collaborator": collaborators }))
            }
            Self::BatchCreated { users, .. }
            | Self::BatchPlanned { users, .. }
            | Self::UsersChanged { users, .. }
            | Self::ScimMigrated { users, .. } => Some(json!({ "users": users })),
            Self::BatchUndone { users, kept, .. } => Some(json!({ "users": users, "kept": kept })),
            _ => None,
        }
    }
}
