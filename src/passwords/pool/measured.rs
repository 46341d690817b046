//! Histograms of waiting and hashing times.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::queue::Task;

/// Upper bounds of waiting times, in seconds: a sign-in waits for one hash, a batch up to `batch.max_wait_seconds`.
const WAITING: [f64; 12] = [0.001, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0];

/// Upper bounds of hashing times, in seconds.
const HASHING: [f64; 10] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0];

const SINGLE: Lane = Lane { lane: "single" };
const BATCH: Lane = Lane { lane: "batch" };

#[derive(Clone, Debug)]
pub(crate) struct Measured {
    waits: Family<Lane, Histogram>,
    hashes: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: &'static str,
}

impl Default for Measured {
    fn default() -> Self {
        let waits: Family<Lane, Histogram> = Family::new_with_constructor(|| Histogram::new(WAITING));
        for lane in [SINGLE, BATCH] {
            drop(waits.get_or_create(&lane));
        }
        Self { waits, hashes: Histogram::new(HASHING) }
    }
}

impl Measured {
    /// Registers the histograms.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "How long a single password, or a batch for its first one, waited for a hash thread";
        registry.register("hash_wait_seconds", help, self.waits.clone());
        registry.register("hash_duration_seconds", "How long one hash took", self.hashes.clone());
    }

    pub(super) fn waited(&self, task: &Task, waited: Option<Duration>) {
        let Some(waited) = waited else { return };
        let lane = match task {
            Task::Single(_) => SINGLE,
            Task::Hash(_) | Task::Check(_) => BATCH,
        };
        self.waits.get_or_create(&lane).observe(waited.as_secs_f64());
    }

    pub(super) fn hashed(&self, took: Duration) {
        self.hashes.observe(took.as_secs_f64());
    }
}
