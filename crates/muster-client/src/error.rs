//! What can go wrong, and what the caller learns from it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Batch, BatchState};

/// The code of a 409 that says: another request with this key is being worked at.
const KEY_IN_USE: &str = "idempotency_key_in_use";

/// Why a call failed. `Display` is one sentence, made for the person who asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused: any 4xx. Shown as the server's own sentence.
    #[error("{0}")]
    Rejected(Box<Rejection>),

    /// The server failed: any 5xx. Shown as the server's own sentence, with the request id
    /// that finds the cause in its log.
    #[error("{}{}", .0, request_id_suffix(.0))]
    Server(Box<Rejection>),

    /// There is no answer: no connection, no trust in the certificate, a time limit, or a
    /// connection that broke.
    #[error("no answer from `{host}`: {}", innermost(source.as_ref()))]
    Unreachable {
        /// The server's address.
        host: String,
        /// What the network said. `Display` of the error ends with its innermost cause.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// See [`Error::idempotency_key`].
        idempotency_key: Option<String>,
    },

    /// There is an answer, but not one of muster's: a redirect, HTML, or JSON of another shape.
    #[error("`{host}` does not answer like muster (status {status}): {reason}")]
    InvalidAnswer {
        /// The server's address.
        host: String,
        /// HTTP status of the answer.
        status: u16,
        /// What is wrong with it.
        reason: String,
        /// See [`Error::idempotency_key`].
        idempotency_key: Option<String>,
    },

    /// A batch that was waited for has ended without its users: it failed, or was cancelled or
    /// undone. The findings of a failed one are in [`Error::rows`].
    #[error("{}", ended_in_words(.0))]
    NotCreated(Box<Batch>),

    /// The client or the request can't be made as asked; nothing was sent.
    #[error("{0}")]
    Config(String),
}

/// A server's refusal: the error body of the API, with the status and headers that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// Stable snake_case code, such as `batch_rejected`; empty when the body has none, so
    /// when something between here and muster answered.
    pub code: String,
    /// The sentence for the user; the status's own words when the body has none.
    pub detail: String,
    /// All findings of a refused batch; empty for other refusals.
    pub rows: Vec<RowFinding>,
    /// Finds the request in the server's log.
    pub request_id: Option<String>,
    /// How long to wait before trying again, from a `Retry-After` in whole seconds.
    pub retry_after: Option<Duration>,
    /// See [`Error::idempotency_key`].
    pub idempotency_key: Option<String>,
}

/// One thing that is wrong with one row of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFinding {
    /// Position of the row in the list that was sent, from 0.
    pub index: usize,
    /// The field; `None` when the row as a whole is wrong.
    pub field: Option<String>,
    /// Stable snake_case code, such as `email_taken`.
    pub code: String,
    /// What is wrong, in words. Never contains a password.
    pub message: String,
    /// For a duplicate inside the list, the position of the other row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_index: Option<usize>,
}

impl Error {
    /// The refusal, where a server refused or failed.
    #[must_use]
    pub const fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) | Self::Server(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// The findings of a refused batch, in the order of its rows; empty for all other errors.
    #[must_use]
    pub fn rows(&self) -> &[RowFinding] {
        match self {
            Self::NotCreated(batch) => batch.error.as_ref().map_or(&[], |failure| &failure.rows),
            _ => self.rejection().map_or(&[], |rejection| &rejection.rows),
        }
    }

    /// With which key to ask again, where that makes sense: the outcome is unknown, or the server
    /// was too busy for as long as this client was to wait
    /// ([`ClientBuilder::retry_for`](crate::ClientBuilder::retry_for)). The same rows with the
    /// same key are created once at most, however often they are sent: the server answers a repeat
    /// with its first answer. Hand it to
    /// [`BatchRequest::idempotency_key`](crate::BatchRequest::idempotency_key).
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        match self {
            Self::Rejected(rejection) | Self::Server(rejection) => rejection.idempotency_key.as_deref(),
            Self::Unreachable { idempotency_key, .. } | Self::InvalidAnswer { idempotency_key, .. } => {
                idempotency_key.as_deref()
            }
            Self::NotCreated(_) | Self::Config(_) => None,
        }
    }

    /// The same error, naming the key with which to ask again.
    pub(crate) fn with_key(mut self, key: Option<&str>) -> Self {
        match &mut self {
            Self::Rejected(rejection) | Self::Server(rejection) => rejection.idempotency_key = key.map(str::to_owned),
            Self::Unreachable { idempotency_key, .. } | Self::InvalidAnswer { idempotency_key, .. } => {
                *idempotency_key = key.map(str::to_owned);
            }
            Self::NotCreated(_) | Self::Config(_) => {}
        }
        self
    }

    /// What ends the following of a batch: that the server can't be reached any more says nothing
    /// about what has become of it.
    pub(crate) fn lost_sight(self, key: &str) -> Self {
        let error = match self {
            Self::Unreachable { host, source, .. } => {
                Self::Unreachable { host, source: Box::new(LostSight(source)), idempotency_key: None }
            }
            other => other,
        };
        if error.makes_sense_to_repeat() { error.with_key(Some(key)) } else { error }
    }

    /// Whether the same request may have another outcome later, or has an unknown one.
    pub(crate) fn makes_sense_to_repeat(&self) -> bool {
        let busy = self.rejection().is_some_and(|rejection| matches!(rejection.status, 429 | 503));
        busy || matches!(self, Self::Unreachable { .. }) || self.outcome_unknown()
    }

    /// Whether another request with the same key is being worked at.
    pub(crate) fn is_in_use(&self) -> bool {
        matches!(self, Self::Rejected(rejection) if rejection.status == 409 && rejection.code == KEY_IN_USE)
    }

    /// Whether a call that writes may have taken effect all the same.
    ///
    /// muster writes nothing unless its answer says so, so its refusals are `false`, and so is
    /// a connection that was never made. `true`: the answer was lost, unreadable, or a 5xx by
    /// something in front of muster; or another request with the same key is still being worked
    /// at. Then ask again with [`Error::idempotency_key`], which finds out; where there is none,
    /// look (`list_collaborators`, `list_batches`) before repeating.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Rejected(_) => self.is_in_use(),
            Self::Config(_) | Self::NotCreated(_) => false,
            Self::Server(rejection) => rejection.code.is_empty(),
            Self::InvalidAnswer { .. } => true,
            Self::Unreachable { source, .. } => {
                !source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
            }
        }
    }
}

/// What the network said when a batch could not be followed any more.
#[derive(Debug, thiserror::Error)]
#[error("the batch can't be followed any more")]
struct LostSight(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Rejection {
    /// Reads `{"error": {"code", "detail", "message", "rows", "request_id"}}` (design.md, section 5)
    /// part by part, so that one part of another shape hides no other. As in the vendor's
    /// client, the sentence is the first of `detail` and `message` that is a non-empty string.
    pub(crate) fn read(
        status: reqwest::StatusCode,
        body: &[u8],
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error");
        let part = |name| error.and_then(|error| error.get(name));
        let text = |name| part(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let rows = part("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            status: status.as_u16(),
            code: text("code").unwrap_or_default(),
            detail: text("detail").or_else(|| text("message")).unwrap_or_else(|| in_words(status)),
            rows: rows.iter().filter_map(|row| RowFinding::deserialize(row).ok()).collect(),
            request_id: text("request_id").or(request_id),
            retry_after,
            idempotency_key: None,
        }
    }
}

impl fmt::Display for Rejection {
    /// The sentence for the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl fmt::Display for RowFinding {
    /// As in the server's own sentence: `users[3].email: already exists`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users[{}]", self.index)?;
        if let Some(field) = &self.field {
            write!(f, ".{field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

fn in_words(status: reqwest::StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}

fn ended_in_words(batch: &Batch) -> String {
    let id = &batch.batch_id;
    match (&batch.state, &batch.error) {
        (_, Some(failure)) => failure.detail.clone(),
        (BatchState::Cancelled, None) => format!("the batch {id} was cancelled; nothing was created"),
        (BatchState::Undone, None) => format!("the batch {id} was undone: its users were removed again"),
        (state, None) => format!("the batch {id} has ended and is {state}"),
    }
}

fn request_id_suffix(rejection: &Rejection) -> String {
    rejection.request_id.as_ref().map(|id| format!(" (request id: {id})")).unwrap_or_default()
}

/// The cause that no other lies behind: `Connection refused`, not `error sending request`.
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

    fn read(status: u16, body: &str) -> Rejection {
        Rejection::read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None, None)
    }

    #[test]
    fn a_full_error_body_is_read_in_all_its_parts() {
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
            read(422, body),
            Rejection {
                status: 422,
                code: "batch_rejected".to_owned(),
                detail: "2 of 40 users can't be created".to_owned(),
                rows: vec![
                    finding(3, Some("email"), "email_taken", "already exists", None),
                    finding(17, None, "wrong_type", "not an object", None),
                    finding(20, Some("email"), "duplicate", "same as users[2]", Some(2)),
                ],
                request_id: Some("req_1".to_owned()),
                retry_after: None,
                idempotency_key: None,
            }
        );
    }

    #[test]
    fn the_sentence_is_the_first_text_of_detail_and_message_as_in_the_vendors_client() {
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
            assert_eq!(read(409, body).detail, detail, "{body}");
        }
        assert_eq!(read(499, "").detail, "status 499");
    }

    #[test]
    fn an_unreadable_finding_hides_neither_the_others_nor_the_sentence() {
        let body = r#"{"error":{"detail":"D","rows":[{"index":"x"},{"index":1,"code":"c","message":"m"}]}}"#;
        let rejection = read(422, body);
        assert_eq!((rejection.detail.as_str(), rejection.rows.len()), ("D", 1));
        assert_eq!(rejection.rows[0].to_string(), "users[1]: m");
    }

    #[test]
    fn rejections_are_shown_as_the_servers_sentence_and_failures_with_the_request_id() {
        let body = r#"{"error":{"code":"internal","detail":"an error inside","request_id":"req_9"}}"#;
        assert_eq!(Error::Rejected(Box::new(read(400, body))).to_string(), "an error inside");
        assert_eq!(Error::Server(Box::new(read(500, body))).to_string(), "an error inside (request id: req_9)");
        assert_eq!(Error::Server(Box::new(read(502, "<html>"))).to_string(), "502 Bad Gateway");
    }

    #[test]
    fn the_outcome_is_unknown_only_where_muster_did_not_say() {
        let muster = read(503, r#"{"error":{"code":"overloaded","detail":"later"}}"#);
        assert!(!Error::Server(Box::new(muster)).outcome_unknown());
        assert!(Error::Server(Box::new(read(504, "<html>"))).outcome_unknown());
        assert!(!Error::Rejected(Box::new(read(413, "<html>"))).outcome_unknown());
        assert!(!Error::Config(String::new()).outcome_unknown());
        let in_use = r#"{"error":{"code":"idempotency_key_in_use","detail":"wait"}}"#;
        assert!(Error::Rejected(Box::new(read(409, in_use))).outcome_unknown());
        assert!(!Error::Rejected(Box::new(read(422, in_use))).outcome_unknown());
        let host = String::new;
        assert!(Error::Unreachable { host: host(), source: "broken".into(), idempotency_key: None }.outcome_unknown());
        let invalid = Error::InvalidAnswer { host: host(), status: 200, reason: host(), idempotency_key: None };
        assert!(invalid.outcome_unknown());
    }

    #[test]
    fn errors_can_be_sent_between_threads() {
        fn sendable<T: Send + Sync + 'static>() {}
        sendable::<Error>();
    }
}
