//! `Idempotency-Key`: what its sender calls a request, so that sending it again does nothing twice.

use std::fmt;

/// The longest key, in characters.
const LONGEST: usize = 255;

/// A key: 1 to 255 visible characters of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A header that is no key.
#[derive(Debug, PartialEq, Eq)]
pub struct BadKey;

impl IdempotencyKey {
    /// Reads the header: a string in quotes, as the IETF's draft has it (RFC 8941, section 3.3.3), or bare, as
    /// most clients send it.
    ///
    /// # Errors
    /// [`BadKey`] for one that is empty, too long, or has blanks or control characters.
    pub fn parse(header: &str) -> Result<Self, BadKey> {
        let text = match header.strip_prefix('"') {
            Some(quoted) => unquote(quoted.strip_suffix('"').ok_or(BadKey)?)?,
            None => header.to_owned(),
        };
        let is_key = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then_some(Self(text)).ok_or(BadKey)
    }

    /// The key without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`Idempotency-Key` has to be 1 to {LONGEST} visible characters of ASCII, such as a UUID")
    }
}

/// What stands between the quotes: `\"` and `\\` are the only escapes.
fn unquote(quoted: &str) -> Result<String, BadKey> {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.push(characters.next().filter(|c| matches!(c, '"' | '\\')).ok_or(BadKey)?),
            '"' => return Err(BadKey),
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
    fn a_key_is_read_with_and_without_quotes() {
        for header in ["8e03978e-40d5-43dd-bc93-6894a57f9324", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""] {
            assert_eq!(read(header).as_deref(), Some("8e03978e-40d5-43dd-bc93-6894a57f9324"));
        }
        assert_eq!(read(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        assert_eq!(read(&"k".repeat(255)), Some("k".repeat(255)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(256);
        for header in ["", "\"\"", "a b", "a\tb", "ä", "\"open", "\"a\"b\"", r#""a\b""#, "\"", "a\u{7f}", &long] {
            assert_eq!(IdempotencyKey::parse(header), Err(BadKey), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "\\PC{0,300}") {
            if let Some(key) = read(&header) {
                prop_assert!(!key.is_empty() && key.len() <= 255);
            }
        }
    }
}
