//! What a database error means, in one total function.

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
            "25006" => Self::Unavailable,
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

/// Why a database that answers does not do what it is asked: what an administrator has to know first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its disk is full.
    DiskFull,
    /// It has no memory left.
    OutOfMemory,
    /// All the connections that it allows are taken.
    NoConnectionLeft,
    /// It is a standby, or was made read-only.
    ReadOnly,
}

impl Trouble {
    /// What a database error says about that, if anything.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        Self::of_sqlstate(&error.as_database_error()?.code()?)
    }

    fn of_sqlstate(code: &str) -> Option<Self> {
        match code {
            // disk_full
            "53100" => Some(Self::DiskFull),
            // out_of_memory
            "53200" => Some(Self::OutOfMemory),
            // too_many_connections: of the server, the database or the role
            "53300" => Some(Self::NoConnectionLeft),
            // read_only_sql_transaction
            "25006" => Some(Self::ReadOnly),
            _ => None,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn state(self) -> &'static str {
        match self {
            Self::DiskFull => "the disk of the database is full",
            Self::OutOfMemory => "the database has no memory left",
            Self::NoConnectionLeft => {
                "the database has no connection left (max_connections, or a limit of the role or the database)"
            }
            Self::ReadOnly => "the database takes no writes right now (it is a standby, or read-only)",
        }
    }

    /// The sentence for whoever asked.
    #[must_use]
    pub fn sentence(self) -> String {
        format!("{}; this request wrote nothing", self.state())
    }

    /// Whether nobody who asks it is served as they should be (bar 3.2: not ready). One that takes no writes can be read;
    /// one without a connection for others serves those who have some, and who has none finds out.
    #[must_use]
    pub const fn is_exhaustion(self) -> bool {
        matches!(self, Self::DiskFull | Self::OutOfMemory)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Trouble};

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
    fn what_an_administrator_has_to_mend_has_a_sentence_of_its_own() {
        let table = [
            ("53100", Some(Trouble::DiskFull)),
            ("53200", Some(Trouble::OutOfMemory)),
            ("53300", Some(Trouble::NoConnectionLeft)),
            ("25006", Some(Trouble::ReadOnly)),
            ("57P01", None),
            ("08006", None),
        ];
        for (code, trouble) in table {
            assert_eq!(Trouble::of_sqlstate(code), trouble, "{code}");
            assert_eq!(Fault::of_sqlstate(code), Fault::Unavailable, "{code}");
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
