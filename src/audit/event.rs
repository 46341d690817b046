//! The events of changes.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Target, address};
use crate::caller::{Action, PermissionLevel, Scopes, Stage};
use crate::id::{
    ApiKey, Batch, Group, Id, Invitation, Mail, Organization, PasswordLink, Session, SsoIdentity, SsoProvider, User,
};

/// An event, recorded in the transaction of its change.
#[derive(Debug)]
pub enum Event {
    /// The organization was created.
    OrganizationCreated(Id<Organization>),
    /// The organization was renamed.
    OrganizationRenamed(Id<Organization>),
    /// An API key was created.
    KeyCreated {
        /// The key.
        key_id: Id<ApiKey>,
        /// The key's user; `None` for a key without a user.
        user_id: Option<Id<User>>,
        /// The key's level.
        permission_level: PermissionLevel,
        /// The key's scopes.
        scopes: Scopes,
        /// The end of the lifetime.
        expires_at: DateTime<Utc>,
        /// The requested lifetime in seconds, if it exceeded the maximum.
        asked_for_seconds: Option<i64>,
    },
    /// The secret of an API key was rotated.
    KeyRotated {
        /// The key.
        key_id: Id<ApiKey>,
        /// How long the previous secret stays valid.
        previous_expires_at: DateTime<Utc>,
        /// The end of the lifetime, if the organization's maximum shortened it.
        expires_at: Option<DateTime<Utc>>,
    },
    /// An API key was revoked.
    KeyRevoked(Id<ApiKey>),
    /// The organization's maximum lifetime of API keys was set.
    KeyExpirationSet {
        /// The organization.
        organization_id: Id<Organization>,
        /// The maximum in days; `None` for none.
        max_days: Option<u32>,
    },
    /// All API keys of a user were revoked.
    KeysRotatedForUser {
        /// The user.
        user_id: Id<User>,
        /// The number of keys that were active.
        keys: usize,
    },
    /// A device login was approved.
    LoginApproved {
        /// The user on whose behalf the new key acts; `None` if the approving key has no user.
        user_id: Option<Id<User>>,
        /// The organization.
        organization_id: Id<Organization>,
    },
    /// A user did not recognize a device login and denied it.
    LoginDenied(Id<User>),
    /// A user was created, with their membership.
    UserCreated {
        /// The user.
        user_id: Id<User>,
        /// The batch; `None` for a user created on their own.
        batch_id: Option<Id<Batch>>,
        /// The level of the membership.
        permission_level: PermissionLevel,
    },
    /// A user's profile was changed.
    UserUpdated {
        /// The user.
        user_id: Id<User>,
        /// The names of the changed fields.
        fields: Vec<Cow<'static, str>>,
    },
    /// A user was suspended.
    UserSuspended(Id<User>),
    /// A user was suspended because the account expired.
    UserExpired(Id<User>),
    /// A user was reactivated.
    UserReactivated(Id<User>),
    /// A user was deleted, with membership, password, API keys and all other data that identifies the user.
    UserDeleted {
        /// The user.
        user_id: Id<User>,
        /// The batch that was undone; `None` for a user deleted on their own.
        batch_id: Option<Id<Batch>>,
    },
    /// A list of users was changed, suspended, reactivated or deleted. Each user has an event as well.
    UsersChanged {
        /// One of the `user.batch_…` actions.
        action: Action,
        /// The organization.
        organization_id: Id<Organization>,
        /// The number of users.
        users: usize,
    },
    /// A service account was created.
    ServiceAccountCreated(Id<User>),
    /// The level of a membership was changed.
    CollaboratorUpdated {
        /// The member.
        user_id: Id<User>,
        /// The previous level.
        from: PermissionLevel,
        /// The new level.
        to: PermissionLevel,
    },
    /// A membership ended.
    CollaboratorRemoved(Id<User>),
    /// An address was invited.
    InvitationCreated {
        /// The invitation.
        invitation_id: Id<Invitation>,
        /// The level of the future membership.
        permission_level: PermissionLevel,
        /// The end of the lifetime.
        expires_at: DateTime<Utc>,
        /// The pending invitation for the same address that the new one replaces.
        replaces: Option<Id<Invitation>>,
    },
    /// A list of addresses was invited.
    InvitationsCreated {
        /// The organization.
        organization_id: Id<Organization>,
        /// The number of addresses invited.
        invitations: usize,
        /// The number of addresses rejected.
        refused: usize,
    },
    /// An invitation was revoked.
    InvitationInvalidated(Id<Invitation>),
    /// An invitation was accepted.
    InvitationAccepted {
        /// The invitation.
        invitation_id: Id<Invitation>,
        /// The user that was created.
        user_id: Id<User>,
    },
    /// A group was created.
    GroupCreated(Id<Group>),
    /// A group was renamed.
    GroupUpdated(Id<Group>),
    /// A group was deleted.
    GroupDeleted(Id<Group>),
    /// Users were added to a group.
    GroupMembersAdded {
        /// The group.
        group_id: Id<Group>,
        /// The users who were not members before.
        users: Vec<Id<User>>,
    },
    /// Users were removed from a group.
    GroupMembersRemoved {
        /// The group.
        group_id: Id<Group>,
        /// The users who were members before.
        users: Vec<Id<User>>,
    },
    /// Groups were bound to levels.
    PolicySet {
        /// The organization.
        organization_id: Id<Organization>,
        /// All groups now bound to the owner level.
        owners: Vec<Id<Group>>,
        /// All groups now bound to the collaborator level.
        collaborators: Vec<Id<Group>>,
    },
    /// Permissions were migrated to a directory's groups.
    ScimMigrated {
        /// The organization.
        organization_id: Id<Organization>,
        /// The number of users whose permissions changed.
        users: usize,
    },
    /// A list of users was planned. Nothing else was written.
    BatchPlanned {
        /// The organization.
        organization_id: Id<Organization>,
        /// The number of users that the list would create.
        users: usize,
    },
    /// A batch in progress was cancelled.
    BatchCancelled(Id<Batch>),
    /// A batch was undone.
    BatchUndone {
        /// The batch.
        batch_id: Id<Batch>,
        /// The number of its users that were deleted.
        users: usize,
        /// The number of users kept, because they had signed in or were changed.
        kept: usize,
    },
    /// A user signed in.
    SessionStarted {
        /// The user.
        user_id: Id<User>,
        /// How the user authenticated.
        method: &'static str,
        /// What the session may do.
        stage: Stage,
        /// The name of the identity provider.
        provider: Option<String>,
    },
    /// A session was ended.
    SessionEnded {
        /// The session.
        session_id: Id<Session>,
        /// Its user.
        user_id: Id<User>,
        /// Why.
        reason: &'static str,
    },
    /// All sessions of a user were ended.
    SessionsEnded {
        /// The user.
        user_id: Id<User>,
        /// The number of sessions.
        sessions: usize,
    },
    /// A user changed their own password.
    PasswordChanged {
        /// The user.
        user_id: Id<User>,
        /// The number of other sessions that were ended.
        sessions: usize,
        /// The number of API keys that were revoked.
        keys: usize,
    },
    /// A user's password was hashed with the current parameters.
    PasswordRehashed(Id<User>),
    /// A link to set a password was created.
    PasswordLinkCreated {
        /// The link.
        link_id: Id<PasswordLink>,
        /// The user.
        user_id: Id<User>,
        /// What it is for.
        purpose: &'static str,
        /// The end of its lifetime.
        expires_at: DateTime<Utc>,
    },
    /// A link to set a new password was created, because somebody asked for it with the user's address.
    PasswordResetRequested {
        /// The link.
        link_id: Id<PasswordLink>,
        /// The user.
        user_id: Id<User>,
        /// The end of its lifetime.
        expires_at: DateTime<Utc>,
    },
    /// A failed message was queued again.
    MailRetried {
        /// The message.
        mail_id: Id<Mail>,
        /// The recipient.
        user_id: Id<User>,
    },
    /// A password was set with a link.
    PasswordLinkUsed {
        /// The link.
        link_id: Id<PasswordLink>,
        /// The user.
        user_id: Id<User>,
        /// The number of sessions that were ended.
        sessions: usize,
    },
    /// It was decided how people sign in.
    SignInPolicySet {
        /// The organization.
        organization_id: Id<Organization>,
        /// `sso_mode` and `owners_sso` before.
        before: [&'static str; 2],
        /// The new ones.
        after: [&'static str; 2],
        /// The number of sessions that were ended.
        sessions: usize,
    },
    /// An identity provider was added.
    SsoProviderCreated(Id<SsoProvider>),
    /// An identity provider was changed.
    SsoProviderUpdated {
        /// The provider.
        provider_id: Id<SsoProvider>,
        /// The number of sessions that were ended, because it was disabled.
        sessions: usize,
    },
    /// The secrets of an identity provider were encrypted with another seal key.
    SsoProviderResealed(Id<SsoProvider>),
    /// An identity provider was removed.
    SsoProviderDeleted {
        /// The provider.
        provider_id: Id<SsoProvider>,
        /// The number of sessions that were ended.
        sessions: usize,
    },
    /// An identity was bound to a user.
    SsoIdentityBound {
        /// The identity.
        identity_id: Id<SsoIdentity>,
        /// The user.
        user_id: Id<User>,
        /// The provider.
        provider_id: Id<SsoProvider>,
        /// `address`, `created`, `account`, `owner` or `operator`.
        how: &'static str,
    },
    /// An identity was unbound.
    SsoIdentityUnbound {
        /// The identity.
        identity_id: Id<SsoIdentity>,
        /// The user.
        user_id: Id<User>,
    },
    /// A provider ended sessions.
    SsoLoggedOut {
        /// The provider.
        provider_id: Id<SsoProvider>,
        /// The number of sessions.
        sessions: usize,
    },
    /// A batch was created.
    BatchCreated {
        /// The batch.
        batch_id: Id<Batch>,
        /// The number of users created.
        users: usize,
    },
}

/// An event of a change, with the digest of the address of its target.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) event: Event,
    pub(crate) target_email_hmac: Option<address::Digest>,
}

impl Event {
    /// The action.
    pub(crate) const fn action(&self) -> Action {
        match self {
            Self::OrganizationCreated(_) => Action::OrganizationCreate,
            Self::OrganizationRenamed(_) => Action::OrganizationRename,
            Self::KeyCreated { .. } => Action::KeyCreate,
            Self::KeyRotated { .. } => Action::KeyRotate,
            Self::KeyRevoked(_) => Action::KeyRevoke,
            Self::KeyExpirationSet { .. } => Action::KeyExpirationSet,
            Self::KeysRotatedForUser { .. } => Action::KeyRotateForUser,
            Self::LoginApproved { .. } => Action::LoginApprove,
            Self::LoginDenied(_) => Action::LoginDeny,
            Self::UserCreated { .. } => Action::UserCreate,
            Self::UserUpdated { .. } => Action::UserUpdate,
            Self::UserSuspended(_) | Self::UserExpired(_) => Action::UserSuspend,
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
            Self::ScimMigrated { .. } => Action::ScimMigration,
            Self::BatchCreated { .. } => Action::UserBatchCreate,
            Self::BatchPlanned { .. } => Action::UserBatchDryRun,
            Self::BatchCancelled(_) => Action::BatchCancel,
            Self::BatchUndone { .. } => Action::BatchUndo,
            Self::SessionStarted { .. } => Action::SessionStart,
            Self::SessionEnded { .. } | Self::SessionsEnded { .. } => Action::SessionEnd,
            Self::PasswordChanged { .. } => Action::PasswordChange,
            Self::PasswordRehashed(_) => Action::PasswordRehash,
            Self::PasswordLinkCreated { .. } => Action::PasswordLinkCreate,
            Self::PasswordResetRequested { .. } => Action::PasswordResetRequest,
            Self::MailRetried { .. } => Action::MailRetry,
            Self::PasswordLinkUsed { .. } => Action::PasswordLinkUse,
            Self::SignInPolicySet { .. } => Action::SignInPolicySet,
            Self::SsoProviderCreated(_) => Action::SsoProviderCreate,
            Self::SsoProviderUpdated { .. } => Action::SsoProviderUpdate,
            Self::SsoProviderResealed(_) => Action::SecretReseal,
            Self::SsoProviderDeleted { .. } => Action::SsoProviderDelete,
            Self::SsoIdentityBound { .. } => Action::SsoIdentityBind,
            Self::SsoIdentityUnbound { .. } => Action::SsoIdentityUnbind,
            Self::SsoLoggedOut { .. } => Action::SsoLogout,
        }
    }

    /// Whether the event can change who is authenticated or what a caller may do. The cache of holders is cleared
    /// then ([`crate::caller::Holders`]).
    pub(crate) const fn changes_access(&self) -> bool {
        match self {
            // A holder that has just been created is not cached yet.
            Self::OrganizationCreated(_)
            | Self::KeyCreated { .. }
            | Self::KeyExpirationSet { .. }
            | Self::LoginApproved { .. }
            | Self::LoginDenied(_)
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
            | Self::SessionStarted { .. }
            | Self::PasswordRehashed(_)
            | Self::PasswordLinkCreated { .. }
            | Self::PasswordResetRequested { .. }
            | Self::MailRetried { .. }
            | Self::SsoProviderCreated(_)
            | Self::SsoIdentityBound { .. }
            | Self::BatchCreated { .. } => false,
            Self::OrganizationRenamed(_)
            | Self::KeyRotated { .. }
            | Self::KeyRevoked(_)
            | Self::KeysRotatedForUser { .. }
            | Self::UserUpdated { .. }
            | Self::UserSuspended(_)
            | Self::UserExpired(_)
            | Self::UserReactivated(_)
            | Self::UserDeleted { .. }
            | Self::UsersChanged { .. }
            | Self::CollaboratorUpdated { .. }
            | Self::CollaboratorRemoved(_)
            | Self::GroupDeleted(_)
            | Self::GroupMembersAdded { .. }
            | Self::GroupMembersRemoved { .. }
            | Self::PolicySet { .. }
            | Self::ScimMigrated { .. }
            | Self::SessionEnded { .. }
            | Self::SessionsEnded { .. }
            | Self::PasswordChanged { .. }
            | Self::PasswordLinkUsed { .. }
            | Self::SignInPolicySet { .. }
            | Self::SsoProviderUpdated { .. }
            | Self::SsoProviderResealed(_)
            | Self::SsoProviderDeleted { .. }
            | Self::SsoIdentityUnbound { .. }
            | Self::SsoLoggedOut { .. }
            | Self::BatchUndone { .. } => true,
        }
    }

    /// The target.
    pub(crate) const fn target(&self) -> Target {
        match self {
            Self::OrganizationCreated(id) | Self::OrganizationRenamed(id) => Target::Organization(*id),
            Self::BatchPlanned { organization_id, .. }
            | Self::UsersChanged { organization_id, .. }
            | Self::InvitationsCreated { organization_id, .. }
            | Self::PolicySet { organization_id, .. }
            | Self::SignInPolicySet { organization_id, .. }
            | Self::ScimMigrated { organization_id, .. }
            | Self::KeyExpirationSet { organization_id, .. }
            | Self::LoginApproved { user_id: None, organization_id } => Target::Organization(*organization_id),
            Self::KeyCreated { key_id, .. } | Self::KeyRotated { key_id, .. } | Self::KeyRevoked(key_id) => {
                Target::ApiKey(*key_id)
            }
            Self::UserCreated { user_id, .. }
            | Self::UserUpdated { user_id, .. }
            | Self::UserSuspended(user_id)
            | Self::UserExpired(user_id)
            | Self::UserReactivated(user_id)
            | Self::UserDeleted { user_id, .. }
            | Self::ServiceAccountCreated(user_id)
            | Self::CollaboratorUpdated { user_id, .. }
            | Self::CollaboratorRemoved(user_id)
            | Self::LoginApproved { user_id: Some(user_id), .. }
            | Self::LoginDenied(user_id)
            | Self::SessionStarted { user_id, .. }
            | Self::SessionsEnded { user_id, .. }
            | Self::PasswordChanged { user_id, .. }
            | Self::PasswordRehashed(user_id)
            | Self::PasswordLinkCreated { user_id, .. }
            | Self::PasswordResetRequested { user_id, .. }
            | Self::MailRetried { user_id, .. }
            | Self::PasswordLinkUsed { user_id, .. }
            | Self::SsoIdentityBound { user_id, .. }
            | Self::SsoIdentityUnbound { user_id, .. }
            | Self::KeysRotatedForUser { user_id, .. } => Target::User(*user_id),
            Self::SessionEnded { session_id, .. } => Target::Session(*session_id),
            Self::SsoProviderCreated(provider_id)
            | Self::SsoProviderResealed(provider_id)
            | Self::SsoProviderUpdated { provider_id, .. }
            | Self::SsoProviderDeleted { provider_id, .. }
            | Self::SsoLoggedOut { provider_id, .. } => Target::SsoProvider(*provider_id),
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

    /// The batch that the event is part of.
    pub(crate) const fn batch_id(&self) -> Option<Id<Batch>> {
        match self {
            Self::UserCreated { batch_id, .. } | Self::UserDeleted { batch_id, .. } => *batch_id,
            _ => self.target().batch_id(),
        }
    }

    /// The fields that only this event has.
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
            Self::KeyRotated { previous_expires_at, expires_at: None, .. } => {
                Some(json!({ "previous_expires_at": previous_expires_at }))
            }
            Self::KeyRotated { previous_expires_at, expires_at, .. } => {
                Some(json!({ "previous_expires_at": previous_expires_at, "expires_at": expires_at }))
            }
            Self::KeyExpirationSet { max_days, .. } => Some(json!({ "max_days": max_days })),
            Self::KeysRotatedForUser { keys, .. } => Some(json!({ "keys": keys })),
            Self::UserCreated { permission_level: PermissionLevel::Owner, .. } => {
                Some(json!({ "permission_level": PermissionLevel::Owner.as_str() }))
            }
            Self::UserUpdated { fields, .. } => Some(json!({ "fields": fields })),
            Self::UserExpired(_) => Some(json!({ "reason": "expired" })),
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
            Self::SignInPolicySet { before, after, sessions, .. } => {
                let rules =
                    |[sso_mode, owners_sso]: &[&str; 2]| json!({ "sso_mode": sso_mode, "owners_sso": owners_sso });
                Some(json!({ "from": rules(before), "to": rules(after), "ended_sessions": sessions }))
            }
            Self::BatchCreated { users, .. }
            | Self::BatchPlanned { users, .. }
            | Self::UsersChanged { users, .. }
            | Self::ScimMigrated { users, .. } => Some(json!({ "users": users })),
            Self::BatchUndone { users, kept, .. } => Some(json!({ "users": users, "kept": kept })),
            Self::SessionStarted { method, stage, provider, .. } => Some(match provider {
                Some(provider) => json!({ "method": method, "stage": stage.as_str(), "provider": provider }),
                None => json!({ "method": method, "stage": stage.as_str() }),
            }),
            Self::SessionEnded { user_id, reason, .. } => Some(json!({ "user_id": user_id, "reason": reason })),
            Self::SessionsEnded { sessions, .. } => Some(json!({ "sessions": sessions })),
            Self::PasswordChanged { sessions, keys, .. } => {
                Some(json!({ "ended_sessions": sessions, "revoked_keys": keys }))
            }
            Self::PasswordLinkCreated { link_id, purpose, expires_at, .. } => {
                Some(json!({ "link_id": link_id, "purpose": purpose, "expires_at": expires_at }))
            }
            Self::PasswordResetRequested { link_id, expires_at, .. } => {
                Some(json!({ "link_id": link_id, "expires_at": expires_at }))
            }
            Self::MailRetried { mail_id, .. } => Some(json!({ "mail_id": mail_id })),
            Self::SsoProviderUpdated { sessions, .. }
            | Self::SsoProviderDeleted { sessions, .. }
            | Self::SsoLoggedOut { sessions, .. } => Some(json!({ "ended_sessions": sessions })),
            Self::SsoIdentityBound { identity_id, provider_id, how, .. } => {
                Some(json!({ "identity_id": identity_id, "provider_id": provider_id, "how": how }))
            }
            Self::SsoIdentityUnbound { identity_id, .. } => Some(json!({ "identity_id": identity_id })),
            Self::PasswordLinkUsed { link_id, sessions, .. } => {
                Some(json!({ "link_id": link_id, "ended_sessions": sessions }))
            }
            _ => None,
        }
    }
}
