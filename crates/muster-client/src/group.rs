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

/// Somebody who has an account, named by one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupUser {
    /// By id, `usr_…`.
    #[serde(rename = "user_id")]
    Id(String),
    /// By e-mail address, in any spelling.
    Email(String),
}

impl GroupUser {
    /// Takes what begins with `usr_` and has no `@` for an id, and anything else for an address.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if text.starts_with("usr_") && !text.contains('@') {
            Self::Id(text.to_owned())
        } else {
            Self::Email(text.to_owned())
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn somebody_is_named_by_id_or_by_address() {
        let named =
            ["usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "ada@example.com", "usr_1@example.com"].map(GroupUser::from_text);
        assert_eq!(
            serde_json::to_value(named).unwrap(),
            json!([
                {"user_id": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"},
                {"email": "ada@example.com"},
                {"email": "usr_1@example.com"},
            ])
        );
    }
}
