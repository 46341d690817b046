//! The limit of recorded traces per second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A fixed number of permits per second.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: u32,
    start: Instant,
    /// The current second in the upper 32 bits, the permits taken in it in the lower 32.
    taken: AtomicU64,
}

impl Budget {
    /// `per_second` 0 means no limit.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, start: Instant::now(), taken: AtomicU64::new(0) }
    }

    /// Takes a permit, if there is one.
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
    fn each_second_has_its_own_permits() {
        let budget = Budget::new(3);
        let taken = |second| (0..5).filter(|_| budget.take_in(second)).count();
        assert_eq!([taken(0), taken(0), taken(1), taken(7)], [3, 0, 3, 3]);
    }

    #[test]
    fn zero_means_no_limit() {
        let budget = Budget::new(0);
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 1000);
    }
}
