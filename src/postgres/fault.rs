//! What a database error means, in one total function.

/// SQLSTATE of a write that the database does not take (read_only_sql_transaction).
pub(crate) const READ_ONLY: &str = "25006";

/// The class of a database error: what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Rolled back because of others; the same transaction may succeed if run again.
    Retry,
    /// A time limit was hit; rolled back. Try later.
    Timeout,
    /// The database is away, starting, stopping or full. What was sent before is rolled back, unless
    /// it was a commit: then its outcome is unknown.
    Unavailable,
    /// The outcome is unknown, whatever was sent: it has to be read.
    Unknown,
    /// A statement in a transaction that had failed before: a bug, and a connection that is no use.
    Poisoned,
    /// Text that PostgreSQL can't keep (NUL, bytes that are no UTF-8): a bug, since muster refuses it first.
    BadText,
    /// Anything else: a bug or a broken installation.
    Internal,
}

impl Fault {
    /// Classifies an error. SQLSTATEs from the table of PostgreSQL's Appendix A.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => error.code().map_or(Self::Internal, |code| Self::of_sqlstate(&code)),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable,
            // A connection that ends in the middle of a message shows as a protocol error.
            sqlx::Error::Protocol(_) => Self::Unavailable,
            _ => Self::Internal,
        }
    }

    /// Whether it tells nothing about a commit that was sent.
    #[must_use]
    pub const fn is_unknown_after_commit(self) -> bool {
        matches!(self, Self::Unavailable | Self::Unknown)
    }

    /// Classifies a SQLSTATE.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        match code {
            // serialization_failure, deadlock_detected, lock_not_available
            "40001" | "40P01" | "55P03" => Self::Retry,
            // query_canceled (statement_timeout), idle_in_transaction_session_timeout, transaction_timeout
            "57014" | "25P03" | "25P04" => Self::Timeout,
            // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Self::Unavailable,
            // read_only_sql_transaction: connected to a standby, or to a database that takes no writes for a while
            READ_ONLY => Self::Unavailable,
            // invalid_authorization_specification, invalid_password, invalid_catalog_name: it doesn't let muster in
            "28000" | "28P01" | "3D000" => Self::Unavailable,
            // statement_completion_unknown, transaction_resolution_unknown
            "40003" | "08007" => Self::Unknown,
            // in_failed_sql_transaction
            "25P02" => Self::Poisoned,
            // character_not_in_repertoire, untranslatable_character
            "22021" | "22P05" => Self::BadText,
            // connection exceptions; insufficient resources: disk, memory, connections
            _ if code.starts_with("08") || code.starts_with("53") => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn each_sqlstate_has_its_class() {
        let table = [
            ("40001", Fault::Retry),
            ("40P01", Fault::Retry),
            ("55P03", Fault::Retry),
            ("57014", Fault::Timeout),
            ("25P03", Fault::Timeout),
            ("25P04", Fault::Timeout),
            ("57P01", Fault::Unavailable),
            ("57P02", Fault::Unavailable),
            ("57P03", Fault::Unavailable),
            ("08000", Fault::Unavailable),
            ("08006", Fault::Unavailable),
            ("25006", Fault::Unavailable),
            ("28000", Fault::Unavailable),
            ("28P01", Fault::Unavailable),
            ("3D000", Fault::Unavailable),
            ("53100", Fault::Unavailable),
            ("53200", Fault::Unavailable),
            ("53300", Fault::Unavailable),
            ("40003", Fault::Unknown),
            ("08007", Fault::Unknown),
            ("25P02", Fault::Poisoned),
            ("22021", Fault::BadText),
            ("22P05", Fault::BadText),
            ("23505", Fault::Internal),
            ("42P01", Fault::Internal),
        ];
        for (code, class) in table {
            assert_eq!(Fault::of_sqlstate(code), class, "{code}");
        }
    }

    #[test]
    fn only_a_connection_that_broke_leaves_a_commit_in_doubt() {
        for fault in [Fault::Retry, Fault::Timeout, Fault::Poisoned, Fault::BadText, Fault::Internal] {
            assert!(!fault.is_unknown_after_commit(), "{fault:?}");
        }
        assert!(Fault::Unavailable.is_unknown_after_commit() && Fault::Unknown.is_unknown_after_commit());
    }

    #[test]
    fn a_pool_without_a_free_connection_is_unavailable() {
        assert_eq!(Fault::of(&sqlx::Error::PoolTimedOut), Fault::Unavailable);
        assert_eq!(Fault::of(&sqlx::Error::RowNotFound), Fault::Internal);
    }
}
