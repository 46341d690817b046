//! Members of an organization, as `GET /api/v2/organization_collaborators/` lists them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A user's or service account's membership in the organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collaborator {
    /// Id of the membership, `ide_…`; not that of the person.
    pub id: String,
    /// Id of the person or service account, `usr_…`.
    pub user_id: Option<String>,
    /// First name, or the whole name.
    pub name: String,
    /// First and last name.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: String,
    /// `owner` or `collaborator`; taken as it comes, for servers that know more levels.
    pub permission_level: String,
    /// The organization role without additions; `None` is no access.
    pub base_role: Option<String>,
    /// Roles on top of it.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub additional_roles: Vec<String>,
    /// Whether it is a service account.
    pub is_service_account: Option<bool>,
    /// `active` or `suspended`; the vendor's servers don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When the membership began.
    pub created_at: DateTime<Utc>,
}

/// Which collaborators are asked for: those who meet all conditions that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollaboratorFilter {
    /// The exact e-mail address.
    pub email: Option<String>,
    /// The exact display name.
    pub name: Option<String>,
    /// People, service accounts, or both.
    pub collaborator_type: Option<CollaboratorType>,
    /// Only service accounts, or everything but them.
    pub is_service_account: Option<bool>,
}

/// The kinds of account a list can be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollaboratorType {
    /// People and service accounts.
    AllAccounts,
    /// Service accounts.
    OnlyServiceAccounts,
    /// People.
    OnlyUserAccounts,
}

impl CollaboratorFilter {
    /// Looks for an e-mail address.
    #[must_use]
    pub fn by_email(email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..Self::default() }
    }

    /// Looks for a display name.
    #[must_use]
    pub fn by_name(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The query, in the order and spelling of the vendor's client: booleans are Python's.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let flag = |yes| if yes { "True" } else { "False" }.to_owned();
        [
            ("email", self.email.clone()),
            ("name", self.name.clone()),
            ("collaborator_type", self.collaborator_type.map(|kind| kind.as_str().to_owned())),
            ("is_service_account", self.is_service_account.map(flag)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

impl CollaboratorType {
    /// The value as it is written on the wire.
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
    fn an_empty_filter_asks_for_everybody() {
        assert_eq!(CollaboratorFilter::default().query(), []);
    }

    #[test]
    fn a_full_filter_is_spelled_as_the_vendors_client_does() {
        let filter = CollaboratorFilter {
            email: Some("a+b@x.y".to_owned()),
            name: Some("N N".to_owned()),
            collaborator_type: Some(CollaboratorType::OnlyUserAccounts),
            is_service_account: Some(false),
        };
        assert_eq!(
            filter.query(),
            [
                ("email", "a+b@x.y".to_owned()),
                ("name", "N N".to_owned()),
                ("collaborator_type", "only_user_accounts".to_owned()),
                ("is_service_account", "False".to_owned()),
            ]
        );
    }

    #[test]
    fn types_have_the_same_name_in_json_as_in_a_query() {
        for kind in
            [CollaboratorType::AllAccounts, CollaboratorType::OnlyServiceAccounts, CollaboratorType::OnlyUserAccounts]
        {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
