//! [`Error`]: the code and message for the caller of an operation, and the private cause, which only the log gets.
//!
//! | code family | HTTP | the client should |
//! |---|---|---|
//! | `invalid_json`, `invalid_request`, `empty_batch` | 400 | correct the request |
//! | `unauthenticated` | 401 | use a valid API key, or sign in |
//! | `sign_in_refused` | 401 | correct the address or the password |
//! | `forbidden` | 403 | ask an owner |
//! | `wrong_password` | 403 | correct the current password |
//! | `reauthentication_needed` | 403 | sign in again: the action needs a recent sign-in |
//! | `cross_site` | 403 | send the request from a page of this server, or with `Authorization` |
//! | `not_found`, `method_not_allowed` | 404, 405 | see `/docs` |
//! | `request_timeout` | 408 | send the headers or the body faster |
//! | `batch_conflict` | 409 | remove the rows in `rows`: these accounts exist |
//! | `plan_changed` | 409 | make a new dry run; `rows` lists the conflicts |
//! | `idempotency_key_in_use` | 409 | retry shortly: the request with this key is in progress |
//! | `batch_in_use` | 409 | see `rows`: these users have signed in or were changed |
//! | `email_taken` | 409 | use another address |
//! | `last_owner` | 409 | make another user an owner first, or give an owner another way to sign in |
//! | `would_lock_out` | 409 | make sure first that somebody can still sign in |
//! | `mail_not_configured` | 409 | ask an owner for a link: the server sends no mail |
//! | `seal_key_missing` | 409 | set `secrets.seal_key` |
//! | `conflict` | 409 | read the resource: its state does not allow the request |
//! | `precondition_failed` | 412 | read the resource again: it was changed |
//! | `too_large` | 413 | send a shorter list or body |
//! | `unsupported_media_type` | 415 | send the body as uncompressed JSON |
//! | `batch_rejected` | 422 (409 if all findings are conflicts) | fix the listed rows |
//! | `policy_rejected` | 422 | fix the listed bindings |
//! | `password_rejected` | 422 | choose another password |
//! | `idempotency_key_reused` | 422 | use a new key for a different request |
//! | `rate_limited` | 429 | correct the credentials or the data; retry after `Retry-After` |
//! | `throttled` | 429 | retry after `Retry-After` |
//! | `headers_too_large` | 431 | send fewer or shorter headers |
//! | `internal` | 500 | report the request ID |
//! | `overloaded`, `unavailable` | 503 | retry after `Retry-After` |
//!
//! # Decisions
//!
//! *One error type for the whole program*, so that the mapping from code to status exists once and `?` works
//! everywhere. `Display` prints the public message only; `source()` is the cause, which is logged once, with the request.
//!
//! *This module imports no module that can fail.* The conversions are next to what they convert: in `postgres` and
//! `passwords`.

use std::time::Duration;

use crate::id::{Batch, Id};
use crate::report::Report;

/// How long a client should wait before it retries a request after a transient failure.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(2);

/// The error of an operation.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    message: String,
    report: Option<Box<Report>>,
    retry_after: Option<Duration>,
    batch: Option<Id<Batch>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// The kind of an error. Codes and statuses are part of the API and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as responses spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status of responses with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    InvalidJson = "invalid_json", 400;
    /// The request is malformed or has invalid values.
    InvalidRequest = "invalid_request", 400;
    /// The list is empty.
    EmptyBatch = "empty_batch", 400;
    /// There is no valid API key or session.
    Unauthenticated = "unauthenticated", 401;
    /// The address or the password is wrong, or the account can't be signed in to.
    SignInRefused = "sign_in_refused", 401;
    /// The API key is valid but lacks the permission.
    Forbidden = "forbidden", 403;
    /// The current password is wrong.
    WrongPassword = "wrong_password", 403;
    /// The session is valid, but the user authenticated too long ago for this action.
    ReauthenticationNeeded = "reauthentication_needed", 403;
    /// A page of another site sent the request with a cookie.
    CrossSite = "cross_site", 403;
    /// The resource or the route does not exist.
    NotFound = "not_found", 404;
    /// The route does not support the method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The headers or the body did not arrive in time.
    RequestTimeout = "request_timeout", 408;
    /// The rows are valid, but accounts with these addresses exist.
    BatchConflict = "batch_conflict", 409;
    /// The list differs from the planned one, or its outcome would.
    PlanChanged = "plan_changed", 409;
    /// The request with this `Idempotency-Key` is in progress.
    IdempotencyKeyInUse = "idempotency_key_in_use", 409;
    /// Users of the batch have been used since, so the batch can't be undone.
    BatchInUse = "batch_in_use", 409;
    /// Another account has the address.
    EmailTaken = "email_taken", 409;
    /// The organization would be left without an owner, or without one who can sign in.
    LastOwner = "last_owner", 409;
    /// Nobody could sign in any more.
    WouldLockOut = "would_lock_out", 409;
    /// The server has no mail server.
    MailNotConfigured = "mail_not_configured", 409;
    /// There is no key with which the secret could be stored.
    SealKeyMissing = "seal_key_missing", 409;
    /// The state of the resource does not allow the request.
    Conflict = "conflict", 409;
    /// The resource no longer matches `If-Match`.
    PreconditionFailed = "precondition_failed", 412;
    /// The body or the list is too long.
    TooLarge = "too_large", 413;
    /// The body is in an encoding or of a media type that is not supported.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// Rows of the list can't be created, changed or deleted.
    BatchRejected = "batch_rejected", 422;
    /// Bindings of the policy can't be set.
    PolicyRejected = "policy_rejected", 422;
    /// The new password does not satisfy the policy.
    PasswordRejected = "password_rejected", 422;
    /// The `Idempotency-Key` belongs to a different request.
    IdempotencyKeyReused = "idempotency_key_reused", 422;
    /// Too many requests with unknown credentials came from the client's network, or too many attempts were made to accept one
    /// invitation.
    RateLimited = "rate_limited", 429;
    /// Too many attempts to sign in to an account or from a network, to use a link, or to ask for one.
    Throttled = "throttled", 429;
    /// The request line and the headers are too long, or there are too many headers.
    HeadersTooLarge = "headers_too_large", 431;
    /// A bug or a broken installation.
    Internal = "internal", 500;
    /// The server is overloaded.
    Overloaded = "overloaded", 503;
    /// The server is shutting down, or the database is unreachable, slow or read-only; `detail` says which.
    Unavailable = "unavailable", 503;
}

/// A duration in words: two significant digits at most. The vendor's client does not show `Retry-After`.
pub(crate) fn about(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1);
    let (number, unit) = match seconds {
        0..90 => (seconds, "second"),
        90..5_400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3_600), "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

impl Error {
    /// An error with its public message. Prefer a more specific constructor.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), report: None, retry_after: None, batch: None, source: None }
    }

    /// A malformed request; `message` names the part and what is expected.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// A resource that does not exist; `kind` is its name in messages, such as `user`.
    pub fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {kind} {id}"))
    }

    /// No valid API key. Unknown keys and wrong secrets get the same message.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// A list that is rejected because of its rows.
    #[must_use]
    pub fn rejected(report: Report) -> Self {
        let code = if report.only_conflicts() { Code::BatchConflict } else { Code::BatchRejected };
        Self::new(code, report.to_string()).with_report(report)
    }

    /// A policy that is rejected because of its bindings.
    #[must_use]
    pub fn policy_rejected(report: Report) -> Self {
        let message = format!("the policy can't be set; nothing was written: {}", report.named());
        Self::new(Code::PolicyRejected, message).with_report(report)
    }

    /// A planned batch with a conflict that did not exist when the plan was made.
    #[must_use]
    pub fn plan_changed(report: Report) -> Self {
        let message = format!("the plan no longer applies; nothing was written: {report}");
        Self::new(Code::PlanChanged, message).with_report(report)
    }

    /// The request with this idempotency key is in progress.
    #[must_use]
    pub fn key_in_use() -> Self {
        let message = "a request with this Idempotency-Key is already in progress; retry shortly";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Code::IdempotencyKeyInUse, message) }
    }

    /// Too many attempts; the next one is possible after `retry_after`.
    pub fn rate_limited(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimited, message) }
    }

    /// Too many attempts; the next one is possible after `retry_after`, which the message says, too.
    #[must_use]
    pub fn throttled(retry_after: Duration) -> Self {
        let message = format!("too many attempts; retry in about {}", about(retry_after));
        Self { retry_after: Some(retry_after), ..Self::new(Code::Throttled, message) }
    }

    /// The server is overloaded; capacity is expected after `retry_after`, which the message says, too.
    pub fn overloaded(message: impl Into<String>, retry_after: Duration) -> Self {
        let message = format!("{}; retry in about {}", message.into(), about(retry_after));
        Self { retry_after: Some(retry_after), ..Self::new(Code::Overloaded, message) }
    }

    /// This instance can't serve the request; a retry, or another instance, may.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_SOON), ..Self::new(Code::Unavailable, message) }
    }

    /// The server is shutting down and did not start or finish the request.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::unavailable("the server is shutting down; nothing was written, so retry the request")
    }

    /// A bug or a broken installation. The client gets a constant message; `source` is logged.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "internal error; see the server log for this request ID").with_source(source)
    }

    /// Sets the cause, which is logged and not shown to the client.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Sets the report, which clients get as `rows`.
    #[must_use]
    pub fn with_report(self, report: Report) -> Self {
        Self { report: Some(Box::new(report)), ..self }
    }

    /// Sets the report and names its first findings in the message.
    #[must_use]
    pub fn with_rows(self, report: Report) -> Self {
        let message = format!("{}: {}", self.message, report.named());
        Self { message, ..self }.with_report(report)
    }

    /// Names the batch that created the users of a rejected list, which clients get as `batch_id`.
    #[must_use]
    pub fn with_batch(self, batch: Id<Batch>) -> Self {
        Self { batch: Some(batch), ..self }
    }

    /// Replaces the public message.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The findings on a rejected list.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// The batch that created the users of a rejected list.
    #[must_use]
    pub const fn batch(&self) -> Option<Id<Batch>> {
        self.batch
    }

    /// When to retry; `None` if a retry can't succeed.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The chain of causes, outermost first, for the log.
    #[must_use]
    pub fn chain(&self) -> Option<String> {
        let mut next = std::error::Error::source(self);
        next?;
        let mut parts: Vec<String> = Vec::new();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors repeat the text of their cause.
            if !parts.last().is_some_and(|last| last.ends_with(&text)) {
                parts.push(text);
            }
            next = cause.source();
        }
        Some(parts.join(": "))
    }
}
