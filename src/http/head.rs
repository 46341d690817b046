//! Lines of a head that end in LF alone.
//!
//! The parser takes them, as RFC 9112, section 2.2, allows. A proxy that doesn't, and hands the bytes on as part of a
//! value, would see one header where muster sees two, and `Transfer-Encoding` might be the second: one request there, two
//! here. So such a byte is shown to the parser as NUL, which it refuses.

/// A head, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Behind the empty lines that may come before it.
    has_begun: bool,
    /// Behind the empty line that ends it: what follows is a body.
    is_over: bool,
    is_after_cr: bool,
    is_line_empty: bool,
}

impl Head {
    /// Looks at the bytes that came next.
    pub(super) fn check(&mut self, bytes: &mut [u8]) {
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

    /// What the parser is shown, however the bytes come in.
    fn shown(text: &str) -> String {
        let whole = {
            let mut bytes = text.as_bytes().to_vec();
            Head::default().check(&mut bytes);
            bytes
        };
        let mut single = text.as_bytes().to_vec();
        let mut head = Head::default();
        single.iter_mut().for_each(|byte| head.check(std::slice::from_mut(byte)));
        assert_eq!(whole, single, "{text:?}");
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn a_line_that_ends_in_lf_alone_is_spoiled() {
        for (sent, expected) in [
            ("GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\0Host: x\0\0"),
            ("GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n", "GET / HTTP/1.1\r\nX: a\0Y: b\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", "GET / HTTP/1.1\r\nHost: x\r\n\0"),
        ] {
            assert_eq!(shown(sent), expected);
        }
    }

    #[test]
    fn a_head_as_it_should_be_and_any_body_are_left_alone() {
        for sent in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\nname\nvalue\n\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n\n",
        ] {
            assert_eq!(shown(sent), sent);
        }
    }
}
