//! Distributed tracing: one span per request, with child spans for its main steps, exported by OTLP (protobuf over HTTP).
//!
//! A request continues the trace of its `traceparent` header (W3C Trace Context), or starts a trace with its own request
//! ID. The trace ID is in the `x-trace-id` response header and in the log line, whether or not the trace is recorded.
//!
//! | attribute | value |
//! |---|---|
//! | `http.request.method`, `http.route`, `http.response.status_code` | OpenTelemetry semantic conventions; the route is a template, never the path |
//! | `error.type` | the error code, for a 5xx |
//! | `muster.request_id`, `muster.caller`, `muster.rows`, `muster.code` | as in the log line ([`crate::http`]) |
//!
//! # Decisions
//!
//! *Sampling is limited to a number of traces per second* (`traces.per_second`), not a fraction of requests: a server with
//! little load is traced completely, and a busy one has bounded cost, even if clients set the flag of every
//! `traceparent`. A request whose `traceparent` is not sampled (flag 00) is not recorded, as its trace would lack the
//! start.
//!
//! *Spans are created here, not by a `tracing` layer*: this folder determines what a collector receives, and no log event
//! is exported by accident. A request that is not recorded costs one comparison.
//!
//! *Spans that can't be sent are dropped and counted*: 2,048 spans wait in a queue, and requests never wait for it.

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
    FutureExt, SpanBuilder, SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer, TracerProvider,
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
use queue::{CountingQueue, QueueLen};

/// The largest number of spans that wait to be sent.
const QUEUE: usize = 2_048;

/// The largest number of spans in one export, and the longest time between exports.
const EXPORT_SIZE: usize = 512;
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How long the final export may delay the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// The trace recorder; inactive until it is started.
#[derive(Debug, Default)]
pub struct Traces(OnceLock<Recorder>);

#[derive(Debug)]
struct Recorder {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    budget: Budget,
}

/// The tracer for child spans, carried in the context of a recorded request.
#[derive(Clone)]
struct StepTracer(SdkTracer);

impl Traces {
    /// Starts recording and exporting, if `traces.endpoint` is set. Needs a runtime for the exports.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn start(&self, config: &Config, metrics: &Metrics) -> Result<(), ConfigError> {
        let headers = config.trace_headers()?;
        if config.traces.endpoint.is_empty() {
            return Ok(());
        }
        let queued = QueueLen::default();
        let exporter = export::Exporter::new(config, headers, metrics.spans.clone(), queued.clone())?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(EXPORT_SIZE)
            .with_scheduled_delay(EXPORT_INTERVAL)
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
            .with_span_processor(CountingQueue {
                next: BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
                queued,
                max: QUEUE,
                spans: metrics.spans.clone(),
            })
            .build();
        let tracer = provider.tracer("muster");
        let _ = self.0.set(Recorder { provider, tracer, budget: Budget::new(config.traces.per_second) });
        Ok(())
    }

    /// Starts the span of a request, in the trace of its parent or in a new one with this ID; `None` if the request is
    /// not recorded.
    pub(crate) fn begin(&self, trace_id: [u8; 16], parent: Option<&Parent>) -> Option<Recording> {
        let recorder = self.0.get()?;
        if parent.is_some_and(|parent| !parent.is_sampled()) || !recorder.budget.take() {
            return None;
        }
        let trace_id = TraceId::from_bytes(trace_id);
        let parent = match parent.and_then(Parent::span) {
            Some(span) => Context::new().with_remote_span_context(span.clone()),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name("request").with_kind(SpanKind::Server);
        let span = Ids::with_trace_id(trace_id, || recorder.tracer.build_with_context(builder, &parent));
        let context = Context::new().with_span(span).with_value(StepTracer(recorder.tracer.clone()));
        Some(Recording(context))
    }

    /// Exports the queued spans, for a few seconds at most, and stops. Blocks.
    pub fn stop(&self) {
        if let Some(recorder) = self.0.get()
            && let Err(error) = recorder.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)
        {
            tracing::warn!(%error, "failed to export the last traces");
        }
    }
}

/// A request that is being recorded.
pub(crate) struct Recording(Context);

/// The outcome of a request.
pub(crate) struct Outcome {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) request_id: Id<Request>,
    pub(crate) caller: Option<Id<ApiKey>>,
    pub(crate) rows: Option<usize>,
    pub(crate) code: Option<&'static str>,
}

impl Recording {
    /// Runs `work` in the context of the request, so that its steps become child spans.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        work.with_context(self.0.clone())
    }

    /// Ends the span of the request.
    pub(crate) fn finish(self, outcome: &Outcome) {
        let Outcome { method, route, status, request_id, caller, rows, code } = outcome;
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

/// Runs `work` as a step of the current request, with a child span if the request is recorded. Step names are constants,
/// never data.
///
/// Not an `async fn`: that would need twice the memory of `work`.
pub(crate) fn stage<T>(name: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = Context::map_current(|current| {
        let StepTracer(tracer) = current.get::<StepTracer>()?;
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

/// Keeps the context of the current request for `work` that moves to another task.
pub(crate) fn in_current_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    work.with_current_context()
}

thread_local! {
    /// The ID of the trace that this thread is starting.
    static NEW_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Generates random IDs, except for a trace whose ID is known before it starts.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl Ids {
    fn with_trace_id<T>(trace_id: TraceId, start: impl FnOnce() -> T) -> T {
        NEW_TRACE.set(Some(trace_id));
        let started = start();
        NEW_TRACE.set(None);
        started
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEW_TRACE.get().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
