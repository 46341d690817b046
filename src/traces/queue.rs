//! The queue before the one of the library, which drops what it has no room for without telling how much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use crate::metrics::SpanMetrics;

/// How many spans wait to be sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// Takes the place of one, if there is any of so many.
    fn take_place(&self, of: usize) -> bool {
        let take = |waiting| (waiting < of).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// These are on their way.
    pub(super) fn leave(&self, spans: usize) {
        self.0.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// Hands spans on while there is room for them, and counts those that there is none for.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) next: BatchSpanProcessor,
    pub(super) waiting: Waiting,
    pub(super) longest: usize,
    pub(super) spans: SpanMetrics,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.take_place(self.longest) {
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
