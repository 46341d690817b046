//! The header `Idempotency-Key`, which makes retries of a request idempotent.

/// The maximum length of a key.
const MAX_LEN: usize = 255;

/// A key: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// An invalid header.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Idempotency-Key` must be 1 to {MAX_LEN} visible ASCII characters, such as a UUID")]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Parses the header: a quoted string, as in the IETF draft (RFC 8941, section 3.3.3), or a bare one, as most
    /// clients send it.
    ///
    /// # Errors
    /// [`InvalidKey`] for a key that is empty, too long, or has blanks or control characters.
    pub fn parse(header: &str) -> Result<Self, InvalidKey> {
        let text = match header.strip_prefix('"') {
            Some(quoted) => unquote(quoted.strip_suffix('"').ok_or(InvalidKey)?)?,
            None => header.to_owned(),
        };
        let is_key = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then_some(Self(text)).ok_or(InvalidKey)
    }

    /// The key without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The contents of a quoted string; `\"` and `\\` are the only escapes.
fn unquote(quoted: &str) -> Result<String, InvalidKey> {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.push(characters.next().filter(|c| matches!(c, '"' | '\\')).ok_or(InvalidKey)?),
            '"' => return Err(InvalidKey),
            c => text.push(c),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Option<String> {
        IdempotencyKey::parse(header).ok().map(|key| key.0)
    }

    #[test]
    fn parses_quoted_and_bare_keys() {
        for header in ["8e03978e-40d5-43dd-bc93-6894a57f9324", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""] {
            assert_eq!(read(header).as_deref(), Some("8e03978e-40d5-43dd-bc93-6894a57f9324"));
        }
        assert_eq!(read(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        assert_eq!(read(&"k".repeat(255)), Some("k".repeat(255)));
    }

    #[test]
    fn rejects_invalid_keys() {
        let long = "k".repeat(256);
        for header in ["", "\"\"", "a b", "a\tb", "ä", "\"open", "\"a\"b\"", r#""a\b""#, "\"", "a\u{7f}", &long] {
            assert_eq!(IdempotencyKey::parse(header), Err(InvalidKey), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC{0,300}") {
            if let Some(key) = read(&header) {
                prop_assert!(!key.is_empty() && key.len() <= 255);
            }
        }
    }
}
