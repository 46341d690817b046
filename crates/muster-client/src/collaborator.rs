//! Members of an organization.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::PermissionLevel;
use crate::client::present;

/// The membership of a user or service account in the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Collaborator {
    /// ID of the membership, `ide_…`; not the user ID.
    pub id: String,
    /// ID of the user or service account, `usr_…`.
    pub user_id: Option<String>,
    /// First name or full name.
    pub name: String,
    /// First and last name.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: String,
    /// Effective permission level, including groups: `owner` or `collaborator`.
    pub permission_level: String,
    /// Permission level of the membership itself, without groups.
    pub base_role: Option<String>,
    /// Always empty.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub additional_roles: Vec<String>,
    /// Whether the member is a service account.
    pub is_service_account: Option<bool>,
    /// `active` or `suspended`; the vendor's servers do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Last name; the vendor's servers do not send it, nor the following fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the user signs in through SSO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_sso_user: Option<bool>,
    /// When the account expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Last sign-in of a person; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_signed_in_at: Option<DateTime<Utc>>,
    /// Custom attributes: texts, numbers and booleans.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub attributes: Map<String, Value>,
    /// Creation time of the membership.
    pub created_at: DateTime<Utc>,
}

/// Selects members. A member must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollaboratorFilter {
    /// E-mail address.
    pub email: Option<String>,
    /// Display name, exact.
    pub name: Option<String>,
    /// Kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether the member is a service account.
    pub is_service_account: Option<bool>,
    /// `active` or `suspended`.
    pub status: Option<String>,
    /// Effective permission level, including groups.
    pub permission_level: Option<PermissionLevel>,
    /// Whether the member signs in through SSO.
    pub is_sso_user: Option<bool>,
    /// ID of the batch that created the user, `bat_…`. Requires an owner.
    pub batch_id: Option<String>,
    /// ID of a group of which the user is a member, `ug_…`. Requires an owner.
    pub group_id: Option<String>,
    /// Domain of the e-mail address.
    pub domain: Option<String>,
    /// Earliest time of creation.
    pub created_after: Option<DateTime<Utc>>,
    /// Time before which the user was created.
    pub created_before: Option<DateTime<Utc>>,
    /// Whether the member should sign in with a password and has none.
    pub without_password: Option<bool>,
    /// Whether the member is a person who has never signed in.
    pub never_signed_in: Option<bool>,
    /// Earliest time of the last sign-in.
    pub signed_in_after: Option<DateTime<Utc>>,
    /// Time before which the last sign-in was.
    pub signed_in_before: Option<DateTime<Utc>>,
    /// How people can sign in: `sso`, `password`, `link` or `none`; several are separated by commas.
    pub sign_in: Option<String>,
    /// ID of an identity provider at which the member has an identity, `idp_…`. Requires an owner.
    pub provider_id: Option<String>,
    /// What makes owners so: `level` or `group`.
    pub owner_through: Option<String>,
    /// Part of the name or of the e-mail address; or the ID of a user; or several e-mail addresses.
    pub query: Option<String>,
    /// Time until which the accounts of active members expire.
    pub expires_before: Option<DateTime<Utc>>,
    /// Attributes that the member has.
    pub attributes: Map<String, Value>,
    /// Order: `name`, `email`, `created` or `last` (last sign-in), or one of them with a `-` before it. `None`: `created`.
    pub order: Option<String>,
}

/// Kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollaboratorType {
    /// Users and service accounts.
    AllAccounts,
    /// Service accounts.
    OnlyServiceAccounts,
    /// Users.
    OnlyUserAccounts,
}

impl CollaboratorFilter {
    /// Filters by e-mail address.
    #[must_use]
    pub fn by_email(email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..Self::default() }
    }

    /// Filters by display name.
    #[must_use]
    pub fn by_name(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The query in the format of the vendor's client, including its capitalized booleans.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let flag = |yes| if yes { "True" } else { "False" }.to_owned();
        present([
            ("email", self.email.clone()),
            ("name", self.name.clone()),
            ("collaborator_type", self.collaborator_type.map(|kind| kind.as_str().to_owned())),
            ("is_service_account", self.is_service_account.map(flag)),
            ("status", self.status.clone()),
            ("permission_level", self.permission_level.map(|level| level.as_str().to_owned())),
            ("is_sso_user", self.is_sso_user.map(flag)),
            ("batch_id", self.batch_id.clone()),
            ("group_id", self.group_id.clone()),
            ("domain", self.domain.clone()),
            ("created_after", self.created_after.map(|time| time.to_rfc3339())),
            ("created_before", self.created_before.map(|time| time.to_rfc3339())),
            ("without_password", self.without_password.map(flag)),
            ("never_signed_in", self.never_signed_in.map(flag)),
            ("signed_in_after", self.signed_in_after.map(|time| time.to_rfc3339())),
            ("signed_in_before", self.signed_in_before.map(|time| time.to_rfc3339())),
            ("sign_in", self.sign_in.clone()),
            ("provider_id", self.provider_id.clone()),
            ("owner_through", self.owner_through.clone()),
            ("query", self.query.clone()),
            ("expires_before", self.expires_before.map(|time| time.to_rfc3339())),
            ("attributes", (!self.attributes.is_empty()).then(|| Value::Object(self.attributes.clone()).to_string())),
            ("order", self.order.clone()),
        ])
    }
}

impl CollaboratorType {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::AllAccounts, Self::OnlyServiceAccounts, Self::OnlyUserAccounts];

    /// Parses the value of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The value in JSON and in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllAccounts => "all_accounts",
            Self::OnlyServiceAccounts => "only_service_accounts",
            Self::OnlyUserAccounts => "only_user_accounts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collaborator_type_has_the_same_name_in_json_and_in_queries() {
        for kind in CollaboratorType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
