//! What waits to be hashed, and how far a batch has come.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::hash::PasswordHash;
use super::policy::Password;
use super::verify::{Verified, VerifyError};
use crate::secret::Secret;

/// Singles in a row before a waiting batch gets a turn.
const SINGLES_IN_A_ROW: u8 = 7;

/// How far one batch has come: can be read while it is hashed. Make one for each batch.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// Passwords of the batch that have been hashed.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Passwords of the batch; 0 until it is taken.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

/// Both lanes.
#[derive(Default)]
pub(super) struct Lanes {
    singles: VecDeque<(Single, Instant)>,
    batches: VecDeque<Batch>,
    singles_in_a_row: u8,
    pub(super) is_closed: bool,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Passwords that somebody waits for, each by itself.
    pub singles: usize,
    /// Passwords of batches.
    pub of_batches: usize,
}

/// Something that somebody waits for by itself, and where the answer goes.
pub(super) enum Single {
    /// A new hash.
    Hash(Password, oneshot::Sender<Result<PasswordHash, String>>),
    /// Whether a password is the one of a stored hash.
    Verify(Secret, String, oneshot::Sender<Result<Verified, VerifyError>>),
}

impl Single {
    /// Whether the caller has gone.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash(_, answer) => answer.is_closed(),
            Self::Verify(_, _, answer) => answer.is_closed(),
        }
    }
}

/// Passwords to hash for one caller.
pub(super) struct Batch {
    passwords: std::iter::Enumerate<std::vec::IntoIter<Password>>,
    /// Since when its first password waits; none once that is taken.
    waits_since: Option<Instant>,
    results: Arc<Results>,
}

/// What has become of the passwords of one caller, who is woken once, when all are done: a wake-up
/// for each would take the processor from the threads that hash.
pub(super) struct Results {
    hashes: Mutex<Vec<Option<Result<PasswordHash, String>>>>,
    left: AtomicUsize,
    progress: Arc<Progress>,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Batch {
    /// A batch, and what its caller waits for.
    pub(super) fn new(
        passwords: Vec<Password>,
        progress: Arc<Progress>,
    ) -> (Self, Arc<Results>, oneshot::Receiver<()>) {
        let (done, finished) = oneshot::channel();
        let results = Arc::new(Results {
            hashes: Mutex::new(passwords.iter().map(|_| None).collect()),
            left: AtomicUsize::new(passwords.len()),
            progress,
            done: Mutex::new(Some(done)),
        });
        let waits_since = Some(Instant::now());
        let passwords = passwords.into_iter().enumerate();
        (Self { passwords, waits_since, results: Arc::clone(&results) }, results, finished)
    }
}

impl Results {
    pub(super) fn put(&self, index: usize, hash: Result<PasswordHash, String>) {
        if let Some(place) = lock(&self.hashes).get_mut(index) {
            *place = Some(hash);
        }
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = lock(&self.done).take()
        {
            // The caller may have gone meanwhile.
            let _ = done.send(());
        }
    }

    /// All hashes, in the order of their passwords.
    pub(super) fn take(&self) -> Result<Vec<PasswordHash>, String> {
        std::mem::take(&mut *lock(&self.hashes))
            .into_iter()
            .map(|hash| hash.unwrap_or_else(|| Err("a hash is missing".to_owned())))
            .collect()
    }
}

/// What a thread does next.
pub(super) enum Task {
    Single(Single),
    /// The password at this place of a batch.
    OfBatch(usize, Password, Arc<Results>),
}

impl Lanes {
    /// Singles that wait.
    pub(super) fn singles(&self) -> usize {
        self.singles.len()
    }

    pub(super) fn add_single(&mut self, single: Single) {
        self.singles.push_back((single, Instant::now()));
    }

    pub(super) fn add_batch(&mut self, batch: Batch) {
        batch.results.progress.total.store(batch.passwords.len(), Ordering::Relaxed);
        self.batches.push_back(batch);
    }

    /// Takes a batch away whose caller has gone, and gives what has not been hashed.
    pub(super) fn remove_batch(&mut self, results: &Arc<Results>) -> Option<Batch> {
        let place = self.batches.iter().position(|batch| Arc::ptr_eq(&batch.results, results))?;
        self.batches.remove(place)
    }

    /// Passwords of batches that wait: those that nobody hashes yet.
    pub(super) fn waiting(&self) -> usize {
        self.batches.iter().map(|batch| batch.passwords.len()).sum()
    }

    /// Passwords that wait, up to the last one of this batch; `None` when none of its own waits.
    pub(super) fn waiting_up_to(&self, progress: &Progress) -> Option<usize> {
        let place = self.batches.iter().position(|batch| std::ptr::eq(&*batch.results.progress, progress))?;
        Some(self.batches.iter().take(place + 1).map(|batch| batch.passwords.len()).sum())
    }

    /// The next task, and how long it waited: of a batch, only its first password tells.
    pub(super) fn take(&mut self) -> Option<(Task, Option<Duration>)> {
        let batch_is_due = self.singles_in_a_row >= SINGLES_IN_A_ROW && !self.batches.is_empty();
        if !batch_is_due && let Some(single) = self.take_single() {
            self.singles_in_a_row = self.singles_in_a_row.saturating_add(1);
            return Some(single);
        }
        self.singles_in_a_row = 0;
        self.take_of_batch().or_else(|| self.take_single())
    }

    fn take_single(&mut self) -> Option<(Task, Option<Duration>)> {
        loop {
            let (single, since) = self.singles.pop_front()?;
            if !single.is_abandoned() {
                return Some((Task::Single(single), Some(since.elapsed())));
            }
        }
    }

    fn take_of_batch(&mut self) -> Option<(Task, Option<Duration>)> {
        loop {
            let batch = self.batches.front_mut()?;
            let waited = batch.waits_since.take().map(|since| since.elapsed());
            let next = batch.passwords.next();
            let task = next.map(|(index, password)| Task::OfBatch(index, password, Arc::clone(&batch.results)));
            if batch.passwords.len() == 0 {
                self.batches.pop_front();
            }
            if let Some(task) = task {
                return Some((task, waited));
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
