//! Names of groups.

use crate::error::{Error, Result};
use crate::users::{InvalidText, LONGEST_TEXT, Name, fold};

/// The longest key, in bytes. Normalization expands some characters, and an index entry of PostgreSQL holds 2,700
/// bytes.
const LONGEST_KEY: usize = 2000;

/// The name of a group: 1 to 255 characters on one line, without surrounding whitespace. Stored as entered, compared
/// ignoring case and Unicode composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    written: String,
    key: String,
}

impl GroupName {
    /// Validates a name.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(text: &str) -> Result<Self> {
        // The limit applies before trimming, as the OpenAPI description says.
        let name = match text.chars().count() > LONGEST_TEXT {
            true => Err(InvalidText::TooLong),
            false => Name::parse(text.trim().to_owned()),
        };
        let name = name.map_err(|why| Error::invalid(format!("invalid group name: {}", why.message())))?;
        let key = fold(name.as_str());
        if key.len() > LONGEST_KEY {
            return Err(Error::invalid("invalid group name: too long after Unicode normalization"));
        }
        Ok(Self { written: name.as_str().to_owned(), key })
    }

    /// The name as it was entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The key by which names are compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        GroupName::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn names_that_differ_only_in_case_or_composition_are_equal() {
        let key = |text: &str| GroupName::parse(text).unwrap().key().to_owned();
        assert_eq!(key("Plattform-Team Straße"), key(" plattform-team STRASSE "));
        assert_eq!(key("Ｏｐｓ"), key("ops"));
        assert_eq!(key("e\u{301}quipe"), key("Équipe"));
        assert_eq!(GroupName::parse(" Ops ").unwrap().as_str(), "Ops");
    }

    #[test]
    fn invalid_names_are_rejected_with_the_reason() {
        assert_eq!(refusal(" \t"), "invalid group name: must not be empty");
        assert_eq!(refusal(&"x".repeat(256)), "invalid group name: longer than 255 characters");
        assert_eq!(refusal(&format!(" {}", "x".repeat(255))), refusal(&"x".repeat(256)));
        assert!(refusal("a\nb").ends_with("contains a control character (such as a line break, a tab or NUL)"));
        // Normalization expands this character to eighteen.
        assert!(refusal(&"\u{fdfa}".repeat(255)).ends_with("too long after Unicode normalization"));
        assert!(GroupName::parse(&"é".repeat(255)).is_ok());
    }
}
