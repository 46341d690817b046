//! The actions, which permissions and the audit log refer to.

use super::Scope;
use crate::names::names;

names! {
    /// An action. Its dotted name is used in the audit log, in spans and, with `_`, as OpenAPI operation ID, unless
    /// several routes share the action.
    pub enum Action {
        /// Create an organization.
        OrganizationCreate = "organization.create",
        /// List all organizations.
        OrganizationList = "organization.list",
        /// Rename an organization.
        OrganizationRename = "organization.rename",
        /// Create a list of users.
        UserBatchCreate = "user.batch_create",
        /// Check what creating a list of users would do.
        UserBatchDryRun = "user.batch_dry_run",
        /// Create one user of a batch. Recorded for each user, never requested on its own.
        UserCreate = "user.create",
        /// Read a user.
        UserGet = "user.get",
        /// Change a user's name, last name, title or e-mail address.
        UserUpdate = "user.update",
        /// Suspend a user.
        UserSuspend = "user.suspend",
        /// Reactivate a suspended user.
        UserReactivate = "user.reactivate",
        /// Delete a user, with all data that identifies the user.
        UserDelete = "user.delete",
        /// Change a list of users.
        UserBatchUpdate = "user.batch_update",
        /// Apply a list of users as the wished state.
        UserBatchApply = "user.batch_apply",
        /// Suspend a list of users.
        UserBatchSuspend = "user.batch_suspend",
        /// Reactivate a list of users.
        UserBatchReactivate = "user.batch_reactivate",
        /// Delete a list of users.
        UserBatchDelete = "user.batch_delete",
        /// Make a user an owner.
        OwnerGrant = "owner.grant",
        /// Change the address of an owner, or how an owner signs in.
        OwnerUpdate = "owner.update",
        /// List batches.
        BatchList = "batch.list",
        /// Read a batch.
        BatchGet = "batch.get",
        /// Cancel a batch in progress.
        BatchCancel = "batch.cancel",
        /// Undo a batch: delete its users.
        BatchUndo = "batch.undo",
        /// Read one's own user and organization.
        UserInfo = "user.info",
        /// List and search collaborators.
        CollaboratorList = "collaborator.list",
        /// Change the level of a membership.
        CollaboratorUpdate = "collaborator.update",
        /// End a membership and delete its user.
        CollaboratorRemove = "collaborator.remove",
        /// List the permissions of all users.
        PermissionList = "permission.list",
        /// Invite a list of addresses.
        InvitationBatchCreate = "invitation.batch_create",
        /// Invite one address of a list. Recorded for each address, never requested on its own.
        InvitationCreate = "invitation.create",
        /// List pending invitations.
        InvitationList = "invitation.list",
        /// Revoke an invitation.
        InvitationInvalidate = "invitation.invalidate",
        /// Accept an invitation: create its user.
        InvitationAccept = "invitation.accept",
        /// Create a service account.
        ServiceAccountCreate = "service_account.create",
        /// Create an API key for one's own user.
        KeyCreate = "key.create",
        /// List one's own API keys.
        KeyList = "key.list",
        /// Rotate the secret of one's own API key.
        KeyRotate = "key.rotate",
        /// Revoke one's own API key.
        KeyRevoke = "key.revoke",
        /// Revoke the API key in use.
        KeyRevokeSelf = "key.revoke_self",
        /// Create, list, rotate and revoke API keys of other users.
        KeyOthers = "key.others",
        /// Read the organization's maximum lifetime of API keys.
        KeyExpirationGet = "key.expiration_get",
        /// Set the organization's maximum lifetime of API keys.
        KeyExpirationSet = "key.expiration_set",
        /// Revoke all API keys of a user.
        KeyRotateForUser = "key.rotate_for_user",
        /// Authenticate with an API key. Recorded only if authentication fails.
        KeyUse = "key.use",
        /// Show who asks for a device login.
        LoginGet = "login.get",
        /// Approve a device login.
        LoginApprove = "login.approve",
        /// Deny a device login.
        LoginDeny = "login.deny",
        /// Create a group.
        GroupCreate = "group.create",
        /// Rename a group.
        GroupUpdate = "group.update",
        /// Delete a group.
        GroupDelete = "group.delete",
        /// Add users to a group.
        GroupAddMembers = "group.add_members",
        /// Remove users from a group.
        GroupRemoveMembers = "group.remove_members",
        /// List groups and their members.
        GroupList = "group.list",
        /// Read the bindings of groups to levels.
        PolicyGet = "policy.get",
        /// Bind groups to levels.
        PolicySet = "policy.set",
        /// Check what a migration to directory-managed permissions would change.
        ScimMigrationPreview = "scim.migration_preview",
        /// Migrate to permissions managed by a directory's groups.
        ScimMigration = "scim.migrate",
        /// Sign in.
        SessionStart = "session.start",
        /// End a session: sign out.
        SessionEnd = "session.end",
        /// List one's own sessions.
        SessionList = "session.list",
        /// List and end sessions of other users.
        SessionOthers = "session.others",
        /// Change one's own password.
        PasswordChange = "password.change",
        /// Replace a hash with one of the current parameters, at a sign-in.
        PasswordRehash = "password.rehash",
        /// Create links with which users set their passwords.
        PasswordLinkCreate = "password_link.create",
        /// Create such a link for an owner.
        PasswordLinkCreateForOwner = "password_link.create_for_owner",
        /// Set a password with a link.
        PasswordLinkUse = "password_link.use",
        /// Revoke a link.
        PasswordLinkRevoke = "password_link.revoke",
        /// Ask for a link to set a new password, by mail.
        PasswordResetRequest = "password_reset.request",
        /// List the messages that were sent by mail, or are to be.
        MailList = "mail.list",
        /// Send a failed message again.
        MailRetry = "mail.retry",
        /// Read how people sign in.
        SignInPolicyGet = "sign_in_policy.get",
        /// Decide how people sign in.
        SignInPolicySet = "sign_in_policy.set",
        /// Add an identity provider.
        SsoProviderCreate = "sso_provider.create",
        /// List identity providers.
        SsoProviderList = "sso_provider.list",
        /// Change an identity provider.
        SsoProviderUpdate = "sso_provider.update",
        /// Remove an identity provider.
        SsoProviderDelete = "sso_provider.delete",
        /// Read the metadata and keys of an identity provider now.
        SsoProviderTest = "sso_provider.test",
        /// Bind an identity of a provider to a user.
        SsoIdentityBind = "sso_identity.bind",
        /// Unbind an identity.
        SsoIdentityUnbind = "sso_identity.unbind",
        /// List the identities of a user.
        SsoIdentityList = "sso_identity.list",
        /// Link an identity to one's own account, or remove one.
        SsoIdentityLink = "sso_identity.link",
        /// End the sessions of a person, at the request of their identity provider.
        SsoLogout = "sso.logout",
        /// Encrypt the stored secrets with the first seal key.
        SecretReseal = "secret.reseal",
        /// Read the audit log.
        AuditList = "audit.list",
    }
}

/// What an API key needs for an action, apart from its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeededScope {
    /// No scope.
    Nothing,
    /// A key with this scope, or without scopes.
    One(Scope),
    /// A key that is not limited to scopes.
    All,
}

impl Action {
    /// Whether the action spans organizations: only the local operator may do it.
    pub(super) const fn is_for_the_operator(self) -> bool {
        matches!(self, Self::OrganizationCreate | Self::OrganizationList | Self::SsoLogout | Self::SecretReseal)
    }

    /// Whether a collaborator may do the action. An owner may do every action within the organization.
    pub(super) const fn is_for_collaborators(self) -> bool {
        matches!(
            self,
            Self::UserGet
                | Self::UserInfo
                | Self::CollaboratorList
                | Self::KeyCreate
                | Self::KeyList
                | Self::KeyRotate
                | Self::KeyRevoke
                | Self::KeyRevokeSelf
                | Self::KeyUse
                | Self::LoginGet
                | Self::LoginApprove
                | Self::LoginDeny
                | Self::SessionStart
                | Self::SessionEnd
                | Self::SessionList
                | Self::PasswordChange
                | Self::PasswordRehash
                | Self::PasswordLinkUse
                | Self::SsoIdentityLink
        )
    }

    /// Whether a session may do the action before the user has chosen a password: all it may do.
    pub(super) const fn is_for_must_change(self) -> bool {
        matches!(self, Self::SessionStart | Self::SessionEnd | Self::PasswordChange | Self::PasswordRehash)
    }

    /// Whether a session may do the action only a short time after the user has authenticated, since it creates credentials
    /// or gives permissions.
    pub(super) const fn needs_fresh_session(self) -> bool {
        matches!(
            self,
            Self::OwnerGrant
                | Self::OwnerUpdate
                | Self::KeyCreate
                | Self::KeyRotate
                | Self::ServiceAccountCreate
                | Self::LoginApprove
                | Self::PolicySet
                | Self::SignInPolicySet
                | Self::PasswordLinkCreateForOwner
                | Self::SsoProviderCreate
                | Self::SsoProviderUpdate
                | Self::SsoProviderDelete
                | Self::SsoIdentityBind
                | Self::SsoIdentityUnbind
                | Self::SsoIdentityLink
        )
    }

    /// What an API key needs for the action, apart from its level.
    #[must_use]
    pub const fn scope(self) -> NeededScope {
        use NeededScope::{All, Nothing, One};
        match self {
            // Who does one of these can sign in as an owner, or act as a person does in a browser: a key with fewer scopes must not.
            Self::OwnerGrant
            | Self::OwnerUpdate
            | Self::PasswordLinkCreateForOwner
            | Self::PasswordChange
            | Self::SessionEnd
            | Self::SsoIdentityBind
            | Self::SsoIdentityUnbind
            | Self::SsoIdentityLink
            | Self::SsoProviderCreate
            | Self::SsoProviderUpdate
            | Self::SsoProviderDelete
            | Self::SsoProviderTest => All,
            Self::OrganizationCreate
            | Self::OrganizationList
            | Self::OrganizationRename
            | Self::SsoLogout
            | Self::SecretReseal
            | Self::UserInfo
            | Self::InvitationAccept
            | Self::KeyRevokeSelf
            | Self::KeyOthers
            | Self::KeyUse
            | Self::SessionStart
            | Self::PasswordRehash
            | Self::PasswordLinkUse
            | Self::PasswordResetRequest => Nothing,
            Self::UserBatchCreate
            | Self::UserBatchDryRun
            | Self::UserCreate
            | Self::UserUpdate
            | Self::UserSuspend
            | Self::UserReactivate
            | Self::UserDelete
            | Self::UserBatchUpdate
            | Self::UserBatchApply
            | Self::UserBatchSuspend
            | Self::UserBatchReactivate
            | Self::UserBatchDelete
            | Self::BatchCancel
            | Self::BatchUndo
            | Self::CollaboratorUpdate
            | Self::CollaboratorRemove
            | Self::ServiceAccountCreate
            | Self::SessionOthers
            | Self::PasswordLinkCreate
            | Self::PasswordLinkRevoke
            | Self::MailRetry
            | Self::ScimMigration => One(Scope::UsersWrite),
            Self::UserGet
            | Self::BatchList
            | Self::BatchGet
            | Self::CollaboratorList
            | Self::PermissionList
            | Self::SessionList
            | Self::MailList
            | Self::SsoProviderList
            | Self::SsoIdentityList
            | Self::ScimMigrationPreview => One(Scope::UsersRead),
            Self::InvitationBatchCreate | Self::InvitationCreate | Self::InvitationInvalidate => {
                One(Scope::InvitationsWrite)
            }
            Self::InvitationList => One(Scope::InvitationsRead),
            Self::KeyCreate
            | Self::KeyRotate
            | Self::KeyRevoke
            | Self::KeyRotateForUser
            | Self::KeyExpirationSet
            | Self::LoginGet
            | Self::LoginDeny
            | Self::LoginApprove => One(Scope::KeysWrite),
            Self::KeyList | Self::KeyExpirationGet => One(Scope::KeysRead),
            Self::GroupCreate
            | Self::GroupUpdate
            | Self::GroupDelete
            | Self::GroupAddMembers
            | Self::GroupRemoveMembers => One(Scope::GroupsWrite),
            Self::GroupList => One(Scope::GroupsRead),
            Self::PolicyGet | Self::SignInPolicyGet => One(Scope::PoliciesRead),
            Self::PolicySet | Self::SignInPolicySet => One(Scope::PoliciesWrite),
            Self::AuditList => One(Scope::AuditRead),
        }
    }
}
