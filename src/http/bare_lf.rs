//! Rejects heads with lines that end in a bare LF.
//!
//! The HTTP library accepts such lines, as RFC 9112, section 2.2, allows. A proxy that does not, and forwards the LF as part
//! of a header value, sees one header where muster sees two. If the second one is `Transfer-Encoding`, the two disagree
//! on where the request ends (request smuggling). So every bare LF in a head is replaced with NUL, which makes the library
//! reject the request.

/// Scans the head of one request as it arrives.
#[derive(Debug, Default)]
pub(super) struct BareLfFilter {
    /// Whether the request line has begun; empty lines may precede it.
    has_begun: bool,
    /// Whether the empty line after the headers was seen; the body follows.
    is_over: bool,
    is_after_cr: bool,
    is_line_empty: bool,
}

impl BareLfFilter {
    /// Scans the next bytes and overwrites each bare LF.
    pub(super) fn scan(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.is_over {
                return;
            }
            match *byte {
                b'\r' | b'\n' if !self.has_begun => {}
                b'\n' if !self.is_after_cr => *byte = 0,
                b'\n' => (self.is_over, self.is_line_empty) = (self.is_line_empty, true),
                b'\r' => {}
                _ => (self.has_begun, self.is_line_empty) = (true, false),
            }
            self.is_after_cr = *byte == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans the text at once and byte by byte, and checks that the results are equal.
    fn scanned(text: &str) -> String {
        let mut at_once = text.as_bytes().to_vec();
        BareLfFilter::default().scan(&mut at_once);
        let mut byte_by_byte = text.as_bytes().to_vec();
        let mut filter = BareLfFilter::default();
        byte_by_byte.iter_mut().for_each(|byte| filter.scan(std::slice::from_mut(byte)));
        assert_eq!(at_once, byte_by_byte, "{text:?}");
        String::from_utf8(at_once).unwrap()
    }

    #[test]
    fn a_bare_lf_in_a_head_becomes_nul() {
        for (sent, expected) in [
            ("GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\0Host: x\0\0"),
            ("GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n", "GET / HTTP/1.1\r\nX: a\0Y: b\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", "GET / HTTP/1.1\r\nHost: x\r\n\0"),
        ] {
            assert_eq!(scanned(sent), expected);
        }
    }

    #[test]
    fn a_valid_head_and_any_body_stay_unchanged() {
        for sent in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\nname\nvalue\n\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n\n",
        ] {
            assert_eq!(scanned(sent), sent);
        }
    }
}
