//! Errors.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Batch, BatchState};

/// Code of the 409 for a request with an idempotency key that is already in progress.
const KEY_IN_USE: &str = "idempotency_key_in_use";

/// Why a call failed. `Display` is one sentence for the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server rejected the request (4xx). Displays the server's message.
    #[error("{0}")]
    Rejected(Box<ApiError>),

    /// The server failed (5xx). Displays the server's message and the request ID for its log.
    #[error("{}{}", .0, request_id_suffix(.0))]
    Server(Box<ApiError>),

    /// No response: connection failed, certificate not trusted, timeout, or connection lost.
    #[error("no response from `{host}`: {}", innermost(source.as_ref()))]
    Unreachable {
        /// URL of the server.
        host: String,
        /// The network error. `Display` contains its innermost cause.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// See [`Error::idempotency_key`].
        idempotency_key: Option<String>,
    },

    /// A response that is not from muster: a redirect, HTML, or unexpected JSON.
    #[error("unexpected response from `{host}` (status {status}): {reason}")]
    InvalidResponse {
        /// URL of the server.
        host: String,
        /// HTTP status of the response.
        status: u16,
        /// What is wrong with the response.
        reason: String,
        /// See [`Error::idempotency_key`].
        idempotency_key: Option<String>,
    },

    /// The batch failed, or was cancelled or undone. [`Error::rows`] contains the findings of a failed batch.
    #[error("{}", describe_end(.0))]
    NotCreated(Box<Batch>),

    /// Invalid configuration or request; nothing was sent.
    #[error("{0}")]
    Config(String),
}

/// An error response: the error body with the status and the relevant headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Stable error code, such as `batch_rejected`; empty if the response has none and thus comes from a proxy.
    pub code: String,
    /// Error message for people; the reason phrase of the status if the response has none.
    pub detail: String,
    /// The findings about the rows of a list.
    pub rows: Vec<RowFinding>,
    /// Number of further findings that the response does not contain.
    pub more_findings: usize,
    /// For `batch_conflict`: the batch that created all of these users, if the same API key requested it.
    pub batch_id: Option<String>,
    /// ID of the request in the server log.
    pub request_id: Option<String>,
    /// Delay before a retry, from a `Retry-After` in whole seconds.
    pub retry_after: Option<Duration>,
    /// See [`Error::idempotency_key`].
    pub idempotency_key: Option<String>,
}

/// A finding about a row of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RowFinding {
    /// Zero-based index of the row in the request.
    pub index: usize,
    /// Name of the field; `null` if the finding is about the whole row.
    pub field: Option<String>,
    /// Stable code, such as `email_taken`.
    pub code: String,
    /// Message for people. Does not contain passwords.
    pub message: String,
    /// Index of the other row, for a duplicate in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_index: Option<usize>,
}

impl Error {
    /// The error response, for [`Rejected`](Self::Rejected) and [`Server`](Self::Server).
    #[must_use]
    pub const fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Rejected(error) | Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// The findings about a list, in the order of its rows; empty for other errors.
    #[must_use]
    pub fn rows(&self) -> &[RowFinding] {
        match self {
            Self::NotCreated(batch) => batch.error.as_ref().map_or(&[], |error| &error.rows),
            _ => self.api_error().map_or(&[], |error| &error.rows),
        }
    }

    /// Number of findings in addition to [`Error::rows`], which the server does not list.
    #[must_use]
    pub fn more_findings(&self) -> usize {
        match self {
            Self::NotCreated(batch) => batch.error.as_ref().map_or(0, |error| error.more_findings),
            _ => self.api_error().map_or(0, |error| error.more_findings),
        }
    }

    /// The batch that created all users of the rejected list, if the same API key requested it.
    #[must_use]
    pub fn created_by(&self) -> Option<&str> {
        match self {
            Self::NotCreated(batch) => batch.error.as_ref()?.batch_id.as_deref(),
            _ => self.api_error()?.batch_id.as_deref(),
        }
    }

    /// The idempotency key for another attempt, if the outcome is unknown or the server was overloaded for longer than
    /// [`ClientBuilder::retry_for`](crate::ClientBuilder::retry_for). Rows with the same key are created at most once: the
    /// server responds to a retry with its first response. Pass the key to
    /// [`BatchRequest::idempotency_key`](crate::BatchRequest::idempotency_key).
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        match self {
            Self::Rejected(error) | Self::Server(error) => error.idempotency_key.as_deref(),
            Self::Unreachable { idempotency_key, .. } | Self::InvalidResponse { idempotency_key, .. } => {
                idempotency_key.as_deref()
            }
            Self::NotCreated(_) | Self::Config(_) => None,
        }
    }

    pub(crate) fn with_key(mut self, key: Option<&str>) -> Self {
        match &mut self {
            Self::Rejected(error) | Self::Server(error) => error.idempotency_key = key.map(str::to_owned),
            Self::Unreachable { idempotency_key, .. } | Self::InvalidResponse { idempotency_key, .. } => {
                *idempotency_key = key.map(str::to_owned);
            }
            Self::NotCreated(_) | Self::Config(_) => {}
        }
        self
    }

    /// The error of a request that polled a batch. A server that is unreachable now leaves the outcome unknown.
    pub(crate) fn while_following(self, key: &str) -> Self {
        let error = match self {
            Self::Unreachable { host, source, .. } => {
                Self::Unreachable { host, source: Box::new(PollFailed(source)), idempotency_key: None }
            }
            other => other,
        };
        if error.is_retryable() { error.with_key(Some(key)) } else { error }
    }

    /// Whether the same request may have another outcome later, or its outcome is unknown.
    pub(crate) fn is_retryable(&self) -> bool {
        let busy = self.api_error().is_some_and(|error| matches!(error.status, 429 | 503));
        busy || matches!(self, Self::Unreachable { .. }) || self.outcome_unknown()
    }

    /// Whether a request with the same idempotency key is in progress.
    pub(crate) fn is_in_progress(&self) -> bool {
        matches!(self, Self::Rejected(error) if error.status == 409 && error.code == KEY_IN_USE)
    }

    /// Whether a write may have taken effect despite the error.
    ///
    /// False for error responses from muster, which writes nothing unless it reports success, and for failed connections.
    /// True if the response was lost or unreadable, if a proxy responded with 5xx, or if a request with the same key is
    /// still in progress. Retry with [`Error::idempotency_key`]; without a key, check the outcome
    /// (`list_collaborators`, `list_batches`) before retrying.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Rejected(_) => self.is_in_progress(),
            Self::Config(_) | Self::NotCreated(_) => false,
            Self::Server(error) => error.code.is_empty(),
            Self::InvalidResponse { .. } => true,
            Self::Unreachable { source, .. } => {
                !source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("failed to poll the batch")]
struct PollFailed(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ApiError {
    /// Parses `{"error": {"code", "detail", "message", "rows", "more_findings", "request_id"}}` field by field, so that an unexpected field
    /// does not hide the others. Like in the vendor's client, the message is the first of `detail` and `message` that is a
    /// non-empty string.
    pub(crate) fn parse(
        status: reqwest::StatusCode,
        body: &[u8],
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error");
        let field = |name| error.and_then(|error| error.get(name));
        let text = |name| field(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let rows = field("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            status: status.as_u16(),
            code: text("code").unwrap_or_default(),
            detail: text("detail").or_else(|| text("message")).unwrap_or_else(|| describe_status(status)),
            rows: rows.iter().filter_map(|row| RowFinding::deserialize(row).ok()).collect(),
            more_findings: field("more_findings")
                .and_then(Value::as_u64)
                .and_then(|more| more.try_into().ok())
                .unwrap_or(0),
            batch_id: text("batch_id"),
            request_id: text("request_id").or(request_id),
            retry_after,
            idempotency_key: None,
        }
    }
}

/// What precedes a suggestion at the end of a message.
const SUGGESTION: &str = "; did you mean ";

impl RowFinding {
    /// The message without the index of the other row and without a suggestion, so that it is the same for all rows.
    #[must_use]
    pub fn shared_message(&self) -> Cow<'_, str> {
        let message = self.message.split_once(SUGGESTION).map_or(self.message.as_str(), |(message, _)| message);
        match self.other_index {
            Some(other) => message.replace(&format!("users[{other}]"), "another row").into(),
            None => message.into(),
        }
    }

    /// What the message suggests as the value.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.message.split_once(SUGGESTION)?.1.strip_suffix('?')
    }
}

impl fmt::Display for RowFinding {
    /// The format of the server's messages: `users[3].email: already exists`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users[{}]", self.index)?;
        if let Some(field) = &self.field {
            write!(f, ".{field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

fn describe_status(status: reqwest::StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}

fn describe_end(batch: &Batch) -> String {
    let id = &batch.batch_id;
    match (&batch.state, &batch.error) {
        (_, Some(error)) => error.detail.clone(),
        (BatchState::Cancelled, None) => format!("batch {id} was cancelled; nothing was created"),
        (BatchState::Undone, None) => format!("batch {id} was undone; its users were removed"),
        (state, None) => format!("batch {id} ended in state `{state}`"),
    }
}

fn request_id_suffix(error: &ApiError) -> String {
    error.request_id.as_ref().map(|id| format!(" (request ID: {id})")).unwrap_or_default()
}

/// The root cause: `Connection refused` rather than `error sending request`.
fn innermost(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn parse(status: u16, body: &str) -> ApiError {
        ApiError::parse(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None, None)
    }

    #[test]
    fn a_complete_error_body_is_parsed() {
        let body = r#"{"error": {"code": "batch_rejected", "detail": "2 of 40 users can't be created", "request_id": "req_1",
            "rows": [
                {"index": 3, "field": "email", "code": "email_taken", "message": "already exists"},
                {"index": 17, "field": null, "code": "wrong_type", "message": "not an object", "other_index": null},
                {"index": 20, "field": "email", "code": "duplicate", "message": "same as users[2]", "other_index": 2}
            ]}}"#;
        let finding = |index, field: Option<&str>, code: &str, message: &str, other_index| RowFinding {
            index,
            field: field.map(str::to_owned),
            code: code.to_owned(),
            message: message.to_owned(),
            other_index,
        };
        assert_eq!(
            parse(422, body),
            ApiError {
                status: 422,
                code: "batch_rejected".to_owned(),
                detail: "2 of 40 users can't be created".to_owned(),
                rows: vec![
                    finding(3, Some("email"), "email_taken", "already exists", None),
                    finding(17, None, "wrong_type", "not an object", None),
                    finding(20, Some("email"), "duplicate", "same as users[2]", Some(2)),
                ],
                more_findings: 0,
                batch_id: None,
                request_id: Some("req_1".to_owned()),
                retry_after: None,
                idempotency_key: None,
            }
        );
    }

    #[test]
    fn the_message_is_the_first_string_of_detail_and_message() {
        for (body, detail) in [
            (r#"{"error":{"detail":"D","message":"M"}}"#, "D"),
            (r#"{"error":{"detail":[1],"message":"M"}}"#, "M"),
            (r#"{"error":{"detail":"","message":"M"}}"#, "M"),
            (r#"{"error":{"detail":{}}}"#, "409 Conflict"),
            (r#"{"detail":"D"}"#, "409 Conflict"),
            (r#"{"error":"E"}"#, "409 Conflict"),
            ("[]", "409 Conflict"),
            ("<html>", "409 Conflict"),
            ("", "409 Conflict"),
        ] {
            assert_eq!(parse(409, body).detail, detail, "{body}");
        }
        assert_eq!(parse(499, "").detail, "status 499");
    }

    #[test]
    fn a_malformed_finding_hides_nothing_else() {
        let body = r#"{"error":{"detail":"D","rows":[{"index":"x"},{"index":1,"code":"c","message":"m"}]}}"#;
        let error = parse(422, body);
        assert_eq!((error.detail.as_str(), error.rows.len()), ("D", 1));
        assert_eq!(error.rows[0].to_string(), "users[1]: m");
    }

    #[test]
    fn errors_display_the_servers_message_and_server_errors_the_request_id() {
        let body = r#"{"error":{"code":"internal","detail":"an error inside","request_id":"req_9"}}"#;
        assert_eq!(Error::Rejected(Box::new(parse(400, body))).to_string(), "an error inside");
        assert_eq!(Error::Server(Box::new(parse(500, body))).to_string(), "an error inside (request ID: req_9)");
        assert_eq!(Error::Server(Box::new(parse(502, "<html>"))).to_string(), "502 Bad Gateway");
    }

    #[test]
    fn the_outcome_is_known_if_muster_responded() {
        let muster = parse(503, r#"{"error":{"code":"overloaded","detail":"later"}}"#);
        assert!(!Error::Server(Box::new(muster)).outcome_unknown());
        assert!(Error::Server(Box::new(parse(504, "<html>"))).outcome_unknown());
        assert!(!Error::Rejected(Box::new(parse(413, "<html>"))).outcome_unknown());
        assert!(!Error::Config(String::new()).outcome_unknown());
        let in_use = r#"{"error":{"code":"idempotency_key_in_use","detail":"wait"}}"#;
        assert!(Error::Rejected(Box::new(parse(409, in_use))).outcome_unknown());
        assert!(!Error::Rejected(Box::new(parse(422, in_use))).outcome_unknown());
        let host = String::new;
        assert!(Error::Unreachable { host: host(), source: "broken".into(), idempotency_key: None }.outcome_unknown());
        let invalid = Error::InvalidResponse { host: host(), status: 200, reason: host(), idempotency_key: None };
        assert!(invalid.outcome_unknown());
    }

    #[test]
    fn errors_are_send_and_sync() {
        fn sendable<T: Send + Sync + 'static>() {}
        sendable::<Error>();
    }
}
