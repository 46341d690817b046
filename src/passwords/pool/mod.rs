//! The hash pool: the only place where passwords are hashed and their strength is checked.
//!
//! By default, the pool has one thread per core. Each thread reuses its own block of memory, so hashing needs `threads ×
//! memory_kib` regardless of the load. The queue has three lanes: one for single passwords that a request waits for (a
//! sign-in), one for batches to hash, one for lists to check. A free thread takes single passwords first, so a sign-in
//! waits for at most one hash of a batch. After seven single passwords in a row, a list gets a turn, so no lane starves.
//! Checking a list and hashing batches get half of the time each: a list that is rejected is rejected soon.
//!
//! The queue of batches is bounded in time, by how long a batch would wait for its first hash, and in memory, by the
//! number of queued passwords; the queue of lists likewise. A list beyond the bounds is rejected at once, before any of
//! its passwords is checked, with a retry time estimated from the measured rate. An admitted batch keeps its place while it
//! is checked. A list that finds the queue empty is always accepted.

mod measured;
mod priority;
mod progress;
mod queue;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::hash::{Parameters, PasswordHash};
use super::policy::{Candidate, Password, PasswordError};
use super::verify::Verified;
use crate::config::ConfigError;
use crate::error::Error;
use crate::secret::Secret;

pub use progress::Progress;
pub use queue::Waiting;

use measured::Measured;
use progress::Results;
use queue::{Lane, Queue, Reserved, Single};
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
        Ok(self.admit(0, passwords.len())?.hash(passwords, progress))
    }

    /// Admits a list of which `checks` passwords are to be checked and `hashes` of them to be hashed.
    ///
    /// # Errors
    /// [`Busy`] at once, if the list would wait too long or does not fit into the queue.
    pub fn admit(&self, checks: usize, hashes: usize) -> Result<Place, HashError> {
        let wanted = Reserved { checks, hashes };
        let mut queue = lock(&self.shared.queue);
        let Reserved { checks: unchecked, hashes: unhashed } = queue.reserved;
        let (unchecked, unhashed) = (unchecked + queue.unchecked.waiting(), unhashed + queue.batches.waiting());
        if checks > 0 {
            self.room(unchecked, checks, Duration::ZERO, |checks| self.time_to_check(checks))?;
        }
        if hashes > 0 {
            self.room(unhashed, hashes, self.time_to_check(unchecked), |hashes| self.time_for(hashes))?;
        }
        queue.reserved.checks += checks;
        queue.reserved.hashes += hashes;
        drop(queue);
        Ok(Place { shared: Arc::clone(&self.shared), reserved: wanted })
    }

    /// Checks the strength of one password, ahead of batches.
    ///
    /// # Errors
    /// [`Busy`] at once, if too many single passwords are queued.
    pub async fn check(&self, candidate: Candidate) -> Result<Result<Password, PasswordError>, HashError> {
        let (answer, answered) = oneshot::channel();
        self.add_single(Single::Check(candidate, answer))?;
        answered.await.map_err(|_| stopped())?.map_err(HashError::Failed)
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

    /// Estimates the time until `count` more passwords would be hashed, behind the queued ones and those of admitted lists.
    #[must_use]
    pub fn estimate(&self, count: usize) -> Duration {
        let ahead = {
            let queue = lock(&self.shared.queue);
            queue.reserved.hashes + queue.batches.waiting()
        };
        self.time_for(ahead.saturating_add(count))
    }

    /// Estimates the time until a queued batch is hashed.
    #[must_use]
    pub fn time_left(&self, progress: &Progress) -> Duration {
        let waiting = lock(&self.shared.queue).batches.waiting_up_to(progress);
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
        Waiting { singles: queue.singles(), of_batches: queue.batches.waiting(), unchecked: queue.unchecked.waiting() }
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

    /// Whether a list of `count` passwords may be queued behind `waiting` passwords, and behind other work that takes
    /// `other`. Passwords in progress do not count: they end within the time of one hash.
    fn room(
        &self,
        waiting: usize,
        count: usize,
        other: Duration,
        time_for: impl Fn(usize) -> Duration,
    ) -> Result<(), Busy> {
        if waiting == 0 {
            return Ok(());
        }
        let too_long = time_for(waiting).saturating_add(other).saturating_sub(self.longest_wait);
        // A list that is larger than the queue waits until the queue is empty.
        let too_many = waiting.saturating_add(count).saturating_sub(self.longest_queue).min(waiting);
        if too_long.is_zero() && too_many == 0 {
            return Ok(());
        }
        Err(Busy::after(too_long.max(time_for(too_many))))
    }

    /// Estimates the time to check this number of passwords on all threads, half of which hash.
    fn time_to_check(&self, checks: usize) -> Duration {
        self.time(&self.shared.nanos_per_check, checks.saturating_mul(2))
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
        self.time(&self.shared.nanos_per_hash, hashes)
    }

    fn time(&self, nanos: &AtomicU64, count: usize) -> Duration {
        let rounds = u64::try_from(count.div_ceil(self.threads)).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.load(Ordering::Relaxed).saturating_mul(rounds))
    }
}

impl Busy {
    fn after(time: Duration) -> Self {
        let rounded_up = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
        Self { retry_after: Duration::from_secs(rounded_up.max(1)) }
    }
}

/// The place of an admitted list in the queue. Dropping it frees the place.
pub struct Place {
    shared: Arc<Shared>,
    reserved: Reserved,
}

impl Place {
    /// Checks the strength of the passwords of the list, in order. Dropping the future removes the rest of them from the
    /// queue.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn check(
        &mut self,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Result<Password, PasswordError>>, HashError> {
        let running = Running::start(&self.shared, candidates, Arc::default(), |queue| &mut queue.unchecked);
        self.free(Reserved { hashes: 0, ..self.reserved });
        match running {
            Some(running) => running.finish().await,
            None => Ok(Vec::new()),
        }
    }

    /// Queues the passwords of the list to be hashed, without waiting for their hashes.
    #[must_use]
    pub fn hash(self, passwords: Vec<Password>, progress: Arc<Progress>) -> Hashing {
        Hashing(Running::start(&self.shared, passwords, progress, |queue| &mut queue.batches))
    }

    /// Frees a part of the place, once its passwords are in their lane.
    fn free(&mut self, part: Reserved) {
        let mut queue = lock(&self.shared.queue);
        for reserved in [&mut queue.reserved, &mut self.reserved] {
            reserved.checks -= part.checks;
            reserved.hashes -= part.hashes;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free(self.reserved);
    }
}

/// A queued batch. Dropping it removes the rest of the batch from the queue.
pub struct Hashing(Option<Running<Password, PasswordHash>>);

impl Hashing {
    /// Waits for the hashes, in the order of the passwords.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn finish(self) -> Result<Vec<PasswordHash>, HashError> {
        match self.0 {
            Some(running) => running.finish().await,
            None => Ok(Vec::new()),
        }
    }
}

type InQueue<P, T> = fn(&mut Queue) -> &mut Lane<P, T>;

/// A list in a lane of the queue. Dropping it removes the rest of the list from the lane.
struct Running<P, T> {
    shared: Arc<Shared>,
    lane: InQueue<P, T>,
    results: Arc<Results<T>>,
    finished: oneshot::Receiver<()>,
}

impl<P, T> Running<P, T> {
    /// Queues the passwords; `None` if there are none.
    fn start(shared: &Arc<Shared>, passwords: Vec<P>, progress: Arc<Progress>, lane: InQueue<P, T>) -> Option<Self> {
        if passwords.is_empty() {
            return None;
        }
        let (results, finished) = Results::new(passwords.len(), progress);
        lane(&mut lock(&shared.queue)).add(passwords, Arc::clone(&results));
        shared.ready.notify_all();
        Some(Self { shared: Arc::clone(shared), lane, results, finished })
    }

    async fn finish(mut self) -> Result<Vec<T>, HashError> {
        (&mut self.finished).await.map_err(|_| stopped())?;
        self.results.take().map_err(HashError::Failed)
    }
}

impl<P, T> Drop for Running<P, T> {
    fn drop(&mut self) {
        // The lock is released before the passwords are wiped.
        let _rest = (self.lane)(&mut lock(&self.shared.queue)).remove(&self.results);
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

impl From<Busy> for HashError {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
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
