//! HTTP request metrics: counts, durations and errors.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::Code;

/// Upper bounds of the duration buckets, in seconds: from half a millisecond, a cached read, to a minute, a list of
/// 100,000 users.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.5, 15.0, 60.0];

/// Request metrics of this instance.
#[derive(Clone, Debug)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    errors: Family<[(&'static str, &'static str); 1], Counter>,
    ignored_parameters: Family<[(&'static str, &'static str); 1], Counter>,
    in_flight: Gauge<i64, AtomicI64>,
    closed_connections: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

/// A request in flight, until it is dropped.
pub(crate) struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            errors: Family::default(),
            ignored_parameters: Family::default(),
            in_flight: Gauge::default(),
            closed_connections: Counter::default(),
        };
        for code in Code::ALL {
            drop(metrics.errors.get_or_create(&[("code", code.as_str())]));
        }
        registry.register(
            "http_requests",
            "Requests that got a response, and those whose client left before (status 499)",
            metrics.requests.clone(),
        );
        let help = "Time from the head of the request to the head of the response";
        registry.register("http_request_duration_seconds", help, metrics.durations.clone());
        registry.register("http_requests_in_flight", "Requests in flight", metrics.in_flight.clone());
        let help = "Connections closed because their client address had too many";
        registry.register("http_connections_over_limit", help, metrics.closed_connections.clone());
        registry.register("refusals", "Error responses by error code", metrics.errors.clone());
        let help = "Unknown query parameters of the vendor's client, which were ignored";
        registry.register("ignored_parameters", help, metrics.ignored_parameters.clone());
        metrics
    }

    /// Counts a request as in flight until the returned guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The number of requests in flight.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Counts a response. `route` is a template of the URL table, and `code` the error code of an error response.
    pub(crate) fn record(
        &self,
        route: &'static str,
        method: &'static str,
        status: u16,
        code: Option<&'static str>,
        took: Duration,
    ) {
        self.durations.get_or_create(&RouteLabels { method, route }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        if let Some(code) = code {
            self.errors.get_or_create(&[("code", code)]).inc();
        }
    }

    /// Counts a connection that was closed because its client address has too many.
    pub(crate) fn record_closed_connection(&self) {
        self.closed_connections.inc();
    }

    /// Counts unknown query parameters that were ignored. `route` is a template of the URL table.
    pub(crate) fn record_ignored_parameters(&self, route: &'static str, parameters: usize) {
        let parameters = u64::try_from(parameters).unwrap_or(u64::MAX);
        self.ignored_parameters.get_or_create(&[("route", route)]).inc_by(parameters);
    }

    /// Counts a request that the HTTP library rejected before routing; its duration is unknown.
    pub(crate) fn record_malformed(&self, status: u16, code: &'static str) {
        self.requests.get_or_create(&RequestLabels { method: "other", route: "-", status }).inc();
        self.errors.get_or_create(&[("code", code)]).inc();
    }
}

/// The method as a label: a client may send any token, so unknown methods become `other`.
pub(crate) fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
