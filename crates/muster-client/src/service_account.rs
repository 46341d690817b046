//! Service accounts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Client, Error};

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceAccount {
    /// ID of the account, `usr_…`.
    pub user_id: String,
    /// ID of the membership, `ide_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// Name of the account.
    pub name: String,
    /// ID of the organization, `org_…`.
    pub organization_id: String,
    /// E-mail address, which has no mailbox.
    pub email: String,
    /// Permission level: `owner` or `collaborator`.
    pub permission_level: String,
    /// Creation time.
    pub created_at: DateTime<Utc>,
}

impl Client {
    /// Creates a service account without an API key. Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 400 for an invalid name, 409 if a collaborator has the name.
    pub async fn create_service_account(&self, name: &str) -> Result<ServiceAccount, Error> {
        self.http.post("/api/v2/users/service_accounts").query("name", name).one().await
    }
}
