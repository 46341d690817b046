//! Metrics of mail.

use std::sync::atomic::{AtomicI64, AtomicU64};

use chrono::TimeDelta;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of mail. The queue belongs to all instances, and each shows what it saw last.
#[derive(Clone, Debug, Default)]
pub(crate) struct MailMetrics {
    mails: Family<[(&'static str, &'static str); 1], Counter>,
    queue: Gauge<i64, AtomicI64>,
    oldest: Gauge<f64, AtomicU64>,
}

impl MailMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for outcome in ["sent", "retried", "failed"] {
            drop(metrics.mails.get_or_create(&[("outcome", outcome)]));
        }
        registry.register(
            "mails",
            "Attempts of this instance to send a message, by their outcome",
            metrics.mails.clone(),
        );
        registry.register("mail_queue", "Messages to be sent, by any instance", metrics.queue.clone());
        registry.register(
            "mail_queue_oldest_seconds",
            "How long the oldest message of the queue has waited",
            metrics.oldest.clone(),
        );
        metrics
    }

    /// Counts an attempt to send a message.
    pub(crate) fn count(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Records the state of the queue.
    pub(crate) fn measure(&self, length: i64, oldest: TimeDelta) {
        self.queue.set(length);
        self.oldest.set(oldest.as_seconds_f64().max(0.0));
    }
}
