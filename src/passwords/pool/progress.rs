//! The progress and the results of a batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lock;

/// The progress of one batch, readable while the batch is hashed.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl Progress {
    /// The number of passwords hashed so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// The number of passwords of the batch; 0 until the batch is queued.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

/// The results of one list, hashes or checked passwords. Its caller is woken once, when all are there: one wake-up per
/// password would take CPU time from the hashing threads.
pub(super) struct Results<T> {
    results: Mutex<Vec<Option<Result<T, String>>>>,
    left: AtomicUsize,
    pub(super) progress: Arc<Progress>,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl<T> Results<T> {
    /// The results of `count` passwords, and the signal that all of them are there.
    pub(super) fn new(count: usize, progress: Arc<Progress>) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, finished) = oneshot::channel();
        let results = Self {
            results: Mutex::new((0..count).map(|_| None).collect()),
            left: AtomicUsize::new(count),
            progress,
            done: Mutex::new(Some(done)),
        };
        (Arc::new(results), finished)
    }

    /// Notes that the list is queued.
    pub(super) fn start(&self) {
        self.progress.total.store(self.left.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn put(&self, index: usize, result: Result<T, String>) {
        if let Some(slot) = lock(&self.results).get_mut(index) {
            *slot = Some(result);
        }
        self.progress.done.fetch_add(1, Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = lock(&self.done).take()
        {
            // The caller may have been cancelled.
            let _ = done.send(());
        }
    }

    /// All results, in the order of the passwords.
    pub(super) fn take(&self) -> Result<Vec<T>, String> {
        std::mem::take(&mut *lock(&self.results))
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err("a result is missing".to_owned())))
            .collect()
    }
}
