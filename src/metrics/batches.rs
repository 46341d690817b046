//! Batches, by the states that they come into.
//!
//! | state | counted when |
//! |---|---|
//! | `running` | its list was found to be fine, and it is being made |
//! | `created` | it was committed |
//! | `failed` | it was not, for whatever reason; or it was found left by an instance that died |
//! | `cancelled`, `undone` | somebody did that |
//!
//! A list that is refused before it is made is no batch; see `muster_refusals_total`.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const RUNNING: &str = "running";
pub(super) const CREATED: &str = "created";
const FAILED: &str = "failed";
pub(super) const CANCELLED: &str = "cancelled";
pub(super) const UNDONE: &str = "undone";

/// About batches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batches {
    came: Family<State, Counter>,
    running: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// A batch that is being made here. Dropped without [`Making::done`], it failed.
pub(crate) struct Making {
    batches: Batches,
    is_done: bool,
}

impl Making {
    /// It was created, or somebody else has said what became of it.
    pub(crate) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.batches.running.dec();
        if !self.is_done {
            self.batches.came_into(FAILED);
        }
    }
}

impl Batches {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let batches = Self::default();
        for state in [RUNNING, CREATED, FAILED, CANCELLED, UNDONE] {
            drop(batches.came.get_or_create(&State { state }));
        }
        registry.register("batches", "Batches that came into a state here", batches.came.clone());
        registry.register("batches_running", "Batches that are being made here", batches.running.clone());
        batches
    }

    /// Counts a batch that is being made from now on.
    pub(crate) fn make(&self) -> Making {
        self.came_into(RUNNING);
        self.running.inc();
        Making { batches: self.clone(), is_done: false }
    }

    /// Counts batches that others left.
    pub(crate) fn left_behind(&self, batches: usize) {
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        self.came.get_or_create(&State { state: FAILED }).inc_by(batches);
    }

    pub(super) fn came_into(&self, state: &'static str) {
        self.came.get_or_create(&State { state }).inc();
    }
}
