//! The users of a batch: the response to their creation, and the same data read later.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::batches::{Created, CreatedUser};
use crate::error::{Error, Result};
use crate::id::{Batch, Id};
use crate::report::Finding;
use crate::users::{Account, Credential, Line};

/// A created user.
#[derive(Serialize, ToSchema)]
pub(super) struct AdminCreatedUser {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// E-mail address, as in the request.
    email: String,
    /// Creation time, the same for all users of a batch.
    created_at: DateTime<Utc>,
    name: String,
    is_sso_user: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// The users of a batch.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CreatedUsers {
    /// The users, in the order of the request.
    results: Vec<AdminCreatedUser>,
    metadata: BatchMetadata,
}

/// Metadata of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchMetadata {
    /// Number of users.
    total: usize,
    /// Always `null`: a batch is not paged.
    next_paging_token: Option<String>,
    /// ID of the batch; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    /// Warnings about rows, such as `weak_hash`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
}

impl BatchMetadata {
    pub(super) const fn new(total: usize, batch_id: Option<String>, warnings: Vec<Finding>) -> Self {
        Self { total, next_paging_token: None, batch_id, warnings }
    }
}

/// Approximate size of a user in the response, in bytes.
const BYTES_PER_USER: usize = 200;

/// [`CreatedUsers`], serialized user by user without copying all of them first.
#[derive(Serialize)]
struct Rendering<'a> {
    results: Results<'a>,
    metadata: BatchMetadata,
}

struct Results<'a>(&'a Created);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.accounts.iter().map(|account| AdminCreatedUser::new(account, self.0.created_at)))
    }
}

/// Serializes the response to the creation of a batch.
pub(super) fn render(created: &Created) -> Result<Vec<u8>> {
    let total = created.accounts.len();
    let metadata = BatchMetadata::new(total, Some(created.batch_id.to_string()), created.warnings.clone());
    let mut body = Vec::with_capacity(total.saturating_mul(BYTES_PER_USER));
    serde_json::to_writer(&mut body, &Rendering { results: Results(created), metadata }).map_err(Error::internal)?;
    Ok(body)
}

impl CreatedUsers {
    pub(super) fn new(batch_id: Id<Batch>, users: Vec<CreatedUser>, warnings: Vec<Finding>) -> Self {
        let metadata = BatchMetadata::new(users.len(), Some(batch_id.to_string()), warnings);
        Self { results: users.into_iter().map(AdminCreatedUser::from).collect(), metadata }
    }
}

impl AdminCreatedUser {
    fn new(account: &Account, created_at: DateTime<Utc>) -> Self {
        let user = &account.user;
        Self {
            user_id: account.user_id.to_string(),
            email: user.email.as_str().to_owned(),
            created_at,
            name: user.name.as_str().to_owned(),
            is_sso_user: matches!(user.credential, Credential::Sso),
            lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
            title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
        }
    }
}

impl From<CreatedUser> for AdminCreatedUser {
    fn from(user: CreatedUser) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            email: user.email,
            created_at: user.created_at,
            name: user.name,
            is_sso_user: user.is_sso_user,
            lastname: user.lastname,
            title: user.title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_user_has_the_fields_of_the_client() {
        let mut user = AdminCreatedUser {
            user_id: "usr_1".to_owned(),
            email: "ada@example.com".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            name: "Ada".to_owned(),
            is_sso_user: true,
            lastname: Some("Lovelace".to_owned()),
            title: Some("Countess".to_owned()),
        };
        // Written out, so that a field of one side alone does not compile or is not equal.
        let mut client = muster_client::AdminCreatedUser {
            user_id: "usr_1".to_owned(),
            email: "ada@example.com".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            name: "Ada".to_owned(),
            is_sso_user: true,
            lastname: Some("Lovelace".to_owned()),
            title: Some("Countess".to_owned()),
        };
        for _ in 0..2 {
            assert_eq!(serde_json::to_value(&user).unwrap(), serde_json::to_value(&client).unwrap());
            (user.lastname, user.title) = (None, None);
            (client.lastname, client.title) = (None, None);
        }
    }
}
