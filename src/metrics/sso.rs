//! Metrics of single sign-on. No label names a provider.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the buckets, in seconds; a request takes 5 seconds at most.
const BUCKETS: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The endpoints of providers to which requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SsoEndpoint {
    Discovery,
    Jwks,
    Token,
    Userinfo,
}

impl SsoEndpoint {
    const ALL: [Self; 4] = [Self::Discovery, Self::Jwks, Self::Token, Self::Userinfo];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
        }
    }
}

/// Why the keys of a provider are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// They are not known.
    First,
    /// They are an hour old.
    Expired,
    /// None of them made a signature.
    UnknownKey,
}

impl Refresh {
    const ALL: [Self; 3] = [Self::First, Self::Expired, Self::UnknownKey];

    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Expired => "expired",
            Self::UnknownKey => "unknown_key",
        }
    }
}

type Labels<const NUMBER: usize> = [(&'static str, &'static str); NUMBER];

/// Metrics of single sign-on of this instance.
#[derive(Clone, Debug)]
pub(crate) struct SsoMetrics {
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    refreshes: Family<Labels<1>, Counter>,
}

impl Default for SsoMetrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            refreshes: Family::default(),
        };
        for endpoint in SsoEndpoint::ALL {
            drop(metrics.durations.get_or_create(&[("endpoint", endpoint.as_str())]));
            for outcome in ["ok", "rejected", "failed"] {
                drop(metrics.requests.get_or_create(&[("endpoint", endpoint.as_str()), ("outcome", outcome)]));
            }
        }
        for why in Refresh::ALL {
            drop(metrics.refreshes.get_or_create(&[("why", why.as_str())]));
        }
        metrics
    }
}

impl SsoMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "sso_requests",
            "Requests of this instance to identity providers, by their outcome",
            metrics.requests.clone(),
        );
        registry.register(
            "sso_request_duration_seconds",
            "Time of a request to an identity provider",
            metrics.durations.clone(),
        );
        registry.register(
            "sso_jwks_refreshes",
            "Reads of the keys of an identity provider, by the reason",
            metrics.refreshes.clone(),
        );
        metrics
    }

    /// Counts a request. `status`: that of the response; `None`: there was none.
    pub(crate) fn observe(&self, endpoint: SsoEndpoint, status: Option<u16>, took: Duration) {
        let outcome = match status {
            Some(200..=299) => "ok",
            Some(300..=499) => "rejected",
            _ => "failed",
        };
        self.requests.get_or_create(&[("endpoint", endpoint.as_str()), ("outcome", outcome)]).inc();
        self.durations.get_or_create(&[("endpoint", endpoint.as_str())]).observe(took.as_secs_f64());
    }

    /// Counts a read of the keys.
    pub(crate) fn count_refresh(&self, why: Refresh) {
        self.refreshes.get_or_create(&[("why", why.as_str())]).inc();
    }
}
