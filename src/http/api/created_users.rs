//! The users of a batch, as creating it answers them, and as they are looked at later.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::batches::{Created, CreatedUser};
use crate::error::{Error, Result};
use crate::report::Finding;
use crate::users::{Account, Credential, Line};

/// A user who was created.
#[derive(Serialize, ToSchema)]
pub(super) struct AdminCreatedUser {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// As it was sent.
    email: String,
    /// The same for all users of a batch.
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
    /// In the order of the request.
    results: Vec<AdminCreatedUser>,
    metadata: BatchMetadata,
}

/// About the users of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchMetadata {
    /// How many there are.
    total: usize,
    /// Always `null`: a batch comes whole.
    next_paging_token: Option<String>,
    /// The batch; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    /// What is worth knowing and stood in nobody's way, such as weak hashes (`weak_hash`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Finding>,
}

impl BatchMetadata {
    pub(super) const fn new(total: usize, batch_id: Option<String>, warnings: Vec<Finding>) -> Self {
        Self { total, next_paging_token: None, batch_id, warnings }
    }
}

/// About as many bytes as the answer has for each user.
const BYTES_A_USER: usize = 200;

/// [`CreatedUsers`], written user by user: they are not copied first.
#[derive(Serialize)]
struct Rendering<'a> {
    results: Results<'a>,
    metadata: BatchMetadata,
}

struct Results<'a>(&'a Created);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.accounts.iter().map(|account| show(account, self.0.created_at)))
    }
}

/// Writes the answer about a batch.
pub(super) fn render(created: &Created) -> Result<Vec<u8>> {
    let total = created.accounts.len();
    let metadata = BatchMetadata::new(total, Some(created.batch_id.to_string()), created.warnings.clone());
    let mut body = Vec::with_capacity(total.saturating_mul(BYTES_A_USER));
    serde_json::to_writer(&mut body, &Rendering { results: Results(created), metadata }).map_err(Error::internal)?;
    Ok(body)
}

/// The users of a batch, as they were answered when it was created.
pub(super) fn show_users(batch_id: String, users: Vec<CreatedUser>, warnings: Vec<Finding>) -> CreatedUsers {
    let metadata = BatchMetadata::new(users.len(), Some(batch_id), warnings);
    CreatedUsers { results: users.into_iter().map(AdminCreatedUser::from).collect(), metadata }
}

fn show(account: &Account, created_at: DateTime<Utc>) -> AdminCreatedUser {
    let user = &account.user;
    AdminCreatedUser {
        user_id: account.user_id.to_string(),
        email: user.email.as_str().to_owned(),
        created_at,
        name: user.name.as_str().to_owned(),
        is_sso_user: matches!(user.credential, Credential::Sso),
        lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
        title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
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
