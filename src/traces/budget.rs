//! How many traces there may be in a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// So many a second, and no more.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: u32,
    start: Instant,
    /// The second, in the upper half, and how many were taken in it.
    taken: AtomicU64,
}

impl Budget {
    /// 0: no bound.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, start: Instant::now(), taken: AtomicU64::new(0) }
    }

    /// Whether there may be one more.
    pub(super) fn take(&self) -> bool {
        self.per_second == 0 || self.take_in(self.start.elapsed().as_secs())
    }

    fn take_in(&self, second: u64) -> bool {
        let next = |taken: u64| match (taken >> 32, taken & u64::from(u32::MAX)) {
            (same, count) if same == second => (count < u64::from(self.per_second)).then_some(taken + 1),
            _ => Some((second << 32) + 1),
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_and_no_more() {
        let budget = Budget::new(3);
        let taken = |second| (0..5).filter(|_| budget.take_in(second)).count();
        assert_eq!([taken(0), taken(0), taken(1), taken(7)], [3, 0, 3, 3]);
    }

    #[test]
    fn without_a_bound_there_are_as_many_as_there_are_requests() {
        let budget = Budget::new(0);
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 1000);
    }
}
