//! The clock. All code gets the time from [`App::clock`](crate::app::App), so tests can control it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, Utc};

/// A source of time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system clock.
    #[default]
    System,
    /// A clock that only tests advance.
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The current time in UTC, truncated to microseconds as PostgreSQL stores it: a time read back from the database
    /// equals the time written.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
