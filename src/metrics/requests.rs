//! Requests: how many, how long they took, what was refused.

use std::cell::RefCell;
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
    durations: Family<Timed, Histogram>,
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
struct Timed {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

/// What is asked for, on one of the threads that serve, with the series that were counted in there: to find them by
/// their labels takes longer than to count.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The path, as it stands in the URL table; `-` for whatever is not in it.
    pub(crate) route: &'static str,
    known: RefCell<Vec<Series>>,
}

#[derive(Debug)]
struct Series {
    method: &'static str,
    status: u16,
    answered: Counter,
    duration: Histogram,
}

impl Endpoint {
    pub(crate) const fn new(route: &'static str) -> Self {
        Self { route, known: RefCell::new(Vec::new()) }
    }
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

    /// Counts an answer. `code` is that of the error, if it was one.
    pub(crate) fn answered(
        &self,
        endpoint: &Endpoint,
        method: &'static str,
        status: u16,
        code: Option<&'static str>,
        took: Duration,
    ) {
        if !self.are_counted {
            return;
        }
        let mut known = endpoint.known.borrow_mut();
        let place = known.iter().position(|series| series.status == status && series.method == method);
        let place = place.unwrap_or_else(|| {
            known.push(self.series(endpoint.route, method, status));
            known.len() - 1
        });
        if let Some(series) = known.get(place) {
            series.duration.observe(took.as_secs_f64());
            series.answered.inc();
        }
        if let Some(code) = code {
            self.refused.get_or_create(&Refused { code }).inc();
        }
    }

    fn series(&self, route: &'static str, method: &'static str, status: u16) -> Series {
        Series {
            method,
            status,
            answered: self.answered.get_or_create_owned(&Answered { method, route, status }),
            duration: self.durations.get_or_create_owned(&Timed { method, route }),
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
