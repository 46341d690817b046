//! The threads that hash.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;
use super::measured::Measured;
use super::queue::{Checked, Queue, Single, Task};
use crate::failpoints;
use crate::passwords::hash::{Hasher, Parameters, PasswordHash};
use crate::passwords::policy::{Candidate, Password};
use crate::passwords::verify::verify_in;

/// The state that the pool shares with its threads.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) ready: Condvar,
    /// The moving average of the time per hash, in nanoseconds.
    pub(super) nanos_per_hash: AtomicU64,
    /// The moving average of the time to check one password, in nanoseconds.
    pub(super) nanos_per_check: AtomicU64,
    pub(super) measured: Measured,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            ready: Condvar::new(),
            nanos_per_hash: AtomicU64::new(20_000_000),
            nanos_per_check: AtomicU64::new(200_000),
            measured: Measured::default(),
        }
    }
}

impl Shared {
    /// Runs the tasks of the queue, until the pool is dropped.
    pub(super) fn work(&self, parameters: &Parameters) {
        // Made for the first password: a server that hashes nothing needs no memory for hashing.
        let mut hasher = None;
        let mut checked_for = Duration::ZERO;
        while let Some(task) = self.next(std::mem::take(&mut checked_for)) {
            // Sending fails if the caller has been cancelled, which is no error.
            match task {
                Task::Hash((index, password, results)) => {
                    results.put(index, self.hash(&mut hasher, parameters, &password));
                }
                Task::Check((index, candidate, results)) => {
                    let start = Instant::now();
                    results.put(index, self.check(candidate));
                    checked_for = start.elapsed();
                }
                Task::Single(Single::Check(candidate, answer)) => {
                    let _ = answer.send(self.check(candidate));
                }
                Task::Single(Single::Hash(password, answer)) => {
                    let _ = answer.send(self.hash(&mut hasher, parameters, &password));
                }
                Task::Single(Single::Verify(password, stored, answer)) => {
                    let start = Instant::now();
                    // Without memory to reuse, it allocates its own.
                    let memory = ready(&mut hasher, parameters).map(Hasher::memory).unwrap_or_default();
                    let verified = verify_in(&stored, password.expose().as_bytes(), parameters, memory);
                    self.measured.hashed(start.elapsed());
                    let _ = answer.send(verified);
                }
            }
        }
    }

    fn hash(
        &self,
        hasher: &mut Option<Hasher>,
        parameters: &Parameters,
        password: &Password,
    ) -> Result<PasswordHash, String> {
        let start = Instant::now();
        let hash = ready(hasher, parameters).and_then(|hasher| hasher.hash(password));
        self.record(start.elapsed());
        hash
    }

    /// A panic in the library that estimates the strength must not end the thread.
    fn check(&self, candidate: Candidate) -> Result<Checked, String> {
        failpoints::block("pool::check");
        let start = Instant::now();
        let checked = catch_unwind(AssertUnwindSafe(|| candidate.check_strength()));
        average(&self.nanos_per_check, start.elapsed());
        checked.map_err(|_| "checking the strength of a password panicked".to_owned())
    }

    /// Waits for the next task; `None` if the pool is dropped. `checked_for`: how long the thread has just checked a
    /// password of a list.
    fn next(&self, checked_for: Duration) -> Option<Task> {
        let mut queue = lock(&self.queue);
        queue.note_checked(checked_for);
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some((task, waited)) = queue.take() {
                drop(queue);
                self.measured.waited(&task, waited);
                return Some(task);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn record(&self, elapsed: Duration) {
        self.measured.hashed(elapsed);
        average(&self.nanos_per_hash, elapsed);
    }
}

/// The thread's hasher, whose memory is allocated for the first password.
fn ready<'a>(hasher: &'a mut Option<Hasher>, parameters: &Parameters) -> Result<&'a mut Hasher, String> {
    match hasher {
        Some(hasher) => Ok(hasher),
        None => Ok(hasher.insert(Hasher::new(parameters)?)),
    }
}

/// Updates a moving average.
fn average(nanos: &AtomicU64, latest: Duration) {
    let latest = u64::try_from(latest.as_nanos()).unwrap_or(u64::MAX);
    let before = nanos.load(Ordering::Relaxed);
    nanos.store(before.saturating_mul(15).saturating_add(latest) / 16, Ordering::Relaxed);
}
