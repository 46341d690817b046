//! The users of a batch: the response to their creation, and the same data read later.

use chrono::{DateTime, Utc};
use muster_client::AdminCreatedUser;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::batches::{Created, CreatedUser};
use crate::error::{Error, Result};
use crate::id::{Batch, Id};
use crate::report::Finding;
use crate::users::{Account, Credential, Expiry, Line};

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
    /// Warnings about rows: `domain_misspelled`, `domain_without_dot`, `formula`, `invisible_character`, `replacement_character`, `weak_hash`; and,
    /// only in the response to the creation or dry run, `password_shared` and `password_with_organization`.
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
        serializer.collect_seq(self.0.accounts.iter().map(|account| to_created_user(account, self.0.created_at)))
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

fn to_created_user(account: &Account, created_at: DateTime<Utc>) -> AdminCreatedUser {
    let user = &account.user;
    AdminCreatedUser {
        user_id: account.user_id.to_string(),
        name: user.name.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        created_at,
        is_sso_user: matches!(user.credential, Credential::Sso),
        lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
        title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
        expires_at: user.expires_at.map(Expiry::time),
    }
}

impl From<CreatedUser> for AdminCreatedUser {
    fn from(user: CreatedUser) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            name: user.name,
            email: user.email,
            created_at: user.created_at,
            is_sso_user: user.is_sso_user,
            lastname: user.lastname,
            title: user.title,
            expires_at: user.expires_at,
        }
    }
}
