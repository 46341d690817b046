//! The trace context of a request, from its `traceparent` header (W3C Trace Context).

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const HEADER: &str = "traceparent";

/// The all-zero parent span, and its replacement. The vendor's client sends zeros, which are invalid in the specification,
/// to start a trace with an ID of its own.
const NO_SPAN: &str = "-0000000000000000-";
const STAND_IN: &str = "-ffffffffffffffff-";

/// A valid `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    context: SpanContext,
    /// Whether the request itself is the root of the trace.
    is_root: bool,
}

impl Parent {
    /// Parses the header; `None` if it is invalid: the specification requires that invalid headers are ignored.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        if !has_w3c_lengths(header) {
            return None;
        }
        let is_root = header.contains(NO_SPAN);
        let carrier = HashMap::from([(HEADER.to_owned(), header.replace(NO_SPAN, STAND_IN))]);
        let context = TraceContextPropagator::new().extract(&carrier).span().span_context().clone();
        context.is_valid().then_some(Self { context, is_root })
    }

    pub(crate) fn trace_id(&self) -> [u8; 16] {
        self.context.trace_id().to_bytes()
    }

    /// The context of the parent span; `None` if the request is the root of the trace.
    pub(super) fn span(&self) -> Option<&SpanContext> {
        (!self.is_root).then_some(&self.context)
    }

    /// Whether the trace is sampled. The flag of a root is ignored: no other span depends on it.
    pub(super) fn is_sampled(&self) -> bool {
        self.is_root || self.context.is_sampled()
    }
}

/// Whether the fields have the lengths of the specification, which the library does not check. Later versions may append
/// fields.
fn has_w3c_lengths(header: &str) -> bool {
    let mut lengths = header.trim().split('-').map(str::len);
    [2, 32, 16, 2].into_iter().all(|length| lengths.next() == Some(length))
        && (!header.trim().starts_with("00-") || lengths.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_parsed_according_to_w3c_trace_context() {
        let parent = Parent::parse(&format!("00-{TRACE}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!(hex::encode(parent.trace_id()), TRACE);
        assert_eq!(parent.span().map(|span| span.span_id().to_string()).as_deref(), Some("00f067aa0ba902b7"));
        assert!(parent.is_sampled());
        assert!(!Parent::parse(&format!("00-{TRACE}-00f067aa0ba902b7-00")).unwrap().is_sampled());
        assert!(Parent::parse(&format!("cc-{TRACE}-00f067aa0ba902b7-03-later-version")).unwrap().is_sampled());
    }

    #[test]
    fn an_all_zero_span_id_means_a_trace_without_a_parent_span() {
        let parent = Parent::parse(&format!("00-{TRACE}-0000000000000000-00")).unwrap();
        assert_eq!((hex::encode(parent.trace_id()).as_str(), parent.span()), (TRACE, None));
        assert!(parent.is_sampled());
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        for invalid in [
            "",
            "00",
            "00-1-2-01",
            &format!("00-{TRACE}-00f067aa0ba902b7-01-"),
            "junk",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::parse(invalid), None, "{invalid}");
        }
    }
}
