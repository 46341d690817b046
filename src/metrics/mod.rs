//! Metrics of this instance, in the Prometheus text format and in OpenMetrics.
//!
//! | metric | labels | meaning |
//! |---|---|---|
//! | `muster_http_requests_total` | `method`, `route`, `status` | requests that got a response, and those whose client left before (status 499) |
//! | `muster_http_request_duration_seconds` | `method`, `route` | time from the head of the request to the head of the response |
//! | `muster_http_requests_in_flight` | | requests in flight |
//! | `muster_http_connections_over_limit_total` | | connections closed because their client address had `server.connections_per_address` |
//! | `muster_refusals_total` | `code` | error responses by error code ([`crate::error`]) |
//! | `muster_ignored_parameters_total` | `route` | unknown query parameters of the vendor's client, which were ignored |
//! | `muster_users_created_total` | | users created, by any operation |
//! | `muster_batches_total` | `state` | state transitions of batches |
//! | `muster_batches_running` | | batches in progress on this instance |
//! | `muster_hash_queue_length` | `lane` | passwords waiting for a hash thread; `check`: those of lists, to have their strength checked |
//! | `muster_hash_wait_seconds` | `lane` | time a single password, or the first password of a batch, waited |
//! | `muster_hash_duration_seconds` | | time one hash took |
//! | `muster_hash_threads` | | hash threads |
//! | `muster_sign_ins_total` | `method` | sessions started |
//! | `muster_sign_in_refusals_total` | `reason` | refused sign-ins by the reason, which clients are not told |
//! | `muster_sign_in_duration_seconds` | | time of a sign-in with a password, refused or not |
//! | `muster_throttled_total` | `bucket` | attempts that the throttle rejected |
//! | `muster_recoveries_total` | | recovery links of the local operator that were used |
//! | `muster_mails_total` | `outcome` | attempts to send a message: `sent`, `retried` later, or `failed` for good |
//! | `muster_mail_queue` | | messages to be sent, by any instance, as this one saw them in the last minute |
//! | `muster_mail_queue_oldest_seconds` | | how long the oldest of them has waited |
//! | `muster_sso_requests_total` | `endpoint`, `outcome` | requests to identity providers: `ok`; `rejected` with status 3xx or 4xx; `failed` with 5xx or without a response |
//! | `muster_sso_request_duration_seconds` | `endpoint` | time of such a request |
//! | `muster_sso_jwks_refreshes_total` | `why` | reads of a provider's keys: the `first`, after they had `expired`, or because of an `unknown_key` |
//! | `muster_database_connections` | `pool`, `state` | open connections, idle or in use |
//! | `muster_database_connections_max` | `pool` | size limit of the pool |
//! | `muster_trace_spans_total` | `outcome` | spans that were sent, could not be sent (`failed`), or were dropped because the queue was full |
//! | `muster_tls_certificate_expiry_timestamp_seconds` | | expiry of the certificate in use, in seconds since 1970; absent without TLS |
//! | `muster_tls_certificate_reload_failures_total` | | changed certificates that could not be loaded; absent without TLS |
//! | `muster_build_info` | `version` | always 1 |
//! | `process_*` | | memory, CPU time, file descriptors, start time: the standard names of Prometheus client libraries |
//!
//! Every value is about one instance; the monitoring system adds up instances. Counters start at 0 with the process.
//!
//! # Decisions
//!
//! *No label takes a value from a client*: routes are templates, and unknown methods become `other`. The URL table bounds
//! the number of series, and no series names a person, a key or an organization.
//!
//! *Metrics never query the database*: counting batches there would read other organizations' rows on every scrape of every
//! instance, and would fail exactly when metrics matter most. The mail worker, which reads the queue anyway, measures it.
//!
//! *Series used by alerts exist from the start, at 0*: Prometheus can't see the first increase of a counter that
//! appears with that increase.

mod batches;
mod certificate;
mod mails;
mod pools;
mod process;
mod requests;
mod sign_ins;
mod sso;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::audit::Event;
use crate::passwords::Pool;
use crate::postgres::Database;
use crate::tls::Tls;

pub(crate) use batches::{BatchMetrics, RunningBatch};
pub(crate) use mails::MailMetrics;
pub(crate) use requests::{RequestMetrics, known_method};
pub(crate) use sign_ins::SignInMetrics;
pub(crate) use sso::{Refresh, SsoEndpoint, SsoMetrics};

/// The metrics of this instance.
pub struct Metrics {
    registry: Registry,
    pub(crate) requests: RequestMetrics,
    pub(crate) batches: BatchMetrics,
    pub(crate) spans: SpanMetrics,
    pub(crate) sign_ins: SignInMetrics,
    pub(crate) mails: MailMetrics,
    pub(crate) sso: SsoMetrics,
    users_created: Counter,
    certificate: certificate::CertificateMetrics,
}

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format, version 0.0.4, which every scraper reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The media type of the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Spans by outcome: sent, failed or dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanMetrics(Family<[(&'static str, &'static str); 1], Counter>);

impl SpanMetrics {
    pub(crate) fn sent(&self, spans: usize) {
        self.add("sent", spans);
    }

    pub(crate) fn failed(&self, spans: usize) {
        self.add("failed", spans);
    }

    /// Counts spans that found the queue full.
    pub(crate) fn dropped(&self, spans: usize) {
        self.add("dropped", spans);
    }

    fn add(&self, outcome: &'static str, spans: usize) {
        self.0.get_or_create(&[("outcome", outcome)]).inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }
}

impl Metrics {
    /// Registers all metrics. `now` is the start time of the process.
    #[must_use]
    pub fn new(db: &Database, hasher: &Arc<Pool>, now: DateTime<Utc>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::ProcessMetrics::started(now)));
        let muster = registry.sub_registry_with_prefix("muster");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        muster.register("build", "Version of muster", Info::new(version));
        let requests = RequestMetrics::register(muster);
        let batches = BatchMetrics::register(muster);
        let sign_ins = SignInMetrics::register(muster);
        let mails = MailMetrics::register(muster);
        let sso = SsoMetrics::register(muster);
        let (users_created, spans) = (Counter::default(), SpanMetrics::default());
        spans.sent(0);
        spans.failed(0);
        spans.dropped(0);
        muster.register("users_created", "Users created, by any operation", users_created.clone());
        muster.register(
            "trace_spans",
            "Spans that were sent, could not be sent, or were dropped because the queue was full",
            spans.0.clone(),
        );
        hasher.measured().register(muster);
        muster.register_collector(Box::new(pools::HashQueue(Arc::clone(hasher))));
        muster.register_collector(Box::new(pools::Connections(db.clone())));
        let certificate = certificate::CertificateMetrics::default();
        muster.register_collector(Box::new(certificate.clone()));
        Self { registry, requests, batches, spans, sign_ins, mails, sso, users_created, certificate }
    }

    /// Adds the metrics of the server's certificate.
    pub fn show_certificate(&self, tls: Arc<Tls>) {
        self.certificate.set(tls);
    }

    /// Counts the events of a committed change.
    pub(crate) fn count_events<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        for event in events {
            match event {
                Event::UserCreated { .. } => {
                    self.users_created.inc();
                }
                Event::BatchCreated { .. } => self.batches.record(batches::CREATED),
                Event::BatchCancelled(_) => self.batches.record(batches::CANCELLED),
                Event::BatchUndone { .. } => self.batches.record(batches::UNDONE),
                _ => {}
            }
        }
    }

    /// Counts a batch whose commit was confirmed only afterwards, by a lookup.
    pub(crate) fn count_confirmed_batch(&self, users: usize) {
        self.batches.record(batches::CREATED);
        self.users_created.inc_by(u64::try_from(users).unwrap_or(u64::MAX));
    }

    /// Writes all metrics in the given format.
    ///
    /// # Errors
    /// Fails only if formatting into a `String` fails.
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
