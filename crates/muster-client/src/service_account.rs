//! Service accounts: accounts of programs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::client::Single;
use crate::{Client, Error};

/// A service account that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Its id, `usr_…`.
    pub user_id: String,
    /// Id of its membership, `ide_…`, with which it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// What it is called.
    pub name: String,
    /// The organization, `org_…`.
    pub organization_id: String,
    /// Its address, which has no mailbox.
    pub email: String,
    /// `owner` or `collaborator`; taken as it comes.
    pub permission_level: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Client {
    /// Makes a service account, without a key. Only for owners.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 400 for a name that can't be used, 409 for one that a collaborator has.
    pub async fn create_service_account(&self, name: &str) -> Result<ServiceAccount, Error> {
        let query = [("name", name.to_owned())];
        let single: Single<ServiceAccount> = self.http.post("/api/v2/users/service_accounts", &query).await?;
        Ok(single.result)
    }
}
