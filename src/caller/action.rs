//! What muster can do.

use std::fmt;

use super::Scope;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $dotted:literal;)*) => {
        /// What muster can do, each with the dotted name that it has everywhere: in the audit
        /// log, in spans, as OpenAPI operation id (with `_`) and as CLI command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All that there are.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The dotted name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $dotted,)*
                }
            }
        }
    };
}

actions! {
    /// Make an organization.
    OrganizationCreate = "organization.create";
    /// List all organizations: for the local operator.
    OrganizationList = "organization.list";
    /// Give an organization another name.
    OrganizationRename = "organization.rename";
    /// Create a list of users.
    UserBatchCreate = "user.batch_create";
    /// Find out what creating a list of users would do.
    UserBatchDryRun = "user.batch_dry_run";
    /// Create one user of a batch: an audit entry each; nobody asks for it by itself.
    UserCreate = "user.create";
    /// Look at a user.
    UserGet = "user.get";
    /// Change a user's name, last name, title or address.
    UserUpdate = "user.update";
    /// Keep a user out, with everything that is theirs kept.
    UserSuspend = "user.suspend";
    /// Let a suspended user in again.
    UserReactivate = "user.reactivate";
    /// Delete a user, with everything that names them.
    UserDelete = "user.delete";
    /// Change a list of users.
    UserBatchUpdate = "user.batch_update";
    /// Suspend a list of users.
    UserBatchSuspend = "user.batch_suspend";
    /// Reactivate a list of users.
    UserBatchReactivate = "user.batch_reactivate";
    /// Delete a list of users.
    UserBatchDelete = "user.batch_delete";
    /// Make somebody an owner.
    OwnerGrant = "owner.grant";
    /// List batches.
    BatchList = "batch.list";
    /// Look at a batch.
    BatchGet = "batch.get";
    /// Stop a batch before it is created.
    BatchCancel = "batch.cancel";
    /// Delete the users of a batch.
    BatchUndo = "batch.undo";
    /// Ask who one is.
    UserInfo = "user.info";
    /// List and search collaborators.
    CollaboratorList = "collaborator.list";
    /// Change what a membership allows.
    CollaboratorUpdate = "collaborator.update";
    /// End a membership, and with it the account.
    CollaboratorRemove = "collaborator.remove";
    /// List who may do what.
    PermissionList = "permission.list";
    /// Invite a list of addresses.
    InvitationBatchCreate = "invitation.batch_create";
    /// Invite one address of a list: an audit entry each.
    InvitationCreate = "invitation.create";
    /// List invitations that are open.
    InvitationList = "invitation.list";
    /// Take an invitation back.
    InvitationInvalidate = "invitation.invalidate";
    /// Make the account that an invitation is for.
    InvitationAccept = "invitation.accept";
    /// Make an account for a program.
    ServiceAccountCreate = "service_account.create";
    /// Make an API key for oneself.
    KeyCreate = "key.create";
    /// List one's own API keys.
    KeyList = "key.list";
    /// Give an API key of one's own a new secret.
    KeyRotate = "key.rotate";
    /// Revoke an API key of one's own.
    KeyRevoke = "key.revoke";
    /// Revoke the very key that asks.
    KeyRevokeSelf = "key.revoke_self";
    /// Make, list, rotate and revoke API keys of others.
    KeyOthers = "key.others";
    /// Revoke all API keys of a user, so that new ones can be made.
    KeyRotateForUser = "key.rotate_for_user";
    /// Show an API key: an audit entry when it opens nothing.
    KeyUse = "key.use";
    /// Let whoever has a one-time password act as oneself.
    LoginApprove = "login.approve";
    /// Make a group of users.
    GroupCreate = "group.create";
    /// Give a group another name.
    GroupUpdate = "group.update";
    /// Delete a group.
    GroupDelete = "group.delete";
    /// Put users into a group.
    GroupAddMembers = "group.add_members";
    /// Take users out of a group.
    GroupRemoveMembers = "group.remove_members";
    /// List groups and their members.
    GroupList = "group.list";
    /// Look at what groups are bound to.
    PolicyGet = "policy.get";
    /// Bind groups to what their members may do.
    PolicySet = "policy.set";
    /// Find out what leaving permissions to a directory would change.
    ScimMigrationPreview = "scim.migration_preview";
    /// Leave permissions to a directory's groups.
    ScimMigrate = "scim.migrate";
    /// Read the audit log.
    AuditList = "audit.list";
}

impl Action {
    /// The action with this dotted name; `None`: there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == name)
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
