//! The queue of passwords to hash and to check: a lane for single passwords, one for the passwords of batches, and one for
//! lists whose passwords are checked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::progress::{Progress, Results};
use crate::passwords::{Candidate, Password, PasswordError, PasswordHash, Verified, VerifyError};
use crate::secret::Secret;

/// The number of single passwords in a row before a waiting list gets a turn.
const SINGLES_IN_A_ROW: u8 = 7;

/// How long lists are checked while batches wait, until a batch gets a turn of one hash: about as long as a hash, so that
/// each gets half of the time.
const CHECKING_TURN: Duration = Duration::from_millis(20);

/// The result of checking the strength of a password.
pub(super) type Checked = Result<Password, PasswordError>;

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    singles: VecDeque<(Single, Instant)>,
    pub(super) batches: Lane<Password, PasswordHash>,
    pub(super) unchecked: Lane<Candidate, Checked>,
    /// Passwords of admitted lists that are not in their lane yet.
    pub(super) reserved: Reserved,
    singles_in_a_row: u8,
    /// How long lists were checked since a batch had its last turn.
    checked_for: Duration,
    pub(super) is_closed: bool,
}

/// Numbers of passwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reserved {
    pub(super) checks: usize,
    pub(super) hashes: usize,
}

/// The number of passwords in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Single passwords.
    pub singles: usize,
    /// Passwords of batches.
    pub of_batches: usize,
    /// Passwords of lists whose strength is to be checked.
    pub unchecked: usize,
}

/// A single password, and the channel for its result.
pub(super) enum Single {
    /// Check the strength of the password.
    Check(Candidate, oneshot::Sender<Result<Checked, String>>),
    /// Hash the password.
    Hash(Password, oneshot::Sender<Result<PasswordHash, String>>),
    /// Verify the password against a stored hash.
    Verify(Secret, String, oneshot::Sender<Result<Verified, VerifyError>>),
}

impl Single {
    /// Whether the caller has been cancelled.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Check(_, answer) => answer.is_closed(),
            Self::Hash(_, answer) => answer.is_closed(),
            Self::Verify(_, _, answer) => answer.is_closed(),
        }
    }
}

/// Lists of passwords, in the order of their arrival.
pub(super) struct Lane<P, T>(VecDeque<List<P, T>>);

impl<P, T> Default for Lane<P, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// The passwords of a list that are not done yet.
pub(super) struct List<P, T> {
    passwords: std::iter::Enumerate<std::vec::IntoIter<P>>,
    /// When the list was queued; `None` once its first password is taken.
    queued_at: Option<Instant>,
    results: Arc<Results<T>>,
}

/// A password, its index in the list, and the results of the list.
pub(super) type OfList<P, T> = (usize, P, Arc<Results<T>>);

impl<P, T> Lane<P, T> {
    pub(super) fn add(&mut self, passwords: Vec<P>, results: Arc<Results<T>>) {
        results.start();
        self.0.push_back(List {
            passwords: passwords.into_iter().enumerate(),
            queued_at: Some(Instant::now()),
            results,
        });
    }

    /// Removes a list whose caller has been cancelled, with the passwords that are not done yet.
    pub(super) fn remove(&mut self, results: &Arc<Results<T>>) -> Option<List<P, T>> {
        let place = self.0.iter().position(|list| Arc::ptr_eq(&list.results, results))?;
        self.0.remove(place)
    }

    /// The number of passwords.
    pub(super) fn waiting(&self) -> usize {
        self.0.iter().map(|list| list.passwords.len()).sum()
    }

    /// The number of passwords up to the last one of this list; `None` if the lane has none of the list.
    pub(super) fn waiting_up_to(&self, progress: &Progress) -> Option<usize> {
        let place = self.0.iter().position(|list| std::ptr::eq(&*list.results.progress, progress))?;
        Some(self.0.iter().take(place + 1).map(|list| list.passwords.len()).sum())
    }

    /// The next password, and, of the first of a list, the time that it waited.
    fn take(&mut self) -> Option<(OfList<P, T>, Option<Duration>)> {
        loop {
            let list = self.0.front_mut()?;
            let waited = list.queued_at.take().map(|queued_at| queued_at.elapsed());
            let next = list.passwords.next();
            let next = next.map(|(index, password)| (index, password, Arc::clone(&list.results)));
            if list.passwords.len() == 0 {
                self.0.pop_front();
            }
            if let Some(next) = next {
                return Some((next, waited));
            }
        }
    }
}

/// The next task of a thread.
pub(super) enum Task {
    Single(Single),
    Hash(OfList<Password, PasswordHash>),
    Check(OfList<Candidate, Checked>),
}

impl Queue {
    /// The number of single passwords.
    pub(super) fn singles(&self) -> usize {
        self.singles.len()
    }

    pub(super) fn add_single(&mut self, single: Single) {
        self.singles.push_back((single, Instant::now()));
    }

    /// Takes the next task, and the time that it waited; of a batch, only the first password has one.
    pub(super) fn take(&mut self) -> Option<(Task, Option<Duration>)> {
        let is_list_waiting = !self.batches.0.is_empty() || !self.unchecked.0.is_empty();
        let list_is_due = self.singles_in_a_row >= SINGLES_IN_A_ROW && is_list_waiting;
        if !list_is_due && let Some(single) = self.take_single() {
            self.singles_in_a_row = self.singles_in_a_row.saturating_add(1);
            return Some(single);
        }
        self.singles_in_a_row = 0;
        self.take_of_list().or_else(|| self.take_single())
    }

    /// Notes how long a password of a list was checked.
    pub(super) fn note_checked(&mut self, took: Duration) {
        self.checked_for = self.checked_for.saturating_add(took);
    }

    fn take_single(&mut self) -> Option<(Task, Option<Duration>)> {
        loop {
            let (single, queued_at) = self.singles.pop_front()?;
            if !single.is_abandoned() {
                return Some((Task::Single(single), Some(queued_at.elapsed())));
            }
        }
    }

    fn take_of_list(&mut self) -> Option<(Task, Option<Duration>)> {
        if self.batches.0.is_empty() || self.checked_for < CHECKING_TURN {
            // How long a batch waits to be hashed is measured, and not how long a list waits to be checked.
            if let Some((next, _)) = self.unchecked.take() {
                return Some((Task::Check(next), None));
            }
        }
        self.checked_for = Duration::ZERO;
        self.batches.take().map(|(next, waited)| (Task::Hash(next), waited))
    }
}
