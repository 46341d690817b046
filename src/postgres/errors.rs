//! Classifies database errors by SQLSTATE (PostgreSQL documentation, appendix A), and maps them to errors for clients.
//!
//! # Decisions
//!
//! *The conversions have no side effects.* [`super::Database::observe`] updates the state of the pools from an error, at
//! the end of an operation.
//!
//! *Constraint violations are recognized by SQLSTATE, not by the name of the constraint.* Citus does not pass the name
//! on, and reports a violation on a worker that receives rows by `COPY` as `XX000`, so that only the message identifies
//! it.

use super::requirements::POOLER;
use crate::error::{Error, RETRY_SOON};

/// The class of a database error, which determines whether to retry and which error the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Rolled back because of a concurrent transaction: serialization failure, deadlock or lock timeout. The same
    /// transaction may succeed on retry.
    Contended,
    /// Rolled back because a statement or transaction exceeded its timeout.
    TimedOut,
    /// The database is unreachable, starting, shutting down, read-only or out of resources. Uncommitted statements are
    /// rolled back; the outcome of a `COMMIT` in flight is unknown.
    Unavailable,
    /// The transaction may or may not have been committed. Read the data to find out.
    OutcomeUnknown,
    /// A statement was sent in a transaction that had already failed: a bug. The connection is unusable.
    AbortedTransaction,
    /// Text that PostgreSQL can't store (NUL, invalid UTF-8): a bug, because muster validates text first.
    InvalidText,
    /// Anything else: a bug or a broken installation.
    Internal,
}

impl ErrorClass {
    /// Classifies an error of sqlx.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                error.code().map_or(Self::Internal, |code| Self::of_sqlstate(&code, error.message()))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            // sqlx reports a connection that closes in the middle of a message as a protocol error.
            sqlx::Error::Protocol(_) => Self::Unavailable,
            _ => Self::Internal,
        }
    }

    /// Whether a `COMMIT` that failed with this error may still have taken effect.
    #[must_use]
    pub const fn is_unknown_after_commit(self) -> bool {
        matches!(self, Self::Unavailable | Self::OutcomeUnknown)
    }

    fn of_sqlstate(code: &str, message: &str) -> Self {
        match code {
            // serialization_failure, deadlock_detected, lock_not_available
            "40001" | "40P01" | "55P03" => Self::Contended,
            // query_canceled (statement_timeout), idle_in_transaction_session_timeout, transaction_timeout
            "57014" | "25P03" | "25P04" => Self::TimedOut,
            // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Self::Unavailable,
            // read_only_sql_transaction: a standby, or a database that is temporarily read-only
            "25006" => Self::Unavailable,
            // invalid_authorization_specification, invalid_password, invalid_catalog_name: muster can't log in
            "28000" | "28P01" | "3D000" => Self::Unavailable,
            // invalid_sql_statement_name, duplicate_prepared_statement: a pooler in transaction mode
            "26000" | "42P05" => Self::Unavailable,
            // io_error: a disk failure, or a Citus worker lost during COPY
            "58030" => Self::Unavailable,
            // statement_completion_unknown, transaction_resolution_unknown
            "40003" | "08007" => Self::OutcomeUnknown,
            // internal_error of Citus: a worker was lost during a one-phase commit, or before
            "XX000" if message.contains("could not commit transaction") => Self::OutcomeUnknown,
            "XX000" if message.contains("server closed the connection unexpectedly") => Self::Unavailable,
            // in_failed_sql_transaction
            "25P02" => Self::AbortedTransaction,
            // character_not_in_repertoire, untranslatable_character
            "22021" | "22P05" => Self::InvalidText,
            // class 08: connection exceptions; class 53: insufficient resources (disk, memory, connections)
            _ if code.starts_with("08") || code.starts_with("53") => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

/// Whether the statement violated a unique constraint or a primary key.
#[must_use]
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| match error.code().as_deref() {
        Some("XX000") => error.message().contains("violates unique constraint"),
        code => code == Some("23505"),
    })
}

/// Why a reachable database rejects requests, as far as its error says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnavailableReason {
    /// The disk is full.
    DiskFull,
    /// The server is out of memory.
    OutOfMemory,
    /// A connection limit of the server or the database is reached.
    TooManyConnections,
    /// The connection limit of muster's role is reached.
    TooManyConnectionsOfRole,
    /// A connection pooler in transaction mode loses prepared statements.
    NoPreparedStatements,
    /// The server is a standby or read-only.
    ReadOnly,
}

impl UnavailableReason {
    /// The reason that an error states, if it states one.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        let error = error.as_database_error()?;
        match error.code()?.as_ref() {
            // disk_full
            "53100" => Some(Self::DiskFull),
            // out_of_memory
            "53200" => Some(Self::OutOfMemory),
            // too_many_connections
            "53300" if error.message().contains("for role") => Some(Self::TooManyConnectionsOfRole),
            "53300" => Some(Self::TooManyConnections),
            // invalid_sql_statement_name, duplicate_prepared_statement
            "26000" | "42P05" => Some(Self::NoPreparedStatements),
            // read_only_sql_transaction
            "25006" => Some(Self::ReadOnly),
            _ => None,
        }
    }

    /// The reason as a clause, for messages and `/readyz`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "the database server's disk is full",
            Self::OutOfMemory => "the database server is out of memory",
            Self::TooManyConnections => {
                "the database has no connections left (`max_connections`, or a limit of the role or the database)"
            }
            Self::TooManyConnectionsOfRole => {
                "muster's database role has no connections left; raise its `connection limit`, or lower \
                 `database.connections` and `database.batch_connections` of all instances"
            }
            Self::NoPreparedStatements => POOLER,
            Self::ReadOnly => "the database is read-only (a standby, or `default_transaction_read_only`)",
        }
    }

    /// Whether the instance is not ready because of it. A read-only database still serves reads, and a database at its
    /// connection limit still serves the connections it has.
    #[must_use]
    pub const fn is_exhaustion(self) -> bool {
        matches!(self, Self::DiskFull | Self::OutOfMemory)
    }
}

/// A database error that muster detects itself.
#[derive(Debug, thiserror::Error)]
enum DetectedError {
    #[error("conflict with a concurrent transaction, which has ended since")]
    Contended,
    #[error("no response from the database in time")]
    NoResponse,
    #[error("no response to a commit")]
    CommitUnknown(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let meaning = match ErrorClass::of(&error) {
            ErrorClass::Contended => Self::overloaded(BUSY, RETRY_SOON),
            ErrorClass::TimedOut => Self::overloaded("a database statement timed out; nothing was written", RETRY_SOON),
            ErrorClass::Unavailable => match UnavailableReason::of(&error) {
                Some(reason) => Self::unavailable_because(reason),
                None => Self::unavailable("the database can't be reached; nothing was written"),
            },
            ErrorClass::OutcomeUnknown => Self::unavailable(
                "the outcome of the commit is unknown; check whether the change was made before you retry",
            ),
            ErrorClass::AbortedTransaction | ErrorClass::InvalidText | ErrorClass::Internal => {
                return Self::internal(error);
            }
        };
        meaning.with_source(error)
    }
}

const BUSY: &str = "the database is too busy; nothing was written";

/// Errors of the database.
impl Error {
    /// A conflict with a concurrent transaction; a retry may succeed.
    #[must_use]
    pub fn contended() -> Self {
        Self::overloaded(BUSY, RETRY_SOON).with_source(DetectedError::Contended)
    }

    /// The database did not respond in time.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::unavailable("the database did not respond in time; nothing was written")
            .with_source(DetectedError::NoResponse)
    }

    /// The connection was lost during a commit, which may or may not have taken effect.
    pub(crate) fn commit_unknown(error: sqlx::Error) -> Self {
        Self::unavailable(
            "the database connection was lost during the commit; check whether the change was made before you retry",
        )
        .with_source(DetectedError::CommitUnknown(error))
    }

    /// Marks an error that a concurrent transaction caused, so that the transaction is retried, as after a deadlock.
    #[must_use]
    pub(crate) fn retryable(self) -> Self {
        self.with_source(DetectedError::Contended)
    }

    /// The database is reachable and rejects requests for this reason.
    #[must_use]
    pub fn unavailable_because(reason: UnavailableReason) -> Self {
        Self::unavailable(format!("{}; nothing was written", reason.as_str()))
    }

    /// The class of the database error that is the cause; `None` for another cause.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        match (self.cause::<sqlx::Error>(), self.cause::<DetectedError>()) {
            (Some(error), _) => Some(ErrorClass::of(error)),
            (None, Some(DetectedError::Contended)) => Some(ErrorClass::Contended),
            (None, Some(DetectedError::NoResponse)) => Some(ErrorClass::Unavailable),
            (None, Some(DetectedError::CommitUnknown(_))) => Some(ErrorClass::OutcomeUnknown),
            (None, None) => None,
        }
    }

    /// Why the database rejected the request, if its error states a reason.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<UnavailableReason> {
        self.cause().and_then(UnavailableReason::of)
    }

    /// Whether the database did not respond in time, for an unknown reason. `Database::diagnose` may find the
    /// reason.
    #[must_use]
    pub fn is_unexplained(&self) -> bool {
        matches!(self.cause(), Some(DetectedError::NoResponse))
            || matches!(self.cause(), Some(sqlx::Error::PoolTimedOut))
    }

    fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        std::error::Error::source(self)?.downcast_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error as PostgreSQL, or Citus, reports it.
    #[derive(Debug)]
    struct Reported(&'static str, &'static str);

    impl fmt::Display for Reported {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }
    }

    impl StdError for Reported {}

    impl DatabaseError for Reported {
        fn message(&self) -> &str {
            self.1
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn reported(sqlstate: &'static str, message: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Reported(sqlstate, message)))
    }

    #[test]
    fn every_sqlstate_has_a_class() {
        let unavailable = "26000 42P05 57P01 57P02 57P03 08000 08006 25006 28000 28P01 3D000 53100 53200 53300 58030";
        for (class, is_unknown_after_commit, codes) in [
            (ErrorClass::Contended, false, "40001 40P01 55P03"),
            (ErrorClass::TimedOut, false, "57014 25P03 25P04"),
            (ErrorClass::Unavailable, true, unavailable),
            (ErrorClass::OutcomeUnknown, true, "40003 08007"),
            (ErrorClass::AbortedTransaction, false, "25P02"),
            (ErrorClass::InvalidText, false, "22021 22P05"),
            (ErrorClass::Internal, false, "23505 42P01 XX000"),
        ] {
            assert_eq!(class.is_unknown_after_commit(), is_unknown_after_commit, "{class:?}");
            for code in codes.split(' ') {
                assert_eq!(ErrorClass::of(&reported(code, "")), class, "{code}");
            }
        }
    }

    #[test]
    fn internal_errors_of_citus_are_classified_by_message() {
        let table = [
            ("server closed the connection unexpectedly", ErrorClass::Unavailable),
            ("could not commit transaction for shard xact on node 10.0.0.7:5432", ErrorClass::OutcomeUnknown),
            ("cache lookup failed for relation 16390", ErrorClass::Internal),
        ];
        for (message, class) in table {
            assert_eq!(ErrorClass::of(&reported("XX000", message)), class, "{message}");
        }
    }

    #[test]
    fn unique_violations_are_recognized_by_sqlstate_or_by_the_message_of_citus() {
        let unique = "duplicate key value violates unique constraint \"users_email_key_key_102636\"";
        let foreign_key = "insert or update on table violates foreign key constraint \"api_keys_user_fkey_102636\"";
        let table = [
            (reported("23505", "…"), true),
            (reported("23503", "…"), false),
            (reported("XX000", unique), true),
            (reported("XX000", foreign_key), false),
            (reported("23514", "new row violates check constraint"), false),
            (sqlx::Error::PoolTimedOut, false),
        ];
        for (error, expected) in table {
            assert_eq!(is_unique_violation(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn some_sqlstates_state_why_the_database_is_unavailable() {
        let table = [
            ("53100", Some(UnavailableReason::DiskFull)),
            ("53200", Some(UnavailableReason::OutOfMemory)),
            ("53300", Some(UnavailableReason::TooManyConnections)),
            ("26000", Some(UnavailableReason::NoPreparedStatements)),
            ("42P05", Some(UnavailableReason::NoPreparedStatements)),
            ("25006", Some(UnavailableReason::ReadOnly)),
            ("57P01", None),
            ("08006", None),
        ];
        for (code, reason) in table {
            let error = reported(code, "");
            assert_eq!(UnavailableReason::of(&error), reason, "{code}");
            assert_eq!(ErrorClass::of(&error), ErrorClass::Unavailable, "{code}");
        }
    }

    #[test]
    fn an_exhausted_pool_is_unavailable() {
        assert_eq!(ErrorClass::of(&sqlx::Error::PoolTimedOut), ErrorClass::Unavailable);
        assert_eq!(ErrorClass::of(&sqlx::Error::RowNotFound), ErrorClass::Internal);
    }

    #[test]
    fn errors_keep_the_class_of_their_cause() {
        let busy = format!("{BUSY}; retry in about 2 seconds");
        for (error, class, message) in [
            (reported("40001", "…").into(), Some(ErrorClass::Contended), busy.as_str()),
            (Error::contended(), Some(ErrorClass::Contended), &busy),
            (
                reported("53100", "…").into(),
                Some(ErrorClass::Unavailable),
                "the database server's disk is full; nothing was written",
            ),
            (
                sqlx::Error::PoolTimedOut.into(),
                Some(ErrorClass::Unavailable),
                "the database can't be reached; nothing was written",
            ),
            (
                Error::timed_out(),
                Some(ErrorClass::Unavailable),
                "the database did not respond in time; nothing was written",
            ),
            (Error::invalid("…"), None, "…"),
        ] {
            assert_eq!((error.class(), error.to_string().as_str()), (class, message));
        }
        assert!(Error::timed_out().is_unexplained() && Error::from(sqlx::Error::PoolTimedOut).is_unexplained());
        assert!(!Error::from(reported("53300", "…")).is_unexplained());
    }
}
