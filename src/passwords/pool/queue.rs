//! The queue of passwords to hash, with a lane for single passwords and a lane for batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::progress::{Progress, Results};
use crate::passwords::{Password, PasswordHash, Verified, VerifyError};
use crate::secret::Secret;

/// The number of single passwords in a row before a waiting batch gets a turn.
const SINGLES_IN_A_ROW: u8 = 7;

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    singles: VecDeque<(Single, Instant)>,
    batches: VecDeque<Batch>,
    singles_in_a_row: u8,
    pub(super) is_closed: bool,
}

/// The number of passwords in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Single passwords.
    pub singles: usize,
    /// Passwords of batches.
    pub of_batches: usize,
}

/// A single password, and the channel for its result.
pub(super) enum Single {
    /// Hash the password.
    Hash(Password, oneshot::Sender<Result<PasswordHash, String>>),
    /// Verify the password against a stored hash.
    Verify(Secret, String, oneshot::Sender<Result<Verified, VerifyError>>),
}

impl Single {
    /// Whether the caller has been cancelled.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash(_, answer) => answer.is_closed(),
            Self::Verify(_, _, answer) => answer.is_closed(),
        }
    }
}

/// The passwords of a batch that are not hashed yet.
pub(super) struct Batch {
    passwords: std::iter::Enumerate<std::vec::IntoIter<Password>>,
    /// When the batch was queued; `None` once its first password is taken.
    queued_at: Option<Instant>,
    results: Arc<Results>,
}

impl Batch {
    pub(super) fn new(passwords: Vec<Password>, results: Arc<Results>) -> Self {
        Self { passwords: passwords.into_iter().enumerate(), queued_at: Some(Instant::now()), results }
    }
}

/// The next task of a thread.
pub(super) enum Task {
    Single(Single),
    /// The password at this index of a batch.
    OfBatch(usize, Password, Arc<Results>),
}

impl Queue {
    /// The number of single passwords.
    pub(super) fn singles(&self) -> usize {
        self.singles.len()
    }

    pub(super) fn add_single(&mut self, single: Single) {
        self.singles.push_back((single, Instant::now()));
    }

    pub(super) fn add_batch(&mut self, batch: Batch) {
        batch.results.start();
        self.batches.push_back(batch);
    }

    /// Removes a batch whose caller has been cancelled, with the passwords that are not hashed yet.
    pub(super) fn remove_batch(&mut self, results: &Arc<Results>) -> Option<Batch> {
        let place = self.batches.iter().position(|batch| Arc::ptr_eq(&batch.results, results))?;
        self.batches.remove(place)
    }

    /// The number of passwords of batches.
    pub(super) fn waiting(&self) -> usize {
        self.batches.iter().map(|batch| batch.passwords.len()).sum()
    }

    /// The number of passwords up to the last one of this batch; `None` if the queue has none of the batch.
    pub(super) fn waiting_up_to(&self, progress: &Progress) -> Option<usize> {
        let place = self.batches.iter().position(|batch| std::ptr::eq(&*batch.results.progress, progress))?;
        Some(self.batches.iter().take(place + 1).map(|batch| batch.passwords.len()).sum())
    }

    /// Takes the next task, and the time that it waited; of a batch, only the first password has one.
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
            let (single, queued_at) = self.singles.pop_front()?;
            if !single.is_abandoned() {
                return Some((Task::Single(single), Some(queued_at.elapsed())));
            }
        }
    }

    fn take_of_batch(&mut self) -> Option<(Task, Option<Duration>)> {
        loop {
            let batch = self.batches.front_mut()?;
            let waited = batch.queued_at.take().map(|queued_at| queued_at.elapsed());
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
