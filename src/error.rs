//! What can go wrong, as its caller sees it: a stable code, a sentence that says what
//! to do next, and apart from both the private context that only the log gets.
//!
//! | code family | HTTP | the caller should |
//! |---|---|---|
//! | `invalid_json`, `invalid_request`, `empty_batch` | 400 | send something else |
//! | `unauthenticated` | 401 | use a valid key |
//! | `forbidden` | 403 | ask an owner |
//! | `not_found`, `method_not_allowed` | 404, 405 | look at `/docs` |
//! | `request_timeout` | 408 | send the request, or its body, faster |
//! | `batch_conflict` | 409 | look at `rows`: these accounts exist |
//! | `plan_changed` | 409 | make a new dry run; `rows` has what is in the way |
//! | `idempotency_key_in_use` | 409 | wait: the request with this key is at work |
//! | `batch_in_use` | 409 | look at `rows`: these users have signed in or were changed |
//! | `email_taken` | 409 | take another address: this one has an account |
//! | `last_owner` | 409 | make somebody else an owner first |
//! | `conflict` | 409 | look at the thing: its state does not allow this |
//! | `precondition_failed` | 412 | read it again: somebody has changed it since |
//! | `too_large` | 413 | send less at once |
//! | `batch_rejected` | 422 (409 if all findings are conflicts) | mend the rows named |
//! | `policy_rejected` | 422 | mend the bindings named |
//! | `idempotency_key_reused` | 422 | use a new key for another request |
//! | `headers_too_large` | 431 | send shorter headers, or fewer |
//! | `internal` | 500 | report the request id |
//! | `overloaded`, `unavailable` | 503 | try again after `Retry-After` |
//!
//! # Decisions
//!
//! One type for the whole program, not one per endpoint: the mapping from code to
//! status then exists once, and `?` works everywhere. `Display` prints the public
//! sentence only; the cause is reached through `source()` and logged once, at the door.

use std::fmt;
use std::time::Duration;

use crate::passwords::HashError;
use crate::postgres::{self, ErrorClass, UnavailableReason};
use crate::report::Report;

/// What went wrong.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    report: Option<Box<Report>>,
    retry_after: Option<Duration>,
    class: Option<ErrorClass>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// The kind of an error. Names and statuses are part of the API and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is written in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
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
    /// The request has the wrong shape.
    InvalidRequest = "invalid_request", 400;
    /// A batch of nobody.
    EmptyBatch = "empty_batch", 400;
    /// No valid key.
    Unauthenticated = "unauthenticated", 401;
    /// The key is valid and may not do this.
    Forbidden = "forbidden", 403;
    /// There is no such thing.
    NotFound = "not_found", 404;
    /// There is such a thing, but not for this method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The request, or its body, did not arrive in time.
    RequestTimeout = "request_timeout", 408;
    /// All findings on a list are conflicts with accounts that exist.
    BatchConflict = "batch_conflict", 409;
    /// A list that is no longer what was planned, or would no longer do what was planned.
    PlanChanged = "plan_changed", 409;
    /// The request with this `Idempotency-Key` is at work.
    IdempotencyKeyInUse = "idempotency_key_in_use", 409;
    /// Users of the batch have been used since, so that it can't be undone.
    BatchInUse = "batch_in_use", 409;
    /// The address belongs to another account.
    EmailTaken = "email_taken", 409;
    /// The organization would be left without an owner.
    LastOwner = "last_owner", 409;
    /// The state of a thing does not allow this.
    Conflict = "conflict", 409;
    /// The thing is no longer what `If-Match` says.
    PreconditionFailed = "precondition_failed", 412;
    /// The body or the list is too long.
    TooLarge = "too_large", 413;
    /// Rows of a list can't be created, changed or deleted.
    BatchRejected = "batch_rejected", 422;
    /// Bindings of a policy can't be set.
    PolicyRejected = "policy_rejected", 422;
    /// The `Idempotency-Key` belongs to another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422;
    /// The address and the headers are too long, or too many.
    HeadersTooLarge = "headers_too_large", 431;
    /// A bug or a broken installation.
    Internal = "internal", 500;
    /// More work than fits; later it will.
    Overloaded = "overloaded", 503;
    /// The database can't be reached, does not answer, or can't write; `detail` says which.
    Unavailable = "unavailable", 503;
}

impl Error {
    /// An error with a sentence of its own. Prefer one of the others where it fits.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), report: None, retry_after: None, class: None, source: None }
    }

    /// The request can't be understood: `message` says which part and what is due.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// No key, or one that opens nothing. The same for unknown keys and wrong secrets.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// A list whose rows can't be created, changed or deleted; the report says which and why.
    #[must_use]
    pub fn rejected(report: Report) -> Self {
        let code = if report.only_conflicts() { Code::BatchConflict } else { Code::BatchRejected };
        let sentence = report.to_string();
        Self { report: Some(Box::new(report)), ..Self::new(code, sentence) }
    }

    /// A policy whose bindings can't be set; the report says which and why.
    #[must_use]
    pub fn policy_rejected(report: Report) -> Self {
        let sentence = format!("the policy can't be set, and nothing was written: {}", report.named());
        Self { report: Some(Box::new(report)), ..Self::new(Code::PolicyRejected, sentence) }
    }

    /// A planned batch that meets something that was not there when it was planned.
    #[must_use]
    pub fn not_as_planned(report: Report) -> Self {
        let sentence = format!("not as planned, and nothing was written: {report}");
        Self { report: Some(Box::new(report)), ..Self::new(Code::PlanChanged, sentence) }
    }

    /// Users of a batch stand in the way of undoing it.
    #[must_use]
    pub fn in_use(report: Report, message: String) -> Self {
        Self { report: Some(Box::new(report)), ..Self::new(Code::BatchInUse, message) }
    }

    /// The request with this key is at work.
    #[must_use]
    pub fn key_in_use() -> Self {
        let sentence = "a request with this Idempotency-Key is at work: try again in a moment for its answer";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Code::IdempotencyKeyInUse, sentence) }
    }

    /// More work than fits; there will be room again after about `retry_after`.
    pub fn overloaded(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::Overloaded, message) }
    }

    /// Somebody else's change was in the way of this one, which may succeed if made again.
    #[must_use]
    pub fn contended() -> Self {
        let sentence = "the database is too busy right now; nothing was written";
        Self { class: Some(ErrorClass::Contended), ..Self::overloaded(sentence, Duration::from_secs(2)) }
    }

    /// The server was told to stop before this was done.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::not_ready("the server is shutting down; nothing was written, so retry the request")
    }

    /// This instance can't take requests; others may.
    pub fn not_ready(why: impl Into<String>) -> Self {
        Self { retry_after: Some(Duration::from_secs(2)), ..Self::new(Code::Unavailable, why) }
    }

    /// The database does not answer, and nothing was written.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(2)),
            source: Some(source.into()),
            ..Self::new(Code::Unavailable, "the database can't be reached right now; nothing was written")
        }
    }

    /// The database does not answer a question in time.
    #[must_use]
    pub fn timed_out() -> Self {
        let sentence = "the database does not answer in time; nothing was written";
        Self { class: Some(ErrorClass::Unavailable), ..Self::unavailable(NoAnswer).with_message(sentence) }
    }

    /// The database can be reached and states why it rejects requests; nothing was written.
    #[must_use]
    pub fn in_trouble(reason: UnavailableReason) -> Self {
        let sentence = format!("{}; nothing was written", reason.as_str());
        Self { class: Some(ErrorClass::Unavailable), ..Self::unavailable(reason.as_str()) }.with_message(sentence)
    }

    /// Something that should not happen. The caller sees a constant sentence; `source` is logged.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Internal, "an error inside muster; its log has the details under this request id")
        }
    }

    /// Says which rows of a list it is about.
    #[must_use]
    pub fn on_rows(mut self, report: Report) -> Self {
        self.message = format!("{}: {}", self.message, report.named());
        self.report = Some(Box::new(report));
        self
    }

    /// Replaces the sentence.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The findings of a rejected batch.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// The class of the database error behind it.
    #[must_use]
    pub const fn class(&self) -> Option<ErrorClass> {
        self.class
    }

    /// Whether all it says is that something of the database's did not come in time: the database may say why
    /// ([`crate::postgres::Database`]).
    #[must_use]
    pub fn is_unexplained(&self) -> bool {
        let source = self.source.as_deref().filter(|_| self.class == Some(ErrorClass::Unavailable));
        source.is_some_and(|source| {
            source.is::<NoAnswer>() || matches!(source.downcast_ref(), Some(sqlx::Error::PoolTimedOut))
        })
    }

    /// Why the database rejected the request, if its error says so.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<UnavailableReason> {
        UnavailableReason::of(self.source.as_deref()?.downcast_ref()?)
    }

    /// When to try again, if that makes sense.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The cause and its causes, outermost first, for the log.
    #[must_use]
    pub fn chain(&self) -> Option<String> {
        let mut next: Option<&dyn std::error::Error> = match &self.source {
            Some(source) => Some(source.as_ref()),
            None => return None,
        };
        let mut parts: Vec<String> = Vec::new();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !parts.last().is_some_and(|last| last.ends_with(&text)) {
                parts.push(text);
            }
            next = cause.source();
        }
        Some(parts.join(": "))
    }
}

/// A question to the database that was given up.
#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement had no answer in time")
    }
}

impl std::error::Error for NoAnswer {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.as_ref() })
    }
}

impl From<HashError> for Error {
    /// For a single password that somebody waits for; batches have a sentence of their own.
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy(busy) => Self::overloaded(
                "too many passwords are waiting to be hashed right now; nothing was written",
                busy.retry_after,
            ),
            HashError::Failed(why) => Self::internal(why),
        }
    }
}

impl From<sqlx::Error> for Error {
    /// What a database error means to the caller, by its class. See [`ErrorClass`].
    fn from(error: sqlx::Error) -> Self {
        let class = ErrorClass::of(&error);
        if matches!(class, ErrorClass::Unavailable | ErrorClass::OutcomeUnknown) {
            postgres::note_break();
        }
        let reason = UnavailableReason::of(&error);
        if reason == Some(UnavailableReason::ReadOnly) {
            postgres::note_read_only();
        }
        let meaning = match class {
            ErrorClass::Contended => {
                tracing::warn!(%error, "the database was too busy");
                Self::contended()
            }
            ErrorClass::TimedOut => {
                tracing::warn!(%error, "a time limit of the database was hit");
                Self::contended()
                    .with_message("the database took longer than it may for one statement; nothing was written")
            }
            ErrorClass::Unavailable => {
                let unavailable = Self::unavailable(error);
                match reason {
                    Some(reason) => unavailable.with_message(format!("{}; nothing was written", reason.as_str())),
                    None => unavailable,
                }
            }
            ErrorClass::OutcomeUnknown => Self::unavailable(error)
                .with_message("the database does not say whether it was done: look before you send it again"),
            ErrorClass::AbortedTransaction | ErrorClass::InvalidText | ErrorClass::Internal => Self::internal(error),
        };
        Self { class: Some(class), ..meaning }
    }
}
