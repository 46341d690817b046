//! Sign-in metrics.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the buckets, in seconds: a hash takes between 10 ms and a second.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Sign-in metrics of this instance.
#[derive(Clone, Debug)]
pub(crate) struct SignInMetrics {
    sign_ins: Family<[(&'static str, &'static str); 1], Counter>,
    refusals: Family<[(&'static str, &'static str); 1], Counter>,
    throttled: Family<[(&'static str, &'static str); 1], Counter>,
    recoveries: Counter,
    duration: Histogram,
}

impl SignInMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            sign_ins: Family::default(),
            refusals: Family::default(),
            throttled: Family::default(),
            recoveries: Counter::default(),
            duration: Histogram::new(BUCKETS),
        };
        for method in ["password", "sso", "link", "recovery"] {
            drop(metrics.sign_ins.get_or_create(&[("method", method)]));
        }
        for reason in ["wrong_password", "unknown_account", "throttled"] {
            drop(metrics.refusals.get_or_create(&[("reason", reason)]));
        }
        for bucket in ["account", "account_day", "link", "network"] {
            drop(metrics.throttled.get_or_create(&[("bucket", bucket)]));
        }
        registry.register("sign_ins", "Sessions started on this instance", metrics.sign_ins.clone());
        registry.register("sign_in_refusals", "Refused sign-ins on this instance", metrics.refusals.clone());
        registry.register("throttled", "Attempts rejected by the throttle on this instance", metrics.throttled.clone());
        registry.register("recoveries", "Recovery links used on this instance", metrics.recoveries.clone());
        registry.register(
            "sign_in_duration_seconds",
            "Time of a sign-in with a password, refused or not",
            metrics.duration.clone(),
        );
        metrics
    }

    /// Counts a session that was started.
    pub(crate) fn count(&self, method: &'static str) {
        self.sign_ins.get_or_create(&[("method", method)]).inc();
    }

    /// Counts a refusal by its reason.
    pub(crate) fn count_refusal(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts an attempt that a bucket rejected.
    pub(crate) fn count_throttled(&self, bucket: &'static str) {
        self.throttled.get_or_create(&[("bucket", bucket)]).inc();
    }

    /// Counts a recovery link that was used.
    pub(crate) fn count_recovery(&self) {
        self.recoveries.inc();
    }

    /// Records how long a sign-in with a password took.
    pub(crate) fn observe_password(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }
}
