//! Requests: how many, how long they took, what was refused.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::Code;

/// Upper bounds, in seconds: from a read that is answered from memory, half a millisecond, to a list of 100,000.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.5, 15.0, 60.0];

/// About requests.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// Whether anybody can read them.
    are_counted: bool,
    answered: Family<Answered, Counter>,
    durations: Family<Endpoint, Histogram>,
    refused: Family<Refused, Counter>,
    in_flight: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

/// A request that is being served, until it is dropped.
pub(crate) struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Requests {
    pub(super) fn register(registry: &mut Registry, are_counted: bool) -> Self {
        let requests = Self {
            are_counted,
            answered: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            refused: Family::default(),
            in_flight: Gauge::default(),
        };
        for code in Code::ALL {
            drop(requests.refused.get_or_create(&Refused { code: code.as_str() }));
        }
        registry.register("http_requests", "Requests that were answered", requests.answered.clone());
        let help = "From the head of the request to the head of the answer";
        registry.register("http_request_duration_seconds", help, requests.durations.clone());
        registry.register("http_requests_in_flight", "Requests that are being served", requests.in_flight.clone());
        registry.register("refusals", "Answers that were errors, by their code", requests.refused.clone());
        requests
    }

    /// Counts a request in until what is given back is dropped: answered or not. Always, since whoever stops muster is
    /// told how many were cut off.
    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// How many are being served.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Counts an answer. `route` is the template of the path, `code` that of the error, if it was one.
    pub(crate) fn answered(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        code: Option<&'static str>,
        took: Duration,
    ) {
        if !self.are_counted {
            return;
        }
        self.durations.get_or_create(&Endpoint { method, route }).observe(took.as_secs_f64());
        self.answered.get_or_create(&Answered { method, route, status }).inc();
        if let Some(code) = code {
            self.refused.get_or_create(&Refused { code }).inc();
        }
    }
}

/// The method, if HTTP knows it: a client can write anything there.
pub(crate) fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
