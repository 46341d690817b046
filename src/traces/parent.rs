//! `traceparent`: the trace that a request is part of (W3C Trace Context, level 1, section 3.2).

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The trace.
    pub(crate) trace_id: [u8; 16],
    /// The span that the request is sent in. The vendor's client sends an all-zero one, which the
    /// recommendation calls invalid: its trace is taken all the same, without a span before the request's.
    pub(crate) span_id: Option<[u8; 8]>,
    flags: u8,
}

impl Parent {
    /// Reads `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, in lower case. What is no such thing is ignored, as
    /// the recommendation has it; of a later version, what follows is.
    pub(crate) fn read(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let mut bytes = |digits: usize| {
            let part = parts.next()?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if part.len() == digits && is_hex { hex::decode(part).ok() } else { None }
        };
        let [version] = bytes(2)?.try_into().ok()?;
        let trace_id: [u8; 16] = bytes(32)?.try_into().ok()?;
        let span_id: [u8; 8] = bytes(16)?.try_into().ok()?;
        let [flags] = bytes(2)?.try_into().ok()?;
        let is_at_its_end = parts.next().is_none();
        if version == 0xff || (version == 0 && !is_at_its_end) || trace_id == [0; 16] {
            return None;
        }
        Some(Self { trace_id, span_id: Some(span_id).filter(|id| *id != [0; 8]), flags })
    }

    /// Whether what comes before the request is recorded, or nothing does.
    pub(crate) const fn is_recorded(&self) -> bool {
        self.span_id.is_none() || self.flags & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_has_it() {
        let read = Parent::read(&format!("00-{TRACE}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!(hex::encode(read.trace_id), TRACE);
        assert_eq!(read.span_id.map(hex::encode).as_deref(), Some("00f067aa0ba902b7"));
        assert!(read.is_recorded());
        assert!(!Parent::read(&format!("00-{TRACE}-00f067aa0ba902b7-00")).unwrap().is_recorded());
        assert!(Parent::read(&format!("cc-{TRACE}-00f067aa0ba902b7-03-what-comes")).unwrap().is_recorded());
    }

    #[test]
    fn an_all_zero_span_has_a_trace_and_no_parent() {
        let read = Parent::read(&format!("00-{TRACE}-0000000000000000-00")).unwrap();
        assert_eq!((hex::encode(read.trace_id).as_str(), read.span_id), (TRACE, None));
        assert!(read.is_recorded());
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        for junk in [
            "",
            "00",
            "junk",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(junk), None, "{junk}");
        }
    }
}
