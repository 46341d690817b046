//! Counts dropped spans.
//!
//! # Decisions
//!
//! *`BatchSpanProcessor` is wrapped*: it drops spans when its queue is full, but does not report how many, and
//! `muster_trace_spans_total` promises that. The wrapper counts the queued spans itself and drops before the processor does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use crate::metrics::SpanMetrics;

/// The number of queued spans.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueLen(Arc<AtomicUsize>);

impl QueueLen {
    /// Adds one, unless there are `max` already.
    fn try_add(&self, max: usize) -> bool {
        let take = |queued| (queued < max).then_some(queued + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Removes spans that are being exported.
    pub(super) fn remove(&self, spans: usize) {
        self.0.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// A bounded queue in front of the exporter.
#[derive(Debug)]
pub(super) struct CountingQueue {
    pub(super) next: BatchSpanProcessor,
    pub(super) queued: QueueLen,
    pub(super) max: usize,
    pub(super) spans: SpanMetrics,
}

impl SpanProcessor for CountingQueue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queued.try_add(self.max) {
            self.next.on_end(span);
        } else {
            self.spans.dropped(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
