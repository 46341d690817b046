//! The hash pool: the only place where passwords are hashed.
//!
//! As many threads as cores, each with a block of memory of its own that it uses again and
//! again: the memory for hashing is `threads × memory_kib`, whatever comes in. Two lanes
//! lead to the threads. One is for single hashes that somebody waits for (a sign-in), the
//! other for batches, and a thread that is free looks into the first lane first, so a
//! sign-in waits for one hash of a batch at most, not for the batch. After seven singles in a
//! row a batch gets a turn, so that neither starves.
//!
//! The queue is bounded. What doesn't fit is refused at once, with the time after which
//! there will be room, from the measured speed of this machine.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::hash::{Hasher, Parameters, PasswordHash};
use super::policy::Password;
use crate::config::ConfigError;

/// Singles in a row before a waiting batch gets a turn.
const SINGLES_IN_A_ROW: u8 = 7;

/// Singles that may wait.
const LONGEST_SINGLE_QUEUE: usize = 64;

/// Threads that hash.
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    longest_queue: usize,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When there will be room, by estimate: whole seconds, 1 at least.
    pub retry_after: Duration,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// The latest hashes took this long, in nanoseconds: a moving average.
    nanos_per_hash: AtomicU64,
}

#[derive(Default)]
struct Queue {
    singles: VecDeque<Work>,
    batches: VecDeque<Work>,
    singles_in_a_row: u8,
    closed: bool,
}

/// Passwords to hash for one waiting caller.
struct Work {
    passwords: std::iter::Enumerate<std::vec::IntoIter<Password>>,
    results: Arc<Results>,
}

/// What has become of the passwords of one caller, who is woken once, when all are done: a wake-up
/// for each would take the processor from the threads that hash.
struct Results {
    hashes: Mutex<Vec<Option<Result<PasswordHash, String>>>>,
    left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Work {
    /// The work, and what its caller waits for.
    fn new(passwords: Vec<Password>) -> (Self, Arc<Results>, oneshot::Receiver<()>) {
        let (done, finished) = oneshot::channel();
        let results = Arc::new(Results {
            hashes: Mutex::new(passwords.iter().map(|_| None).collect()),
            left: AtomicUsize::new(passwords.len()),
            done: Mutex::new(Some(done)),
        });
        (Self { passwords: passwords.into_iter().enumerate(), results: Arc::clone(&results) }, results, finished)
    }
}

impl Results {
    /// Whether the caller has gone.
    fn is_abandoned(&self) -> bool {
        lock(&self.done).as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn put(&self, index: usize, hash: Result<PasswordHash, String>) {
        if let Some(place) = lock(&self.hashes).get_mut(index) {
            *place = Some(hash);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = lock(&self.done).take()
        {
            // The caller may have gone meanwhile.
            let _ = done.send(());
        }
    }

    /// All hashes, in the order of their passwords.
    fn take(&self) -> Result<Vec<PasswordHash>, HashError> {
        std::mem::take(&mut *lock(&self.hashes))
            .into_iter()
            .map(|hash| hash.unwrap_or_else(|| Err("a hash is missing".to_owned())).map_err(HashError::Failed))
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts the threads: `threads` of them, or one per core if that is 0.
    ///
    /// # Errors
    /// When a thread or its memory can't be had.
    pub fn start(parameters: Parameters, threads: usize, longest_queue: usize) -> Result<Self, ConfigError> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            some => some,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            nanos_per_hash: AtomicU64::new(20_000_000),
        });
        let pool = Self { shared: Arc::clone(&shared), threads, longest_queue };
        for number in 0..threads {
            let (shared, parameters) = (Arc::clone(&shared), parameters.clone());
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || shared.work(&parameters))
                .map_err(|error| ConfigError::starting(format!("a hash thread can't be started: {error}")))?;
        }
        Ok(pool)
    }

    /// Hashes the passwords of a batch, in order. Dropping the future drops what has not been
    /// hashed yet.
    ///
    /// # Errors
    /// [`Busy`], at once, when the queue is full.
    pub async fn hash_batch(&self, passwords: Vec<Password>) -> Result<Vec<PasswordHash>, HashError> {
        let count = passwords.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let (work, results, finished) = Work::new(passwords);
        {
            let mut queue = lock(&self.shared.queue);
            let waiting: usize = queue.batches.iter().map(|work| work.passwords.len()).sum();
            if waiting > 0 && waiting + count > self.longest_queue {
                return Err(HashError::Busy(self.busy(waiting)));
            }
            queue.batches.push_back(work);
        }
        self.shared.ready.notify_all();
        wait(finished, &results).await
    }

    /// Hashes one password, before those of batches.
    ///
    /// # Errors
    /// [`Busy`], at once, when the queue is full.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let (work, results, finished) = Work::new(vec![password]);
        {
            let mut queue = lock(&self.shared.queue);
            if queue.singles.len() >= LONGEST_SINGLE_QUEUE {
                let waiting = queue.singles.len();
                return Err(HashError::Busy(self.busy(waiting)));
            }
            queue.singles.push_back(work);
        }
        self.shared.ready.notify_one();
        let hashes = wait(finished, &results).await?;
        hashes.into_iter().next().ok_or_else(|| HashError::Failed("a hash is missing".to_owned()))
    }

    /// How many threads hash.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    fn busy(&self, waiting: usize) -> Busy {
        let nanos = self.shared.nanos_per_hash.load(Ordering::Relaxed);
        let rounds = u64::try_from(waiting.div_ceil(self.threads)).unwrap_or(u64::MAX);
        let seconds = nanos.saturating_mul(rounds).div_ceil(1_000_000_000);
        Busy { retry_after: Duration::from_secs(seconds.max(1)) }
    }
}

async fn wait(finished: oneshot::Receiver<()>, results: &Results) -> Result<Vec<PasswordHash>, HashError> {
    finished.await.map_err(|_| HashError::Failed("the hash pool has stopped".to_owned()))?;
    results.take()
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.ready.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Why a password was not hashed.
#[derive(Debug)]
pub enum HashError {
    /// Too many are waiting.
    Busy(Busy),
    /// Argon2 itself failed, or the pool is gone.
    Failed(String),
}

impl Shared {
    /// What each thread does, until the pool is dropped.
    fn work(&self, parameters: &Parameters) {
        // Taken with the first password: a server that hashes nothing needs no memory for it.
        let mut hasher = None;
        while let Some((index, password, results)) = self.next() {
            let start = Instant::now();
            let hash = match &mut hasher {
                Some(hasher) => Hasher::hash(hasher, &password),
                None => Hasher::new(parameters).and_then(|new| hasher.insert(new).hash(&password)),
            };
            self.note(start.elapsed());
            results.put(index, hash);
        }
    }

    /// The next password to hash; waits for one. `None` when the pool is dropped.
    fn next(&self) -> Option<(usize, Password, Arc<Results>)> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            if let Some(next) = queue.take() {
                return Some(next);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note(&self, elapsed: Duration) {
        let latest = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let before = self.nanos_per_hash.load(Ordering::Relaxed);
        let average = before.saturating_mul(15).saturating_add(latest) / 16;
        self.nanos_per_hash.store(average, Ordering::Relaxed);
    }
}

impl Queue {
    fn take(&mut self) -> Option<(usize, Password, Arc<Results>)> {
        let batch_is_due = self.singles_in_a_row >= SINGLES_IN_A_ROW && !self.batches.is_empty();
        if !batch_is_due && let Some(next) = take_from(&mut self.singles) {
            self.singles_in_a_row = self.singles_in_a_row.saturating_add(1);
            return Some(next);
        }
        self.singles_in_a_row = 0;
        take_from(&mut self.batches).or_else(|| take_from(&mut self.singles))
    }
}

/// Takes one password of the first work whose caller still waits.
fn take_from(lane: &mut VecDeque<Work>) -> Option<(usize, Password, Arc<Results>)> {
    while let Some(work) = lane.front_mut() {
        if work.results.is_abandoned() {
            lane.pop_front();
            continue;
        }
        match work.passwords.next() {
            Some((index, password)) => {
                let results = Arc::clone(&work.results);
                if work.passwords.len() == 0 {
                    lane.pop_front();
                }
                return Some((index, password, results));
            }
            None => {
                lane.pop_front();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::Policy;

    fn pool(threads: usize, longest_queue: usize) -> Pool {
        Pool::start(Parameters::new(19456, 2, 1).unwrap(), threads, longest_queue).unwrap()
    }

    fn passwords(count: usize) -> Vec<Password> {
        let mut config = crate::config::Config::built_in().unwrap().passwords;
        config.min_strength = 0;
        (0..count).map(|n| Policy::new(&config).check(&format!("password {n}"), &[]).unwrap()).collect()
    }

    #[tokio::test]
    async fn hashes_come_back_in_the_order_of_their_passwords() {
        use argon2::{Argon2, PasswordVerifier};
        let hashes = pool(2, 100).hash_batch(passwords(9)).await.unwrap();
        for (n, hash) in hashes.iter().enumerate() {
            let hash = argon2::PasswordHash::new(hash.as_str()).unwrap();
            assert!(Argon2::default().verify_password(format!("password {n}").as_bytes(), &hash).is_ok());
        }
        assert_eq!(hashes.len(), 9);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
        let pool = Arc::new(pool(1, 40));
        let first = tokio::spawn({
            let (pool, passwords) = (Arc::clone(&pool), passwords(40));
            async move { pool.hash_batch(passwords).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let start = Instant::now();
        let second = pool.hash_batch(passwords(40)).await;
        assert!(start.elapsed() < Duration::from_millis(50));
        match second {
            Err(HashError::Busy(busy)) => assert!((1..=60).contains(&busy.retry_after.as_secs()), "{busy:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(first.await.unwrap().unwrap().len(), 40);
    }

    #[tokio::test]
    async fn a_single_hash_overtakes_a_batch() {
        let pool = Arc::new(pool(1, 1000));
        let batch = tokio::spawn({
            let (pool, passwords) = (Arc::clone(&pool), passwords(40));
            async move { pool.hash_batch(passwords).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        pool.hash(passwords(1).remove(0)).await.unwrap();
        assert!(!batch.is_finished(), "the single was not served before the batch was done");
        batch.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_batch_whose_caller_has_gone_is_dropped() {
        let pool = pool(1, 10_000);
        let abandoned = tokio::time::timeout(Duration::from_millis(50), pool.hash_batch(passwords(5000))).await;
        assert!(abandoned.is_err());
        let start = Instant::now();
        pool.hash_batch(passwords(2)).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "the abandoned batch was hashed to its end");
    }
}
