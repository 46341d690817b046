//! The hash pool: the only place where passwords are hashed.
//!
//! As many threads as cores, each with a block of memory of its own that it uses again and
//! again: the memory for hashing is `threads × memory_kib`, whatever comes in. Two lanes
//! lead to the threads. One is for single hashes that somebody waits for (a sign-in), the
//! other for batches, and a thread that is free looks into the first lane first, so a
//! sign-in waits for one hash of a batch at most, not for the batch. After seven singles in a
//! row a batch gets a turn, so that neither starves.
//!
//! What waits is bounded twice: in time, by how long a batch would wait for its first hash, and in
//! memory, by the passwords that wait. What is above is refused at once, with the time after which
//! it would be taken, from the measured speed of this machine. A batch that finds nothing waiting
//! is always taken.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::background::give_way;
use super::hash::{Hasher, Parameters, PasswordHash};
use super::lanes::{Batch, Lanes, Progress, Results, Single, Task, Waiting, lock};
use super::measured::Measured;
use super::policy::Password;
use super::verify::{Verified, verify_in};
use crate::config::ConfigError;
use crate::error::Error;
use crate::secret::Secret;

/// Singles that may wait.
const LONGEST_SINGLE_QUEUE: usize = 64;

/// Threads that hash.
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    longest_queue: usize,
    longest_wait: Duration,
}

/// Too much is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When it would be taken, by estimate: whole seconds, 1 at least.
    pub retry_after: Duration,
}

struct Shared {
    lanes: Mutex<Lanes>,
    ready: Condvar,
    /// The latest hashes took this long, in nanoseconds: a moving average.
    nanos_per_hash: AtomicU64,
    measured: Measured,
}

impl Pool {
    /// Starts the threads: `threads` of them, or one per core if that is 0. `longest_queue` is how
    /// many passwords of batches may wait, `longest_wait` how long a batch may wait for its turn.
    ///
    /// # Errors
    /// When a thread can't be had.
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
        let shared = Arc::new(Shared {
            lanes: Mutex::default(),
            ready: Condvar::new(),
            nanos_per_hash: AtomicU64::new(20_000_000),
            measured: Measured::default(),
        });
        let pool = Self { shared: Arc::clone(&shared), threads, longest_queue, longest_wait };
        for number in 0..threads {
            let (shared, parameters) = (Arc::clone(&shared), parameters.clone());
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || {
                    give_way();
                    shared.work(&parameters);
                })
                .map_err(|error| ConfigError::starting(format!("a hash thread can't be started: {error}")))?;
        }
        Ok(pool)
    }

    /// Hashes the passwords of a batch, in order, and counts them in `progress`. Dropping the future
    /// drops what has not been hashed yet, and makes room for others at once.
    ///
    /// # Errors
    /// [`Busy`], at once, when it would wait too long or doesn't fit.
    pub async fn hash_batch(
        &self,
        passwords: Vec<Password>,
        progress: Arc<Progress>,
    ) -> Result<Vec<PasswordHash>, HashError> {
        self.start_batch(passwords, progress)?.finish().await
    }

    /// The same in two steps: takes the batch into the queue, or refuses it, before anybody waits.
    ///
    /// # Errors
    /// [`Busy`], at once, when it would wait too long or doesn't fit.
    pub fn start_batch(&self, passwords: Vec<Password>, progress: Arc<Progress>) -> Result<Hashing, HashError> {
        let count = passwords.len();
        if count == 0 {
            return Ok(Hashing(None));
        }
        let (batch, results, finished) = Batch::new(passwords, progress);
        {
            let mut lanes = lock(&self.shared.lanes);
            self.admit(lanes.waiting(), count).map_err(HashError::Busy)?;
            lanes.add_batch(batch);
        }
        self.shared.ready.notify_all();
        let leaving = Leaving { shared: Arc::clone(&self.shared), results };
        Ok(Hashing(Some((finished, leaving))))
    }

    /// Hashes one password, before those of batches.
    ///
    /// # Errors
    /// [`Busy`], at once, when too many singles wait.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let (answer, answered) = oneshot::channel();
        self.add_single(Single::Hash(password, answer))?;
        answered.await.map_err(|_| stopped())?.map_err(HashError::Failed)
    }

    /// Verifies a password against a stored hash, as [`super::verify()`] does, before the passwords of
    /// batches: one job of one thread, whatever comes out. In the thread's own memory, where that is
    /// enough; a hash that was made elsewhere may take 256 MiB beside it while it runs.
    ///
    /// # Errors
    /// [`Busy`], at once, when too many singles wait; `Failed` when what is stored is not a hash that
    /// can be verified.
    pub async fn verify(&self, password: Secret, stored: String) -> Result<Verified, HashError> {
        let (answer, answered) = oneshot::channel();
        self.add_single(Single::Verify(password, stored, answer))?;
        answered.await.map_err(|_| stopped())?.map_err(|error| HashError::Failed(error.to_string()))
    }

    /// How long it would take from now until `count` more passwords were hashed: what waits already,
    /// and they themselves.
    #[must_use]
    pub fn estimate(&self, count: usize) -> Duration {
        let waiting = lock(&self.shared.lanes).waiting();
        self.time_for(waiting.saturating_add(count))
    }

    /// How long it will take until a batch that has been taken is hashed: what waits before it, and
    /// what is left of it.
    #[must_use]
    pub fn time_left(&self, progress: &Progress) -> Duration {
        let waiting = lock(&self.shared.lanes).waiting_up_to(progress);
        self.time_for(waiting.unwrap_or_else(|| progress.total().saturating_sub(progress.done())))
    }

    /// How many threads hash.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// What waits right now.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let lanes = lock(&self.shared.lanes);
        Waiting { singles: lanes.singles(), of_batches: lanes.waiting() }
    }

    /// How long passwords waited, and took.
    pub(crate) fn measured(&self) -> &Measured {
        &self.shared.measured
    }

    fn add_single(&self, single: Single) -> Result<(), HashError> {
        {
            let mut lanes = lock(&self.shared.lanes);
            if lanes.singles() >= LONGEST_SINGLE_QUEUE {
                return Err(HashError::Busy(Busy::after(self.time_for(lanes.singles()))));
            }
            lanes.add_single(single);
        }
        self.shared.ready.notify_one();
        Ok(())
    }

    /// Whether a batch of `count` may wait behind so many passwords. Those that are being hashed
    /// right now don't count: they take one hash's time at most.
    fn admit(&self, waiting: usize, count: usize) -> Result<(), Busy> {
        if waiting == 0 {
            return Ok(());
        }
        let too_long = self.time_for(waiting).saturating_sub(self.longest_wait);
        // A batch that is longer than the queue waits until nothing else does.
        let too_many = waiting.saturating_add(count).saturating_sub(self.longest_queue).min(waiting);
        if too_long.is_zero() && too_many == 0 {
            return Ok(());
        }
        Err(Busy::after(too_long.max(self.time_for(too_many))))
    }

    /// How long so many hashes take on all threads, by the measured speed of this machine.
    #[must_use]
    pub fn time_for(&self, hashes: usize) -> Duration {
        let nanos = self.shared.nanos_per_hash.load(Ordering::Relaxed);
        let rounds = u64::try_from(hashes.div_ceil(self.threads)).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.saturating_mul(rounds))
    }
}

impl Busy {
    fn after(time: Duration) -> Self {
        let begun = u64::from(time.subsec_nanos() > 0);
        Self { retry_after: Duration::from_secs(time.as_secs().saturating_add(begun).max(1)) }
    }
}

/// A batch that has been taken. Dropped, what has not been hashed yet is dropped with it.
pub struct Hashing(Option<(oneshot::Receiver<()>, Leaving)>);

impl Hashing {
    /// Waits until all of it is hashed: in the order of the passwords.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn finish(self) -> Result<Vec<PasswordHash>, HashError> {
        let Some((finished, leaving)) = self.0 else { return Ok(Vec::new()) };
        finished.await.map_err(|_| stopped())?;
        leaving.results.take().map_err(HashError::Failed)
    }
}

/// Takes a batch out of its lane when its caller goes.
struct Leaving {
    shared: Arc<Shared>,
    results: Arc<Results>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Its passwords are wiped after the lock has been let go.
        let _rest = lock(&self.shared.lanes).remove_batch(&self.results);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.lanes).is_closed = true;
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
    /// Too many are waiting.
    Busy(Busy),
    /// The hash function failed, a stored hash is none, or the pool is gone.
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

impl Shared {
    /// What each thread does, until the pool is dropped.
    fn work(&self, parameters: &Parameters) {
        // Taken with the first password: a server that hashes nothing needs no memory for it.
        let mut hasher = None;
        while let Some(task) = self.next() {
            // That a caller has gone meanwhile is no fault.
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
        self.note(start.elapsed());
        hash
    }

    /// The next thing to do; waits for one. `None` when the pool is dropped.
    fn next(&self) -> Option<Task> {
        let mut lanes = lock(&self.lanes);
        loop {
            if lanes.is_closed {
                return None;
            }
            if let Some((task, waited)) = lanes.take() {
                drop(lanes);
                self.measured.waited(&task, waited);
                return Some(task);
            }
            lanes = self.ready.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note(&self, elapsed: Duration) {
        self.measured.hashed(elapsed);
        let latest = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let before = self.nanos_per_hash.load(Ordering::Relaxed);
        let average = before.saturating_mul(15).saturating_add(latest) / 16;
        self.nanos_per_hash.store(average, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::{ImportedHash, Policy};

    fn parameters() -> Parameters {
        Parameters::new(19456, 2, 1).unwrap()
    }

    fn pool(threads: usize, longest_queue: usize) -> Pool {
        Pool::start(parameters(), threads, longest_queue, Duration::from_secs(86400)).unwrap()
    }

    /// A pool of two threads that believes that a hash takes 100 ms.
    fn slow_pool(longest_queue: usize, longest_wait: u64) -> Pool {
        let pool = Pool::start(parameters(), 2, longest_queue, Duration::from_secs(longest_wait)).unwrap();
        pool.shared.nanos_per_hash.store(100_000_000, Ordering::Relaxed);
        pool
    }

    fn passwords(count: usize) -> Vec<Password> {
        let mut config = crate::config::Config::built_in().unwrap().passwords;
        config.min_strength = 0;
        (0..count).map(|n| Policy::new(&config).check(&format!("password {n}"), &[]).unwrap()).collect()
    }

    fn refused_for(admitted: Result<(), Busy>) -> u64 {
        admitted.unwrap_err().retry_after.as_secs()
    }

    /// Starts a batch, and gives its progress once a thread works on it.
    async fn begun(pool: &Arc<Pool>, count: usize) -> (Arc<Progress>, tokio::task::JoinHandle<Result<usize, String>>) {
        let progress = Arc::<Progress>::default();
        let running = tokio::spawn({
            let (pool, progress) = (Arc::clone(pool), Arc::clone(&progress));
            async move {
                let hashes = pool.hash_batch(passwords(count), progress).await;
                hashes.map(|hashes| hashes.len()).map_err(|error| format!("{error:?}"))
            }
        });
        while progress.done() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (progress, running)
    }

    #[tokio::test]
    async fn hashes_come_back_in_the_order_of_their_passwords() {
        let hashes = pool(2, 100).hash_batch(passwords(9), Arc::default()).await.unwrap();
        for (n, hash) in hashes.iter().enumerate() {
            let verified = crate::passwords::verify(hash.as_str(), format!("password {n}").as_bytes(), &parameters());
            assert_eq!(verified, Ok(Verified { matches: true, needs_rehash: false }));
        }
        assert_eq!(hashes.len(), 9);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
        let pool = Arc::new(pool(1, 40));
        let (_, first) = begun(&pool, 40).await;
        let start = Instant::now();
        let progress = Arc::<Progress>::default();
        let second = pool.hash_batch(passwords(40), Arc::clone(&progress)).await;
        assert_eq!(progress.total(), 0, "it was not taken");
        assert!(start.elapsed() < Duration::from_millis(50));
        match second {
            Err(HashError::Busy(busy)) => assert!((1..=60).contains(&busy.retry_after.as_secs()), "{busy:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(first.await.unwrap(), Ok(40));
    }

    #[test]
    fn a_batch_waits_until_there_is_room_for_it() {
        let pool = slow_pool(1000, 86400);
        assert_eq!(pool.admit(0, 1_000_000), Ok(()), "nothing waits");
        assert_eq!(pool.admit(600, 400), Ok(()));
        // 1 too many, 100 ms; 200 too many, 10 s on two threads; 600 have to go, 30 s.
        assert_eq!(refused_for(pool.admit(600, 401)), 1);
        assert_eq!(refused_for(pool.admit(600, 600)), 10);
        assert_eq!(refused_for(pool.admit(600, 5000)), 30);
    }

    #[test]
    fn a_batch_that_would_wait_too_long_is_told_when_it_would_not() {
        let pool = slow_pool(1_000_000, 20);
        // 400 passwords take 20 s on two threads.
        assert_eq!(pool.admit(400, 100_000), Ok(()));
        assert_eq!(refused_for(pool.admit(401, 1)), 1);
        assert_eq!(refused_for(pool.admit(440, 1)), 2);
        assert_eq!(refused_for(pool.admit(4000, 1)), 180);
        assert_eq!(pool.admit(0, 1_000_000), Ok(()), "nothing waits");
    }

    #[test]
    fn of_two_bounds_the_later_counts() {
        let pool = slow_pool(500, 20);
        // 5 s until the wait is short enough, 25 s until there is room.
        assert_eq!(refused_for(pool.admit(500, 501)), 25);
        assert_eq!(refused_for(pool.admit(500, 20)), 5);
    }

    #[tokio::test]
    async fn an_estimate_is_right_within_a_factor_of_two() {
        let pool = Arc::new(pool(2, 1000));
        pool.hash_batch(passwords(40), Arc::default()).await.unwrap();
        let mut seen = Vec::new();
        // Other tests may take the processor away; not each time.
        for _ in 0..5 {
            let (_, running) = begun(&pool, 20).await;
            let start = Instant::now();
            let estimate = pool.estimate(20);
            pool.hash_batch(passwords(20), Arc::default()).await.unwrap();
            let ratio = start.elapsed().as_secs_f64() / estimate.as_secs_f64();
            running.await.unwrap().unwrap();
            if (0.5..=2.0).contains(&ratio) {
                return;
            }
            seen.push(ratio);
        }
        panic!("took times the estimate: {seen:?}");
    }

    #[tokio::test]
    async fn time_left_is_of_what_waits_before_a_batch_and_of_its_own() {
        let pool = Arc::new(pool(1, 10_000));
        let (first, running) = begun(&pool, 60).await;
        let second = Arc::<Progress>::default();
        let mut waiting = Box::pin(pool.hash_batch(passwords(1000), Arc::clone(&second)));
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        let (sooner, later, all) = (pool.time_left(&first), pool.time_left(&second), pool.estimate(0));
        assert!(sooner * 10 < later, "{sooner:?} {later:?}");
        assert!(all.abs_diff(later) < later / 2, "{all:?} {later:?}");
        drop(waiting);
        running.await.unwrap().unwrap();
        assert_eq!(pool.time_left(&first), Duration::ZERO);
    }

    #[tokio::test]
    async fn progress_counts_what_has_been_hashed() {
        let pool = Arc::new(pool(2, 100));
        let (progress, running) = begun(&pool, 30).await;
        assert_eq!(progress.total(), 30);
        let mut before = 0;
        while !running.is_finished() {
            let now = progress.done();
            assert!(before <= now && now <= 30, "{before} {now}");
            before = now;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        running.await.unwrap().unwrap();
        assert_eq!((progress.done(), progress.total()), (30, 30));
    }

    #[tokio::test]
    async fn a_single_hash_overtakes_a_batch() {
        let pool = Arc::new(pool(1, 1000));
        let (_, batch) = begun(&pool, 40).await;
        pool.hash(passwords(1).remove(0)).await.unwrap();
        assert!(!batch.is_finished(), "the single was not served before the batch was done");
        batch.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_password_is_verified_before_those_of_a_batch() {
        let pool = Arc::new(pool(1, 1000));
        let stored = pool.hash(passwords(1).remove(0)).await.unwrap().as_str().to_owned();
        let (progress, batch) = begun(&pool, 40).await;
        let before = progress.done();
        let verified = pool.verify(Secret::new("password 0"), stored.clone()).await.unwrap();
        assert_eq!(verified, Verified { matches: true, needs_rehash: false });
        let verified = pool.verify(Secret::new("password 1"), stored).await.unwrap();
        assert_eq!(verified, Verified { matches: false, needs_rehash: false });
        assert!(progress.done() < before + 20, "a verification waited for a batch");
        assert!(!batch.is_finished());
        batch.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn hashes_of_other_schemes_are_verified_also_before_a_thread_has_memory() {
        let pool = pool(1, 10);
        // Made by libxcrypt.
        let bcrypt = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";
        let stored = PasswordHash::from(ImportedHash::parse(bcrypt).unwrap()).as_str().to_owned();
        let verified = pool.verify(Secret::new(""), stored).await.unwrap();
        assert_eq!(verified, Verified { matches: true, needs_rehash: true });
        match pool.verify(Secret::new("password"), "$argon2id$v=19$m=4194304,t=1,p=1$AA$AA".to_owned()).await {
            Err(HashError::Failed(error)) => assert_eq!(
                error,
                "the stored hash is too costly to verify: argon2's memory (m) may be 262144 KiB, which is 256 MiB, at \
                 most"
            ),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_batch_whose_caller_has_gone_frees_the_queue_at_once() {
        let pool = pool(1, 5000);
        let abandoned =
            tokio::time::timeout(Duration::from_millis(50), pool.hash_batch(passwords(5000), Arc::default())).await;
        assert!(abandoned.is_err());
        assert_eq!(lock(&pool.shared.lanes).waiting(), 0);
        let start = Instant::now();
        pool.hash_batch(passwords(2), Arc::default()).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "the abandoned batch was hashed to its end");
    }
}
