//! What muster counts and measures about itself, as Prometheus reads it.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `muster_http_requests_total` | `method`, `route`, `status` | requests that were answered |
//! | `muster_http_request_duration_seconds` | `method`, `route` | from the head of the request to the head of the answer |
//! | `muster_http_requests_in_flight` | | requests that are being served |
//! | `muster_refusals_total` | `code` | answers that were errors, by their code ([`crate::error`]) |
//! | `muster_users_created_total` | | users, in whatever way they were created |
//! | `muster_batches_total` | `state` | batches that came into a state here |
//! | `muster_batches_running` | | batches that this instance is making |
//! | `muster_hash_queue_length` | `lane` | passwords that wait for a hash thread |
//! | `muster_hash_wait_seconds` | `lane` | how long a single password, or a batch for its first one, waited |
//! | `muster_hash_duration_seconds` | | how long one hash took |
//! | `muster_hash_threads` | | threads that hash |
//! | `muster_database_connections` | `pool`, `state` | connections, idle or in use |
//! | `muster_database_connections_max` | `pool` | how many there may be |
//! | `muster_trace_spans_total` | `outcome` | spans that were sent, could not be (`failed`), or were dropped because too many waited |
//! | `muster_tls_certificate_expiry_timestamp_seconds` | | when the certificate in use expires, in seconds since 1970; absent without TLS |
//! | `muster_tls_certificate_reload_failures_total` | | changed certificates that could not be used; absent without TLS |
//! | `muster_build_info` | `version` | always 1 |
//! | `process_*` | | memory, processor time, files, start: as Prometheus' own clients name them |
//!
//! All are about this instance; sums over instances are the collector's to make. A counter begins at 0
//! when muster starts.
//!
//! # Decisions
//!
//! *No label has a value that a client chooses*: routes are templates, methods are those of HTTP, all others
//! `other`. So the number of series is bounded by the URL table, and no series names a person, a key or an
//! organization.
//!
//! *Nothing here asks the database*: counting batches there would read other organizations' rows, once for each
//! instance and scrape, and would fail exactly when the metrics are needed most.
//!
//! *Series that alerts are about exist from the start, at 0*: Prometheus can't see the first increase of a counter that
//! appears with it.

mod batches;
mod certificate;
mod pools;
mod process;
mod requests;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::audit::Event;
use crate::config;
use crate::passwords::Pool;
use crate::postgres::Database;
use crate::tls::Tls;

pub(crate) use batches::Batches;
pub(crate) use requests::{Endpoint, Requests, known_method};

/// What is counted, and how it is read.
pub struct Metrics {
    registry: Registry,
    /// About requests.
    pub(crate) requests: Requests,
    /// About batches.
    pub(crate) batches: Batches,
    /// About traces.
    pub(crate) spans: Spans,
    users_created: Counter,
    certificate: certificate::OfServer,
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text, version 0.0.4: what every collector reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What became of spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Family<Outcome, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Spans {
    pub(crate) fn sent(&self, spans: usize) {
        self.add("sent", spans);
    }

    pub(crate) fn failed(&self, spans: usize) {
        self.add("failed", spans);
    }

    /// There was no room for them: too many waited to be sent.
    pub(crate) fn dropped(&self, spans: usize) {
        self.add("dropped", spans);
    }

    fn add(&self, outcome: &'static str, spans: usize) {
        self.0.get_or_create(&Outcome { outcome }).inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }
}

impl Metrics {
    /// All of them, at 0. `now` is when the program started. Requests, of which there are many, are counted only if
    /// the metrics are read anywhere.
    #[must_use]
    pub fn new(config: &config::Metrics, db: &Database, hasher: &Arc<Pool>, now: DateTime<Utc>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::started(now)));
        let muster = registry.sub_registry_with_prefix("muster");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        muster.register("build", "The program", Info::new(version));
        let requests = Requests::register(muster, !config.listen.is_empty());
        let batches = Batches::register(muster);
        let (users_created, spans) = (Counter::default(), Spans::default());
        spans.sent(0);
        spans.failed(0);
        spans.dropped(0);
        muster.register("users_created", "Users, in whatever way they were created", users_created.clone());
        muster.register(
            "trace_spans",
            "Spans that were sent, could not be, or were dropped because too many waited",
            spans.0.clone(),
        );
        hasher.measured().register(muster);
        muster.register_collector(Box::new(pools::HashQueue(Arc::clone(hasher))));
        muster.register_collector(Box::new(pools::Connections(db.clone())));
        let certificate = certificate::OfServer::default();
        muster.register_collector(Box::new(certificate.clone()));
        Self { registry, requests, batches, spans, users_created, certificate }
    }

    /// Tells of the certificate that the server shows, from now on.
    pub fn show_certificate(&self, tls: Arc<Tls>) {
        self.certificate.is(tls);
    }

    /// Counts what a change did, once it is committed.
    pub(crate) fn committed(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::UserCreated { .. } => {
                    self.users_created.inc();
                }
                Event::BatchCreated { .. } => self.batches.came_into(batches::CREATED),
                Event::BatchCancelled(_) => self.batches.came_into(batches::CANCELLED),
                Event::BatchUndone { .. } => self.batches.came_into(batches::UNDONE),
                _ => {}
            }
        }
    }

    /// Counts a batch whose commit was only found out about.
    pub(crate) fn found_committed(&self, users: usize) {
        self.batches.came_into(batches::CREATED);
        self.users_created.inc_by(u64::try_from(users).unwrap_or(u64::MAX));
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// None that writing to memory could give.
    pub fn write(&self, format: Format) -> Result<String, fmt::Error> {
        let mut written = String::with_capacity(16 * 1024);
        match format {
            Format::Text => prometheus_text::encode(&mut written, &self.registry)?,
            Format::OpenMetrics => text::encode(&mut written, &self.registry)?,
        }
        Ok(written)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
