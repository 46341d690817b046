//! Batch metrics: transitions by state, and batches in progress.
//!
//! | state | counted when |
//! |---|---|
//! | `running` | the list is valid and the batch starts |
//! | `created` | the batch is committed |
//! | `failed` | the batch is not committed, for any reason; or another instance left it unfinished |
//! | `cancelled`, `undone` | a caller cancels or undoes the batch |
//!
//! A list that is rejected never becomes a batch; `muster_refusals_total` counts it.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const RUNNING: &str = "running";
pub(super) const CREATED: &str = "created";
const FAILED: &str = "failed";
pub(super) const CANCELLED: &str = "cancelled";
pub(super) const UNDONE: &str = "undone";

/// Batch metrics of this instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchMetrics {
    transitions: Family<[(&'static str, &'static str); 1], Counter>,
    running: Gauge<i64, AtomicI64>,
}

/// A batch in progress on this instance. Dropping it without [`RunningBatch::finish`] counts a failure.
pub(crate) struct RunningBatch {
    metrics: BatchMetrics,
    is_finished: bool,
}

impl RunningBatch {
    /// Ends the batch without a failure: its final state is counted elsewhere.
    pub(crate) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for RunningBatch {
    fn drop(&mut self) {
        self.metrics.running.dec();
        if !self.is_finished {
            self.metrics.record(FAILED);
        }
    }
}

impl BatchMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for state in [RUNNING, CREATED, FAILED, CANCELLED, UNDONE] {
            drop(metrics.transitions.get_or_create(&[("state", state)]));
        }
        registry.register("batches", "State transitions of batches on this instance", metrics.transitions.clone());
        registry.register("batches_running", "Batches in progress on this instance", metrics.running.clone());
        metrics
    }

    /// Counts a batch that starts now.
    pub(crate) fn start(&self) -> RunningBatch {
        self.record(RUNNING);
        self.running.inc();
        RunningBatch { metrics: self.clone(), is_finished: false }
    }

    /// Counts batches that other instances left unfinished.
    pub(crate) fn count_abandoned(&self, batches: usize) {
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        self.transitions.get_or_create(&[("state", FAILED)]).inc_by(batches);
    }

    pub(super) fn record(&self, state: &'static str) {
        self.transitions.get_or_create(&[("state", state)]).inc();
    }
}
