//! The clock. All code gets the time from [`App::clock`](crate::app::App), so tests can control it.
//!
//! # Decisions
//!
//! *The time is the database's*: instances share a database, not a clock. Each transaction reads it once, when it begins
//! ([`crate::change`]), which also corrects [`Clock::Database`]. Between transactions this machine's clock continues with
//! that correction, so a check of an expiry costs no query. Where a jump of this machine's clock would do lasting harm, as for the
//! cookie of a session, which is cleared when it has expired, the query that reads the row reads the database's clock, too.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A source of time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system clock.
    System,
    /// The database's clock: the system clock with a correction in microseconds.
    Database(Arc<AtomicI64>),
    /// A clock that only tests advance.
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Default for Clock {
    fn default() -> Self {
        Self::Database(Arc::default())
    }
}

impl Clock {
    /// The current time in UTC, truncated to microseconds as PostgreSQL stores it: a time read back from the database
    /// equals the time written.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => system(),
            Self::Database(correction) => {
                let correction = TimeDelta::microseconds(correction.load(Ordering::Relaxed));
                system().checked_add_signed(correction).unwrap_or_else(system)
            }
            Self::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Starts a reading of the database's clock.
    pub(crate) fn start_reading(&self) -> Reading<'_> {
        Reading { clock: self, start: system() }
    }
}

/// A reading of the database's clock. The database's answer lies between the start of the reading and its end.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    clock: &'a Clock,
    start: DateTime<Utc>,
}

impl Reading<'_> {
    /// Ends the reading with the database's answer, in microseconds since 1970, and returns the time. The correction
    /// changes only if the answer rules it out, so a slow answer does not disturb it.
    pub(crate) fn finish(self, answer: i64) -> DateTime<Utc> {
        if let Clock::Database(correction) = self.clock {
            let highest = answer.saturating_sub(self.start.timestamp_micros());
            let lowest = answer.saturating_sub(system().timestamp_micros());
            let current = correction.load(Ordering::Relaxed);
            // The machine's clock may have been set back during the reading.
            let next = current.max(lowest).min(highest);
            if next != current {
                correction.store(next, Ordering::Relaxed);
            }
        }
        match self.clock {
            Clock::Manual(_) => self.clock.now(),
            Clock::System | Clock::Database(_) => {
                DateTime::from_timestamp_micros(answer).unwrap_or_else(|| self.clock.now())
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
fn system() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_corrects_the_clock_only_if_it_rules_the_correction_out() {
        let correction = Arc::<AtomicI64>::default();
        let clock = Clock::Database(Arc::clone(&correction));
        let reading = clock.start_reading();
        let start = reading.start.timestamp_micros();
        // The machine is an hour behind.
        let read = reading.finish(start + 3_600_000_000);
        assert_eq!(read.timestamp_micros(), start + 3_600_000_000);
        let corrected = correction.load(Ordering::Relaxed);
        assert!((3_540_000_000..=3_600_000_000).contains(&corrected), "{corrected}");
        assert!(clock.now() >= read);
        let reading = clock.start_reading();
        let start = reading.start.timestamp_micros();
        std::thread::sleep(std::time::Duration::from_millis(5));
        // The answer is from anywhere within the reading.
        reading.finish(start + corrected + 2_500);
        assert_eq!(correction.load(Ordering::Relaxed), corrected);
    }
}
