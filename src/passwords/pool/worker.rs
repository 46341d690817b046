//! The threads that hash.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;
use super::measured::Measured;
use super::queue::{Queue, Single, Task};
use crate::passwords::hash::{Hasher, Parameters, PasswordHash};
use crate::passwords::policy::Password;
use crate::passwords::verify::verify_in;

/// The state that the pool shares with its threads.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) ready: Condvar,
    /// The moving average of the time per hash, in nanoseconds.
    pub(super) nanos_per_hash: AtomicU64,
    pub(super) measured: Measured,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            ready: Condvar::new(),
            nanos_per_hash: AtomicU64::new(20_000_000),
            measured: Measured::default(),
        }
    }
}

impl Shared {
    /// Runs the tasks of the queue, until the pool is dropped.
    pub(super) fn work(&self, parameters: &Parameters) {
        // Allocated for the first password: a server that hashes nothing needs no memory for hashing.
        let mut hasher = None;
        while let Some(task) = self.next() {
            // Sending fails if the caller has been cancelled, which is no error.
            match task {
                Task::OfBatch(index, password, results) => {
                    results.put(index, self.hash(&mut hasher, parameters, &password));
                }
                Task::Single(Single::Hash(password, answer)) => {
                    let _ = answer.send(self.hash(&mut hasher, parameters, &password));
                }
                Task::Single(Single::Verify(password, stored, answer)) => {
                    let memory = hasher.as_mut().map(Hasher::memory).unwrap_or_default();
                    let start = Instant::now();
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
        let hash = match hasher {
            Some(hasher) => hasher.hash(password),
            None => Hasher::new(parameters).and_then(|new| hasher.insert(new).hash(password)),
        };
        self.record(start.elapsed());
        hash
    }

    /// Waits for the next task; `None` if the pool is dropped.
    fn next(&self) -> Option<Task> {
        let mut queue = lock(&self.queue);
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
        let latest = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let before = self.nanos_per_hash.load(Ordering::Relaxed);
        let average = before.saturating_mul(15).saturating_add(latest) / 16;
        self.nanos_per_hash.store(average, Ordering::Relaxed);
    }
}
