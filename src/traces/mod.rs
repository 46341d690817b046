//! How requests went, for a collector of traces: one span a request, and in it one for each step worth
//! knowing the time of. Sent as OTLP (OpenTelemetry's protocol, version 1, protobuf over HTTP).
//!
//! A request's trace is that of its `traceparent` (W3C Trace Context), or a new one with the request's own id. Its id
//! is in the answer's `x-trace-id` and in the log line, whether or not the trace is recorded.
//!
//! | attribute | what |
//! |---|---|
//! | `http.request.method`, `http.route`, `http.response.status_code` | OpenTelemetry's conventions; the route's template, never the path |
//! | `error.type` | the error's code, if the status is 5xx |
//! | `muster.request_id`, `muster.caller`, `muster.rows`, `muster.code` | as in the log line ([`crate::http`]) |
//!
//! # Decisions
//!
//! *At most so many traces a second* (`traces.per_second`), not one of so many requests: a server that is asked little is
//! seen in full, and one that is asked much spends the same on it, whoever sets the flag of a `traceparent`. A
//! request whose `traceparent` says that it is not recorded (flag 00) isn't: its trace would lack its beginning.
//!
//! *Spans are begun here, not by `tracing`*: what a collector gets to see stands in this folder, and no line that is
//! logged somewhere is told to it by accident. A request that is not recorded costs a comparison.
//!
//! *What can't be sent is dropped*, and counted: spans wait in a queue of 2,048, and whoever serves requests never waits
//! for it.

mod budget;
mod export;
mod parent;
mod queue;

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider,
};

use crate::config::{Config, ConfigError};
use crate::id::{ApiKey, Id, Request};
use crate::metrics::Metrics;

use budget::Budget;
pub(crate) use parent::Parent;
use queue::{Queue, Waiting};

/// Spans that may wait to be sent.
const QUEUE: usize = 2_048;

/// How many are sent at once, and after how long at the latest.
const AT_ONCE: usize = 512;
const AT_LATEST: Duration = Duration::from_secs(2);

/// How long sending the last ones may take when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Where traces go. Nowhere until it is started.
#[derive(Debug, Default)]
pub struct Traces(OnceLock<Recorder>);

#[derive(Debug)]
struct Recorder {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    budget: Budget,
}

/// What is begun beside a request that is recorded, for the steps in it.
#[derive(Clone)]
struct Steps(SdkTracer);

impl Traces {
    /// Starts sending, if an endpoint is set. Needs a runtime, which sends.
    ///
    /// # Errors
    /// Settings that can't be used, in a sentence.
    pub fn start(&self, config: &Config, metrics: &Metrics) -> Result<(), ConfigError> {
        let headers = config.trace_headers()?;
        if config.traces.endpoint.is_empty() {
            return Ok(());
        }
        let waiting = Waiting::default();
        let exporter = export::Exporter::new(config, headers, metrics.spans.clone(), waiting.clone())?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(AT_ONCE)
            .with_scheduled_delay(AT_LATEST)
            .build();
        let instance = format!("{:016x}", rand::random::<u64>());
        let resource = Resource::builder_empty()
            .with_service_name("muster")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_id_generator(Ids::default())
            .with_resource(resource)
            .with_span_processor(Queue {
                next: BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
                waiting,
                longest: QUEUE,
                spans: metrics.spans.clone(),
            })
            .build();
        let tracer = provider.tracer("muster");
        let _ = self.0.set(Recorder { provider, tracer, budget: Budget::new(config.traces.per_second) });
        Ok(())
    }

    /// Begins the span of a request, in the trace of its parent or in one of its own with this id; none if
    /// it isn't recorded.
    pub(crate) fn begin(&self, trace_id: [u8; 16], parent: Option<&Parent>) -> Option<Recording> {
        let recorder = self.0.get()?;
        if parent.is_some_and(|parent| !parent.is_recorded()) || !recorder.budget.take() {
            return None;
        }
        let trace_id = TraceId::from_bytes(trace_id);
        let before = match parent.and_then(|parent| parent.span_id) {
            Some(span_id) => Context::new().with_remote_span_context(SpanContext::new(
                trace_id,
                SpanId::from_bytes(span_id),
                TraceFlags::SAMPLED,
                true,
                TraceState::NONE,
            )),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name("request").with_kind(SpanKind::Server);
        let span = Ids::with(trace_id, || recorder.tracer.build_with_context(builder, &before));
        let context = Context::new().with_span(span).with_value(Steps(recorder.tracer.clone()));
        Some(Recording(context))
    }

    /// Sends what waits, for a few seconds at most, and stops. Blocks.
    pub fn stop(&self) {
        if let Some(recorder) = self.0.get()
            && let Err(error) = recorder.provider.shutdown_with_timeout(LAST_WORDS)
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// A request that is recorded.
pub(crate) struct Recording(Context);

/// What is known of a request in the end.
pub(crate) struct Answered {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) request_id: Id<Request>,
    pub(crate) caller: Option<Id<ApiKey>>,
    pub(crate) rows: Option<usize>,
    pub(crate) code: Option<&'static str>,
}

impl Recording {
    /// Has the steps of `work` be part of it.
    pub(crate) fn over<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        work.with_context(self.0.clone())
    }

    /// Ends it.
    pub(crate) fn answered(self, answered: &Answered) {
        let Answered { method, route, status, request_id, caller, rows, code } = answered;
        let span = self.0.span();
        span.update_name(format!("{method} {route}"));
        span.set_attribute(KeyValue::new("http.request.method", *method));
        span.set_attribute(KeyValue::new("http.route", *route));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(*status)));
        span.set_attribute(KeyValue::new("muster.request_id", request_id.to_string()));
        if let Some(caller) = caller {
            span.set_attribute(KeyValue::new("muster.caller", caller.to_string()));
        }
        if let Some(rows) = rows.and_then(|rows| i64::try_from(rows).ok()) {
            span.set_attribute(KeyValue::new("muster.rows", rows));
        }
        if let Some(code) = code {
            span.set_attribute(KeyValue::new("muster.code", *code));
        }
        if *status >= 500 {
            span.set_attribute(KeyValue::new("error.type", code.unwrap_or("internal")));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Does `work` as a step of the request that is recorded; if none is, just does it. The names of steps are code, never data.
///
/// No `async fn`, which would take twice the room of `work`.
pub(crate) fn stage<T>(name: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = Context::map_current(|current| {
        let Steps(tracer) = current.get::<Steps>()?;
        Some(current.with_span(tracer.build_with_context(SpanBuilder::from_name(name), current)))
    });
    match context {
        None => Either::Left(work),
        Some(context) => {
            let end = context.clone();
            Either::Right(work.with_context(context).inspect(move |_| end.span().end()))
        }
    }
}

/// Has the steps of `work` be part of the request that is recorded here, when it goes on in another task.
pub(crate) fn go_on<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    work.with_current_context()
}

thread_local! {
    /// The id of the trace that is begun on this thread.
    static BEGUN: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Ids of traces that are known before the trace is begun; all others are random.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl Ids {
    fn with<T>(trace_id: TraceId, begin: impl FnOnce() -> T) -> T {
        BEGUN.set(Some(trace_id));
        let begun = begin();
        BEGUN.set(None);
        begun
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        BEGUN.get().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
