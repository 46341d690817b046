//! Groups, and what their members may do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Users who get permissions together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `ug_…`.
    pub id: String,
    /// What it is called. No two groups of an organization have names that differ in case only.
    pub name: String,
    /// The organization, `org_…`.
    pub org_id: String,
    /// `user`: made and edited here. `scim`: kept by a directory, and not to be edited here.
    pub source: Option<String>,
    /// What the organization's policy lets its members be; `None`: nothing in particular.
    pub organization_permissions: Option<GroupPermissions>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it got its name.
    pub updated_at: DateTime<Utc>,
}

/// What the members of a group are in the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPermissions {
    /// `owner` or `collaborator`; `None` is no access.
    pub base_role: Option<String>,
    /// Roles on top of it.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub additional_roles: Vec<String>,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub user_email: String,
    /// First and last name.
    pub user_name: String,
    /// Since when; where only names are listed, `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_at: Option<DateTime<Utc>>,
}

/// A group with all its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMembership {
    /// `ug_…`.
    pub group_id: String,
    /// What it is called.
    pub group_name: String,
    /// Who is in it.
    pub members: Vec<GroupMember>,
}

#[derive(Deserialize)]
pub(crate) struct Memberships {
    pub(crate) groups: Vec<GroupMembership>,
}

/// Somebody who has an account, in a list of those who are put into a group or taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupUser {
    /// Who: a user's id (`usr_…`), or their address in any spelling.
    pub user: String,
}

impl GroupUser {
    /// Somebody, by id or address.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into() }
    }
}

/// How a list has changed who is in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChanged {
    /// `ug_…`.
    pub group_id: String,
    /// How many were put in; 0 when users were taken out.
    #[serde(default)]
    pub added: u64,
    /// How many were taken out; 0 when users were put in.
    #[serde(default)]
    pub removed: u64,
    /// How many were in already, or were not in at all.
    pub unchanged: u64,
}

/// A role, and the groups whose members have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyBinding {
    /// `owner` or `collaborator`.
    pub role_name: String,
    /// Ids of groups.
    pub principals: Vec<String>,
}

/// What the members of groups may do in the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Owners first. Roles that no group is bound to are left out.
    pub bindings: Vec<PolicyBinding>,
    /// `success`; the vendor's service knows `pending` and `failed`, too.
    pub sync_status: String,
}

/// What is sent to set a policy.
#[derive(Serialize)]
pub(crate) struct NewPolicy<'a> {
    pub(crate) bindings: &'a [PolicyBinding],
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPermissions {
    /// The organization, `org_…`.
    pub organization_id: String,
    /// All owners, by their own level or through a group.
    pub org_owners: Vec<PermissionHolder>,
    /// All users, or the one that was asked for.
    pub users: Vec<PermissionHolder>,
}

/// Somebody who may do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionHolder {
    /// `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub user_email: String,
    /// Whether it is a program's account.
    pub is_service_account: bool,
}
