//! What muster can do.

use std::fmt;

use super::Scope;

/// What muster can do, each with the dotted name that it has everywhere: in the audit
/// log, in spans, as OpenAPI operation id (with `_`) and as CLI command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make an organization.
    OrganizationCreate,
    /// List all organizations: for the local operator.
    OrganizationList,
    /// Give an organization another name.
    OrganizationRename,
    /// Create a list of users.
    UserBatchCreate,
    /// Find out what creating a list of users would do.
    UserBatchDryRun,
    /// Create one user of a batch: an audit entry each; nobody asks for it by itself.
    UserCreate,
    /// Look at a user.
    UserGet,
    /// Change a user's name, last name, title or address.
    UserUpdate,
    /// Keep a user out, with everything that is theirs kept.
    UserSuspend,
    /// Let a suspended user in again.
    UserReactivate,
    /// Delete a user, with everything that names them.
    UserDelete,
    /// Change a list of users.
    UserBatchUpdate,
    /// Suspend a list of users.
    UserBatchSuspend,
    /// Reactivate a list of users.
    UserBatchReactivate,
    /// Delete a list of users.
    UserBatchDelete,
    /// Make somebody an owner.
    OwnerGrant,
    /// List batches.
    BatchList,
    /// Look at a batch.
    BatchGet,
    /// Stop a batch before it is created.
    BatchCancel,
    /// Delete the users of a batch.
    BatchUndo,
    /// Ask who one is.
    UserInfo,
    /// List and search collaborators.
    CollaboratorList,
    /// Change what a membership allows.
    CollaboratorUpdate,
    /// End a membership, and with it the account.
    CollaboratorRemove,
    /// List who may do what.
    PermissionList,
    /// Invite a list of addresses.
    InvitationBatchCreate,
    /// Invite one address of a list: an audit entry each.
    InvitationCreate,
    /// List invitations that are open.
    InvitationList,
    /// Take an invitation back.
    InvitationInvalidate,
    /// Make the account that an invitation is for.
    InvitationAccept,
    /// Make an account for a program.
    ServiceAccountCreate,
    /// Make an API key for oneself.
    KeyCreate,
    /// List one's own API keys.
    KeyList,
    /// Give an API key of one's own a new secret.
    KeyRotate,
    /// Revoke an API key of one's own.
    KeyRevoke,
    /// Revoke the very key that asks.
    KeyRevokeSelf,
    /// Make, list, rotate and revoke API keys of others.
    KeyOthers,
    /// Revoke all API keys of a user, so that new ones can be made.
    KeyRotateForUser,
    /// Show an API key: an audit entry when it opens nothing.
    KeyUse,
    /// Let whoever has a one-time password act as oneself.
    LoginApprove,
    /// Make a group of users.
    GroupCreate,
    /// Give a group another name.
    GroupUpdate,
    /// Delete a group.
    GroupDelete,
    /// Put users into a group.
    GroupAddMembers,
    /// Take users out of a group.
    GroupRemoveMembers,
    /// List groups and their members.
    GroupList,
    /// Look at what groups are bound to.
    PolicyGet,
    /// Bind groups to what their members may do.
    PolicySet,
    /// Find out what leaving permissions to a directory would change.
    ScimMigrationPreview,
    /// Leave permissions to a directory's groups.
    ScimMigrate,
    /// Read the audit log.
    AuditList,
}

impl Action {
    /// The dotted name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationCreate => "organization.create",
            Self::OrganizationList => "organization.list",
            Self::OrganizationRename => "organization.rename",
            Self::UserBatchCreate => "user.batch_create",
            Self::UserBatchDryRun => "user.batch_dry_run",
            Self::UserCreate => "user.create",
            Self::UserGet => "user.get",
            Self::UserUpdate => "user.update",
            Self::UserSuspend => "user.suspend",
            Self::UserReactivate => "user.reactivate",
            Self::UserDelete => "user.delete",
            Self::UserBatchUpdate => "user.batch_update",
            Self::UserBatchSuspend => "user.batch_suspend",
            Self::UserBatchReactivate => "user.batch_reactivate",
            Self::UserBatchDelete => "user.batch_delete",
            Self::OwnerGrant => "owner.grant",
            Self::BatchList => "batch.list",
            Self::BatchGet => "batch.get",
            Self::BatchCancel => "batch.cancel",
            Self::BatchUndo => "batch.undo",
            Self::UserInfo => "user.info",
            Self::CollaboratorList => "collaborator.list",
            Self::CollaboratorUpdate => "collaborator.update",
            Self::CollaboratorRemove => "collaborator.remove",
            Self::PermissionList => "permission.list",
            Self::InvitationBatchCreate => "invitation.batch_create",
            Self::InvitationCreate => "invitation.create",
            Self::InvitationList => "invitation.list",
            Self::InvitationInvalidate => "invitation.invalidate",
            Self::InvitationAccept => "invitation.accept",
            Self::ServiceAccountCreate => "service_account.create",
            Self::KeyCreate => "key.create",
            Self::KeyList => "key.list",
            Self::KeyRotate => "key.rotate",
            Self::KeyRevoke => "key.revoke",
            Self::KeyRevokeSelf => "key.revoke_self",
            Self::KeyOthers => "key.others",
            Self::KeyRotateForUser => "key.rotate_for_user",
            Self::KeyUse => "key.use",
            Self::LoginApprove => "login.approve",
            Self::GroupCreate => "group.create",
            Self::GroupUpdate => "group.update",
            Self::GroupDelete => "group.delete",
            Self::GroupAddMembers => "group.add_members",
            Self::GroupRemoveMembers => "group.remove_members",
            Self::GroupList => "group.list",
            Self::PolicyGet => "policy.get",
            Self::PolicySet => "policy.set",
            Self::ScimMigrationPreview => "scim.migration_preview",
            Self::ScimMigrate => "scim.migrate",
            Self::AuditList => "audit.list",
        }
    }

    /// Whether it reaches beyond one organization, so that only the local operator may do it.
    pub(super) const fn is_for_the_operator(self) -> bool {
        matches!(self, Self::OrganizationCreate | Self::OrganizationList)
    }

    /// Whether a collaborator may do it. An owner may do everything in their organization.
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
                | Self::LoginApprove
                | Self::GroupList
                | Self::PolicyGet
        )
    }

    /// What a key has to have among its scopes to do it; `None`: nothing, every key may that its level lets.
    #[must_use]
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::OrganizationCreate
            | Self::OrganizationList
            | Self::OrganizationRename
            | Self::UserInfo
            | Self::InvitationAccept
            | Self::KeyRevokeSelf
            | Self::KeyOthers
            | Self::KeyUse => None,
            Self::UserBatchCreate
            | Self::UserBatchDryRun
            | Self::UserCreate
            | Self::UserUpdate
            | Self::UserSuspend
            | Self::UserReactivate
            | Self::UserDelete
            | Self::UserBatchUpdate
            | Self::UserBatchSuspend
            | Self::UserBatchReactivate
            | Self::UserBatchDelete
            | Self::OwnerGrant
            | Self::BatchCancel
            | Self::BatchUndo
            | Self::CollaboratorUpdate
            | Self::CollaboratorRemove
            | Self::ServiceAccountCreate
            | Self::ScimMigrate => Some(Scope::UsersWrite),
            Self::UserGet
            | Self::BatchList
            | Self::BatchGet
            | Self::CollaboratorList
            | Self::PermissionList
            | Self::ScimMigrationPreview => Some(Scope::UsersRead),
            Self::InvitationBatchCreate | Self::InvitationCreate | Self::InvitationInvalidate => {
                Some(Scope::InvitationsWrite)
            }
            Self::InvitationList => Some(Scope::InvitationsRead),
            Self::KeyCreate | Self::KeyRotate | Self::KeyRevoke | Self::KeyRotateForUser | Self::LoginApprove => {
                Some(Scope::KeysWrite)
            }
            Self::KeyList => Some(Scope::KeysRead),
            Self::GroupCreate
            | Self::GroupUpdate
            | Self::GroupDelete
            | Self::GroupAddMembers
            | Self::GroupRemoveMembers => Some(Scope::GroupsWrite),
            Self::GroupList => Some(Scope::GroupsRead),
            Self::PolicyGet => Some(Scope::PoliciesRead),
            Self::PolicySet => Some(Scope::PoliciesWrite),
            Self::AuditList => Some(Scope::AuditRead),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
