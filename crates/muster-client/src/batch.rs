//! Batches: lists of users that are created together.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::present;
use crate::retry::RetryReason;
use crate::{AdminCreatedUser, RowFinding};

/// A batch: a list of users that is created as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Batch {
    /// ID of the batch, `bat_…`.
    pub batch_id: String,
    /// `running`, `created`, `failed`, `cancelled` or `undone`.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub state: BatchState,
    /// Kind of the requester: `api_key` or `operator`.
    pub requested_by_kind: String,
    /// ID of the API key that requested the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by_id: Option<String>,
    /// Current name of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by_name: Option<String>,
    /// ID of the request, `req_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Kind of the client: `vendor_client`, `muster_client` or `http`.
    pub source: String,
    /// Name of the file that the list comes from, as given by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// HMAC of the file's digest under a key of the server, `hmac-sha256:…`: equal for batches from the same file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_digest: Option<String>,
    /// Time at which the server accepted the batch.
    pub created_at: DateTime<Utc>,
    /// Time at which the batch left the state `running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Time at which the batch was undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_at: Option<DateTime<Utc>>,
    /// Number of users.
    pub user_count: u64,
    /// Number of passwords to hash.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub hash_count: u64,
    /// Number of passwords that are hashed.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub hashed: u64,
    /// Number of imported password hashes that are weaker than the current recommendation.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub weak_hash_count: u64,
    /// Estimated remaining time in seconds, while the batch is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_seconds_left: Option<u64>,
    /// Error of a failed batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BatchError>,
}

/// State of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchState {
    /// The server is hashing passwords; nothing is written yet.
    Running,
    /// All users exist.
    Created,
    /// No user was created.
    Failed,
    /// The batch was cancelled before any user was created.
    Cancelled,
    /// The users were created and then removed.
    Undone,
    /// A state that this version of the client does not know.
    #[serde(untagged)]
    Other(String),
}

/// Error of a failed batch: the error that its request would have returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchError {
    /// Stable error code, such as `batch_rejected`.
    pub code: String,
    /// Error message for people.
    pub detail: String,
    /// The findings, in the order of the rows.
    #[serde(default, deserialize_with = "crate::page::null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowFinding>,
    /// Number of further findings that are not listed.
    #[serde(default, deserialize_with = "crate::page::null_as_default", skip_serializing_if = "is_zero")]
    pub more_findings: usize,
    /// The batch that created all of these users, if the same API key requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
}

const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A batch whose users exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBatch {
    /// The users, in the order of the request.
    pub users: Vec<AdminCreatedUser>,
    /// ID of the batch, `bat_…`; `None` from a server that does not send it.
    pub batch_id: Option<String>,
    /// Warnings about rows, which did not prevent the creation.
    pub warnings: Vec<RowFinding>,
    /// Whether an earlier request with the same idempotency key created the users.
    pub replayed: bool,
}

/// Outcome of a request to create a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// The users exist.
    Created(CreatedBatch),
    /// The rows are valid, and the server is processing the batch; see
    /// [`Client::wait_for_batch`](crate::Client::wait_for_batch).
    Running(Box<Batch>),
}

/// Progress of a batch, as reported by [`BatchRequest::create`](crate::BatchRequest::create).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchEvent<'a> {
    /// The current state of the batch: reported about once a second from its acceptance to its end.
    Running(&'a Batch),
    /// The server does not respond; the client retries. Reported for each attempt.
    NoResponse,
    /// The server is overloaded, starting or shutting down; the client retries. Reported for each attempt.
    NotReady,
    /// The server interrupted the batch before the users were created; the client resubmits the rows.
    Resubmitted(&'a Batch),
}

impl From<RetryReason> for BatchEvent<'_> {
    fn from(reason: RetryReason) -> Self {
        match reason {
            RetryReason::NoResponse => Self::NoResponse,
            RetryReason::NotReady => Self::NotReady,
        }
    }
}

/// Result of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBatch {
    /// The users that would be created, in the order of the request.
    pub users: Vec<PlannedUser>,
    /// Digest of the plan, `plan1_…`, for [`BatchRequest::plan`](crate::BatchRequest::plan).
    pub plan: String,
    /// Warnings about rows.
    pub warnings: Vec<RowFinding>,
}

/// A user that would be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlannedUser {
    /// E-mail address.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Whether the user signs in through SSO.
    pub is_sso_user: bool,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Permission level: `owner` or `collaborator`.
    pub permission_level: String,
    /// How the user would sign in: `sso`, `password`, `password_hash` (imported), or `none` (a password has to be set).
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[serde(default)]
    pub credential: PlannedCredential,
    /// When the account would expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Custom attributes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub attributes: Map<String, Value>,
}

/// How a user would sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlannedCredential {
    /// Through the organization's identity provider.
    Sso,
    /// With the password of the list.
    Password,
    /// With the password whose hash is in the list.
    PasswordHash,
    /// Not until a password is set.
    None,
    /// A value that this version of the client does not know, or none.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Selects batches. A batch must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchFilter {
    /// State of the batch.
    pub state: Option<BatchState>,
    /// SHA-256 of the file that the batch comes from, in 64 hexadecimal digits.
    pub file_sha256: Option<String>,
}

/// Result of undoing a batch, or of a dry run of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UndoneBatch {
    /// The removed users.
    #[serde(rename = "results")]
    pub users: Vec<BatchUser>,
    /// The users that remain because they have been used.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub kept: Vec<KeptUser>,
}

/// A user of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchUser {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
}

/// A user that remains when its batch is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeptUser {
    /// The user.
    #[serde(flatten)]
    pub user: BatchUser,
    /// Why the user remains: `signed_in`, `changed` or `in_use`.
    pub reason: String,
}

impl Batch {
    /// Whether the batch is in a final state.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.state {
            BatchState::Running => false,
            BatchState::Other(_) => self.finished_at.is_some(),
            _ => true,
        }
    }

    /// Whether the batch failed because the server exited or shut down. No user was created, the idempotency key is free
    /// again, and the rows can be resubmitted.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        let code = self.error.as_ref().map(|error| error.code.as_str());
        self.state == BatchState::Failed && matches!(code, Some("interrupted" | "unavailable"))
    }
}

impl BatchState {
    /// All known states.
    pub const ALL: [Self; 5] = [Self::Running, Self::Created, Self::Failed, Self::Cancelled, Self::Undone];

    /// The value in JSON and in queries.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Created => "created",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Undone => "undone",
            Self::Other(state) => state,
        }
    }
}

impl From<&str> for BatchState {
    fn from(text: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

impl fmt::Display for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl BatchFilter {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        present([
            ("state", self.state.as_ref().map(|state| state.as_str().to_owned())),
            ("file_sha256", self.file_sha256.clone()),
        ])
    }
}

/// Response body with the users of a batch.
#[derive(Deserialize)]
pub(crate) struct CreatedBody {
    results: Vec<AdminCreatedUser>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    metadata: BatchMetadata,
}

/// Response body of a dry run.
#[derive(Deserialize)]
pub(crate) struct PlannedBody {
    results: Vec<PlannedUser>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    metadata: BatchMetadata,
    plan: String,
}

#[derive(Default, Deserialize)]
struct BatchMetadata {
    #[serde(default)]
    batch_id: Option<String>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    warnings: Vec<RowFinding>,
}

impl CreatedBody {
    pub(crate) fn into_batch(self, replayed: bool) -> CreatedBatch {
        let BatchMetadata { batch_id, warnings } = self.metadata;
        CreatedBatch { users: self.results, batch_id, warnings, replayed }
    }
}

/// Response body of a batch that continues in the background.
#[derive(Deserialize)]
pub(crate) struct RunningBody {
    result: Batch,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    metadata: BatchMetadata,
}

impl RunningBody {
    pub(crate) fn into_parts(self) -> (Batch, Vec<RowFinding>) {
        (self.result, self.metadata.warnings)
    }
}

impl From<PlannedBody> for PlannedBatch {
    fn from(body: PlannedBody) -> Self {
        Self { users: body.results, plan: body.plan, warnings: body.metadata.warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_state_is_preserved() {
        for (text, state) in [
            (r#""running""#, BatchState::Running),
            (r#""undone""#, BatchState::Undone),
            (r#""paused""#, BatchState::Other("paused".to_owned())),
        ] {
            assert_eq!(serde_json::from_str::<BatchState>(text).unwrap(), state);
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(format!("{:?}", state.to_string()), text);
        }
    }

    #[test]
    fn optional_fields_of_a_batch_may_be_missing() {
        let batch: Batch = serde_json::from_str(
            r#"{"batch_id":"bat_1","state":"running","requested_by_kind":"operator","source":"http",
                "created_at":"2026-11-23T10:00:00Z","user_count":3,"hash_count":null}"#,
        )
        .unwrap();
        assert_eq!((batch.user_count, batch.hash_count, batch.error.as_ref()), (3, 0, None));
        assert!(!batch.has_ended());
        assert!(Batch { state: BatchState::Cancelled, ..batch.clone() }.has_ended());
        let unknown = Batch { state: BatchState::Other("paused".to_owned()), ..batch };
        assert!(!unknown.has_ended());
        assert!(Batch { finished_at: Some(unknown.created_at), ..unknown }.has_ended());
    }
}
