//! Groups and policies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A group of users that share permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Group {
    /// ID of the group, `ug_…`.
    pub id: String,
    /// Name of the group, unique in the organization regardless of case.
    pub name: String,
    /// ID of the organization, `org_…`.
    pub org_id: String,
    /// `user` for a group that is managed here; `scim` for a group that a directory manages, which is read-only here.
    pub source: Option<String>,
    /// Permissions that the organization's policy grants the members; `null` for none.
    pub organization_permissions: Option<GroupPermissions>,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// Time of the last change of the name.
    pub updated_at: DateTime<Utc>,
}

/// Permissions of the members of a group in the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupPermissions {
    /// `owner` or `collaborator`.
    pub base_role: Option<String>,
    /// Always empty.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub additional_roles: Vec<String>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupMember {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub user_email: String,
    /// First and last name.
    pub user_name: String,
    /// Time at which the user was added; absent in the list of all memberships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<DateTime<Utc>>,
}

/// A group with all its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupMembership {
    /// ID of the group, `ug_…`.
    pub group_id: String,
    /// Name of the group.
    pub group_name: String,
    /// The members.
    pub members: Vec<GroupMember>,
}

#[derive(Deserialize)]
pub(crate) struct Memberships {
    pub(crate) groups: Vec<GroupMembership>,
}

/// A user to add to or remove from a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupUser {
    /// ID (`usr_…`) or e-mail address of the user.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub user: String,
}

impl GroupUser {
    /// A user, by ID or e-mail address.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into() }
    }
}

/// Result of adding users to a group or removing them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChanged {
    /// ID of the group, `ug_…`.
    pub group_id: String,
    /// Number of users added; 0 if users were removed.
    #[serde(default)]
    pub added: u64,
    /// Number of users removed; 0 if users were added.
    #[serde(default)]
    pub removed: u64,
    /// Number of users that already were members, or were not members.
    pub unchanged: u64,
}

/// A role and the groups that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyBinding {
    /// `owner` or `collaborator`.
    #[cfg_attr(feature = "schema", schema(example = "owner"))]
    pub role_name: String,
    /// IDs of groups, `ug_…`.
    #[cfg_attr(feature = "schema", schema(example = json!(["ug_01k9h6m3x0e8wbz1v5n7q2r4t6"])))]
    pub principals: Vec<String>,
}

/// The policy of the organization: the roles of its groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Policy {
    /// Bindings, owners first. Roles without groups are omitted.
    pub bindings: Vec<PolicyBinding>,
    /// Always `success`: a policy takes effect immediately. The vendor's service also sends `pending` and `failed`.
    pub sync_status: String,
    /// What the policy changes: in the response to a dry run, or to a request with a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<PolicyChanges>,
}

/// What a policy changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyChanges {
    /// Users who become owners, by ID.
    pub gained: Vec<PolicyAffectedUser>,
    /// Users who are no longer owners, by ID.
    pub lost: Vec<PolicyAffectedUser>,
    /// Binds the request that sets the policy to these changes, as `Muster-Plan`.
    #[cfg_attr(feature = "schema", schema(example = "policy1_…"))]
    pub plan: String,
}

/// A user whose permissions a policy changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyAffectedUser {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Whether the user is a service account.
    pub is_service_account: bool,
    /// Names of the groups through which the user becomes an owner, or was one.
    pub groups: Vec<String>,
}

/// Permissions of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPermissions {
    /// ID of the organization, `org_…`.
    pub organization_id: String,
    /// All owners, by their membership or through a group.
    pub org_owners: Vec<OwnerPermission>,
    /// All users, or the requested user.
    pub users: Vec<PermissionHolder>,
}

/// An owner in a list of permissions, and why. The vendor's servers do not send the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OwnerPermission {
    /// The user.
    #[serde(flatten)]
    pub user: PermissionHolder,
    /// Whether the user is an owner by their own permission level.
    #[serde(default)]
    pub is_own_level: bool,
    /// Names of the groups through which the user is an owner.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A user in a list of permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PermissionHolder {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub user_email: String,
    /// Whether the user is a service account.
    pub is_service_account: bool,
}
