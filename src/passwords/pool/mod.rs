//! The hash pool: the only place where passwords are hashed.
//!
//! By default, the pool has one thread per core. Each thread reuses its own block of memory, so hashing needs `threads ×
//! memory_kib` regardless of the load. The queue has two lanes: one for single passwords that a request waits for (a
//! sign-in), one for batches. A free thread takes single passwords first, so a sign-in waits for at most one hash of a
//! batch. After seven single passwords in a row, a batch gets a turn, so neither lane starves.
//!
//! The queue of batches is bounded in time, by how long a batch would wait for its first hash, and in memory, by the
//! number of queued passwords. A batch beyond the bounds is rejected at once, with a retry time estimated from the
//! measured hashing rate. A batch that finds the queue empty is always accepted.

mod measured;
mod priority;
mod progress;
mod queue;
mod worker;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::hash::{Parameters, PasswordHash};
use super::policy::Password;
use super::verify::Verified;
use crate::config::ConfigError;
use crate::error::Error;
use crate::secret::Secret;

pub use progress::Progress;
pub use queue::Waiting;

use measured::Measured;
use progress::Results;
use queue::{Batch, Single};
use worker::Shared;

/// The maximum number of queued single passwords.
const LONGEST_SINGLE_QUEUE: usize = 64;

/// The hashing threads and their queue.
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    longest_queue: usize,
    longest_wait: Duration,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The estimated time until the request would be accepted, in whole seconds, at least 1.
    pub retry_after: Duration,
}

impl Pool {
    /// Starts `threads` threads, or one per core if that is 0. `longest_queue` limits the queued passwords of batches,
    /// `longest_wait` the time until the first password of a batch is hashed.
    ///
    /// # Errors
    /// If a thread can't be started.
    pub fn start(
        parameters: Parameters,
        threads: usize,
        longest_queue: usize,
        longest_wait: Duration,
    ) -> Result<Self, ConfigError> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            some => some,
        };
        let shared = Arc::<Shared>::default();
        let pool = Self { shared: Arc::clone(&shared), threads, longest_queue, longest_wait };
        for number in 0..threads {
            let (shared, parameters) = (Arc::clone(&shared), parameters.clone());
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || {
                    priority::lower();
                    shared.work(&parameters);
                })
                .map_err(|error| ConfigError::starting(format!("failed to start a hashing thread: {error}")))?;
        }
        Ok(pool)
    }

    /// Hashes the passwords of a batch, in order, and counts them in `progress`. Dropping the future removes the rest of
    /// the batch from the queue.
    ///
    /// # Errors
    /// [`Busy`] at once, if the batch would wait too long or does not fit into the queue.
    pub async fn hash_batch(
        &self,
        passwords: Vec<Password>,
        progress: Arc<Progress>,
    ) -> Result<Vec<PasswordHash>, HashError> {
        self.start_batch(passwords, progress)?.finish().await
    }

    /// Queues a batch without waiting for its hashes.
    ///
    /// # Errors
    /// As [`Pool::hash_batch`].
    pub fn start_batch(&self, passwords: Vec<Password>, progress: Arc<Progress>) -> Result<Hashing, HashError> {
        let count = passwords.len();
        if count == 0 {
            return Ok(Hashing(None));
        }
        let (results, finished) = Results::new(count, progress);
        let batch = Batch::new(passwords, Arc::clone(&results));
        {
            let mut queue = lock(&self.shared.queue);
            self.admit(queue.waiting(), count).map_err(HashError::Busy)?;
            queue.add_batch(batch);
        }
        self.shared.ready.notify_all();
        let queued = Queued { shared: Arc::clone(&self.shared), results };
        Ok(Hashing(Some((finished, queued))))
    }

    /// Hashes one password, ahead of batches.
    ///
    /// # Errors
    /// [`Busy`] at once, if too many single passwords are queued.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let (answer, answered) = oneshot::channel();
        self.add_single(Single::Hash(password, answer))?;
        answered.await.map_err(|_| stopped())?.map_err(HashError::Failed)
    }

    /// Verifies a password against a stored hash as [`super::verify()`] does, ahead of batches. Uses the thread's own
    /// memory if that is large enough; an imported hash can need up to 256 MiB in addition.
    ///
    /// # Errors
    /// [`Busy`] at once, if too many single passwords are queued; `Failed` if the stored hash can't be verified.
    pub async fn verify(&self, password: Secret, stored: String) -> Result<Verified, HashError> {
        let (answer, answered) = oneshot::channel();
        self.add_single(Single::Verify(password, stored, answer))?;
        answered.await.map_err(|_| stopped())?.map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Estimates the time until `count` more passwords would be hashed, behind the queued ones.
    #[must_use]
    pub fn estimate(&self, count: usize) -> Duration {
        let waiting = lock(&self.shared.queue).waiting();
        self.time_for(waiting.saturating_add(count))
    }

    /// Estimates the time until a queued batch is hashed.
    #[must_use]
    pub fn time_left(&self, progress: &Progress) -> Duration {
        let waiting = lock(&self.shared.queue).waiting_up_to(progress);
        self.time_for(waiting.unwrap_or_else(|| progress.total().saturating_sub(progress.done())))
    }

    /// The number of threads.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// The number of queued passwords.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let queue = lock(&self.shared.queue);
        Waiting { singles: queue.singles(), of_batches: queue.waiting() }
    }

    /// The histograms of waiting and hashing times.
    pub(crate) fn measured(&self) -> &Measured {
        &self.shared.measured
    }

    fn add_single(&self, single: Single) -> Result<(), HashError> {
        {
            let mut queue = lock(&self.shared.queue);
            if queue.singles() >= LONGEST_SINGLE_QUEUE {
                return Err(HashError::Busy(Busy::after(self.time_for(queue.singles()))));
            }
            queue.add_single(single);
        }
        self.shared.ready.notify_one();
        Ok(())
    }

    /// Whether a batch of `count` passwords may be queued behind `waiting` passwords. Hashes in progress do not count:
    /// they end within the time of one hash.
    fn admit(&self, waiting: usize, count: usize) -> Result<(), Busy> {
        if waiting == 0 {
            return Ok(());
        }
        let too_long = self.time_for(waiting).saturating_sub(self.longest_wait);
        // A batch that is larger than the queue waits until the queue is empty.
        let too_many = waiting.saturating_add(count).saturating_sub(self.longest_queue).min(waiting);
        if too_long.is_zero() && too_many == 0 {
            return Ok(());
        }
        Err(Busy::after(too_long.max(self.time_for(too_many))))
    }

    /// Estimates the number of hashes in this time on all threads, from the measured rate; at least one.
    #[must_use]
    pub fn hashes_in(&self, time: Duration) -> usize {
        let nanos = u128::from(self.shared.nanos_per_hash.load(Ordering::Relaxed)).max(1);
        let rounds = usize::try_from(time.as_nanos() / nanos).unwrap_or(usize::MAX);
        rounds.saturating_mul(self.threads).max(1)
    }

    /// Estimates the time for this number of hashes on all threads, from the measured rate.
    #[must_use]
    pub fn time_for(&self, hashes: usize) -> Duration {
        let nanos = self.shared.nanos_per_hash.load(Ordering::Relaxed);
        let rounds = u64::try_from(hashes.div_ceil(self.threads)).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.saturating_mul(rounds))
    }
}

impl Busy {
    fn after(time: Duration) -> Self {
        let rounded_up = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        Self { retry_after: Duration::from_secs(rounded_up.max(1)) }
    }
}

/// A queued batch. Dropping it removes the rest of the batch from the queue.
pub struct Hashing(Option<(oneshot::Receiver<()>, Queued)>);

impl Hashing {
    /// Waits for the hashes, in the order of the passwords.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn finish(self) -> Result<Vec<PasswordHash>, HashError> {
        let Some((finished, queued)) = self.0 else { return Ok(Vec::new()) };
        finished.await.map_err(|_| stopped())?;
        queued.results.take().map_err(HashError::Failed)
    }
}

/// Removes a batch from the queue when dropped.
struct Queued {
    shared: Arc<Shared>,
    results: Arc<Results>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        // The lock is released before the passwords are wiped.
        let _rest = lock(&self.shared.queue).remove_batch(&self.results);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.queue).is_closed = true;
        self.shared.ready.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Why a password was not hashed or verified.
#[derive(Debug)]
pub enum HashError {
    /// The queue is full.
    Busy(Busy),
    /// The hash function failed, the stored hash is invalid, or the pool has stopped.
    Failed(String),
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy(busy) => {
                Self::overloaded("the password hashing queue is full; nothing was written", busy.retry_after)
            }
            HashError::Failed(why) => Self::internal(why),
        }
    }
}

fn stopped() -> HashError {
    HashError::Failed("the hash pool has stopped".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
