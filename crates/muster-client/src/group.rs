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
}

/// Permissions of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPermissions {
    /// ID of the organization, `org_…`.
    pub organization_id: String,
    /// All owners, by their membership or through a group.
    pub org_owners: Vec<PermissionHolder>,
    /// All users, or the requested user.
    pub users: Vec<PermissionHolder>,
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
