//! Batches: lists of users that are created together, and can be looked at afterwards.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::patience::Trouble;
use crate::{AdminCreatedUser, RowFinding};

/// A batch, as `GET /api/v2/batches/{batch_id}` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id, `bat_…`.
    pub batch_id: String,
    /// How far it is.
    pub state: BatchState,
    /// `api_key` or `operator`.
    pub requested_by_kind: String,
    /// Id of who asked; `None` for kinds without one.
    #[serde(default)]
    pub requested_by_id: Option<String>,
    /// Name of who asked, such as that of the API key.
    #[serde(default)]
    pub requested_by_name: Option<String>,
    /// The request it came in with.
    #[serde(default)]
    pub request_id: Option<String>,
    /// `vendor_client`, `muster_client` or `http`.
    pub source: String,
    /// Name of the file that the list was read from, where the caller told it.
    #[serde(default)]
    pub file_name: Option<String>,
    /// Digest of that file, `hmac-sha256:…`, keyed by the server: it can be compared with that of
    /// another batch, and tells nothing to those who only guess.
    #[serde(default)]
    pub file_digest: Option<String>,
    /// When it was taken in.
    pub created_at: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    #[serde(default)]
    pub finished_at: Option<DateTime<Utc>>,
    /// When its users were removed again; `None` unless undone.
    #[serde(default)]
    pub undone_at: Option<DateTime<Utc>>,
    /// How many users it has.
    pub user_count: u64,
    /// How many passwords there are to hash in all.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub hash_count: u64,
    /// How many of them are hashed.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub hashed: u64,
    /// How many came with a hash that is weaker than the server's own.
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    pub weak_hash_count: u64,
    /// How long it is going to run, by the server's estimate; only while it runs.
    #[serde(default)]
    pub estimated_seconds_left: Option<u64>,
    /// Why it failed; only if it did.
    #[serde(default)]
    pub error: Option<BatchFailure>,
}

/// How far a batch is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchState {
    /// Its passwords are being hashed; nothing was written yet.
    Running,
    /// All its users exist.
    Created,
    /// None of its users was created.
    Failed,
    /// It was stopped before any user was created.
    Cancelled,
    /// Its users were created and removed again.
    Undone,
    /// Another state, of a server that knows more of them.
    #[serde(untagged)]
    Other(String),
}

/// Why a batch failed: what the answer to its request would have said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFailure {
    /// Stable `snake_case` code, such as `batch_rejected`.
    pub code: String,
    /// The sentence for the user.
    pub detail: String,
    /// All findings, in the order of the rows.
    #[serde(default, deserialize_with = "crate::page::null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowFinding>,
}

/// Something about one row that did not keep it from being created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Position of the row in the list that was sent, from 0.
    pub index: usize,
    /// The field; `None` when the row as a whole is meant.
    #[serde(default)]
    pub field: Option<String>,
    /// Stable `snake_case` code, such as `weak_hash`.
    pub code: String,
    /// What to know, in words. Never contains a password or a hash.
    pub message: String,
}

/// A batch whose users exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBatch {
    /// The users, in the order of the request.
    pub users: Vec<AdminCreatedUser>,
    /// The batch's id, `bat_…`; `None` from a server that doesn't tell it.
    pub batch_id: Option<String>,
    /// What to know about some of the rows.
    pub warnings: Vec<Warning>,
    /// Whether the users were created by an earlier request with the same key, and this is its
    /// answer, repeated.
    pub replayed: bool,
}

/// What became of a request for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAnswer {
    /// The users exist.
    Created(CreatedBatch),
    /// Its rows are fine, and it runs on at the server: [`Client::wait_for_batch`](crate::Client::wait_for_batch).
    Running(Box<Batch>),
}

/// What happens while a batch is created, as [`BatchRequest::create`](crate::BatchRequest::create)
/// tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchEvent<'a> {
    /// This is what is known of the batch: told about once a second from when the server has
    /// taken it in, the last time when it has ended.
    Running(&'a Batch),
    /// The server does not answer, and is asked again. Told at each attempt.
    NoAnswer,
    /// The server answers that it can't now (it is busy, or starting or stopping), and is asked
    /// again. Told at each attempt.
    NotReady,
    /// The server's process has ended before the users were created, or could not go on with this
    /// batch: its rows are sent once more, as another batch.
    SentAgain(&'a Batch),
}

impl From<Trouble> for BatchEvent<'_> {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoAnswer => Self::NoAnswer,
            Trouble::NotReady => Self::NotReady,
        }
    }
}

/// What a dry run says would be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBatch {
    /// The users, in the order of the request.
    pub users: Vec<PlannedUser>,
    /// The plan's digest, `plan1_…`, for [`BatchRequest::plan`](crate::BatchRequest::plan).
    pub plan: String,
    /// What to know about some of the rows.
    pub warnings: Vec<Warning>,
}

/// A user who would be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedUser {
    /// E-mail address.
    pub email: String,
    /// First name, or the whole name.
    pub name: String,
    /// Signs in through SSO.
    pub is_sso_user: bool,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Title, such as a position in the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `owner` or `collaborator`; taken as it comes, for servers that know more levels.
    pub permission_level: String,
}

/// Which batches are asked for: those that meet all conditions that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchFilter {
    /// Those in this state.
    pub state: Option<BatchState>,
    /// Those of a file with this SHA-256, in 64 hexadecimal digits.
    pub file_sha256: Option<String>,
}

/// What undoing a batch removed, or would remove in a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// The users who are removed.
    pub users: Vec<BatchUser>,
    /// The users who stay, because they were used meanwhile.
    pub kept: Vec<KeptUser>,
}

/// A user of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchUser {
    /// The user's id, `usr_…`.
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// First name, or the whole name.
    pub name: String,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
}

/// A user of a batch whom undoing it does not remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptUser {
    /// Who it is.
    #[serde(flatten)]
    pub user: BatchUser,
    /// `signed_in`, `changed` or `in_use`; taken as it comes, for servers that know more.
    pub reason: String,
}

impl Batch {
    /// Whether nothing will become of it any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.state {
            BatchState::Running => false,
            BatchState::Other(_) => self.finished_at.is_some(),
            _ => true,
        }
    }

    /// Whether it failed because the server's process has ended, or had to stop: nothing was
    /// created, its key is free, and the same rows may well be created by another attempt.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        let code = self.error.as_ref().map(|failure| failure.code.as_str());
        self.state == BatchState::Failed && matches!(code, Some("interrupted" | "unavailable"))
    }
}

impl BatchState {
    /// The value as it is written on the wire.
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

impl fmt::Display for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl BatchFilter {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        [
            ("state", self.state.as_ref().map(|state| state.as_str().to_owned())),
            ("file_sha256", self.file_sha256.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

/// The body of a batch that was created.
#[derive(Deserialize)]
pub(crate) struct CreatedBody {
    results: Vec<AdminCreatedUser>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    metadata: BatchMetadata,
}

/// The body of a dry run.
#[derive(Deserialize)]
pub(crate) struct PlannedBody {
    results: Vec<PlannedUser>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    metadata: BatchMetadata,
    plan: String,
}

/// The body of a batch that was undone.
#[derive(Deserialize)]
pub(crate) struct UndoneBody {
    results: Vec<BatchUser>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    kept: Vec<KeptUser>,
}

#[derive(Default, Deserialize)]
struct BatchMetadata {
    #[serde(default)]
    batch_id: Option<String>,
    #[serde(default, deserialize_with = "crate::page::null_as_default")]
    warnings: Vec<Warning>,
}

impl CreatedBody {
    pub(crate) fn into_batch(self, replayed: bool) -> CreatedBatch {
        let BatchMetadata { batch_id, warnings } = self.metadata;
        CreatedBatch { users: self.results, batch_id, warnings, replayed }
    }
}

impl From<PlannedBody> for PlannedBatch {
    fn from(body: PlannedBody) -> Self {
        Self { users: body.results, plan: body.plan, warnings: body.metadata.warnings }
    }
}

impl From<UndoneBody> for Undone {
    fn from(body: UndoneBody) -> Self {
        Self { users: body.results, kept: body.kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_newer_server_is_kept_as_it_is() {
        for (text, state) in [
            (r#""running""#, BatchState::Running),
            (r#""undone""#, BatchState::Undone),
            (r#""resting""#, BatchState::Other("resting".to_owned())),
        ] {
            assert_eq!(serde_json::from_str::<BatchState>(text).unwrap(), state);
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(format!("{:?}", state.to_string()), text);
        }
    }

    #[test]
    fn only_the_fields_that_every_batch_has_are_needed() {
        let batch: Batch = serde_json::from_str(
            r#"{"batch_id":"bat_1","state":"running","requested_by_kind":"operator","source":"http",
                "created_at":"2026-11-23T10:00:00Z","user_count":3,"hash_count":null}"#,
        )
        .unwrap();
        assert_eq!((batch.user_count, batch.hash_count, batch.error.as_ref()), (3, 0, None));
        assert!(!batch.has_ended());
        assert!(Batch { state: BatchState::Cancelled, ..batch.clone() }.has_ended());
        let resting = Batch { state: BatchState::Other("resting".to_owned()), ..batch };
        assert!(!resting.has_ended());
        assert!(Batch { finished_at: Some(resting.created_at), ..resting }.has_ended());
    }

    #[test]
    fn a_filter_asks_for_what_is_set() {
        assert_eq!(BatchFilter::default().query(), []);
        let filter = BatchFilter { state: Some(BatchState::Created), file_sha256: Some("ab".to_owned()) };
        assert_eq!(filter.query(), [("state", "created".to_owned()), ("file_sha256", "ab".to_owned())]);
    }
}
