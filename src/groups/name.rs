//! What a group can be called.

use crate::error::{Error, Result};
use crate::users::{InvalidText, LONGEST_TEXT, Name, fold};

/// The longest key, in bytes. Some characters are written out as many when they are compared, and an index of
/// PostgreSQL takes 2,700 bytes.
const LONGEST_KEY: usize = 2000;

/// The name of a group: 1 to 255 characters on one line, without blanks around it. Kept as written, and
/// compared without regard to case and to how its characters are composed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    written: String,
    key: String,
}

impl GroupName {
    /// Reads a name.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(text: &str) -> Result<Self> {
        // As it came, so that the bound is the one that the API's description has.
        let name = match text.chars().count() > LONGEST_TEXT {
            true => Err(InvalidText::TooLong),
            false => Name::parse(text.trim().to_owned()),
        };
        let name =
            name.map_err(|why| Error::invalid(format!("the name of a group can't be used: {}", why.message())))?;
        let key = fold(name.as_str());
        if key.len() > LONGEST_KEY {
            return Err(Error::invalid(
                "the name of a group can't be used: too long when its characters are written out",
            ));
        }
        Ok(Self { written: name.as_str().to_owned(), key })
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The name as it is compared.
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
    fn names_that_differ_in_case_or_composition_only_are_one() {
        let key = |text: &str| GroupName::parse(text).unwrap().key().to_owned();
        assert_eq!(key("Plattform-Team Straße"), key(" plattform-team STRASSE "));
        assert_eq!(key("Ｏｐｓ"), key("ops"));
        assert_eq!(key("e\u{301}quipe"), key("Équipe"));
        assert_eq!(GroupName::parse(" Ops ").unwrap().as_str(), "Ops");
    }

    #[test]
    fn what_can_not_be_a_name_is_refused_with_the_reason() {
        assert_eq!(refusal(" \t"), "the name of a group can't be used: must not be empty");
        assert_eq!(refusal(&"x".repeat(256)), "the name of a group can't be used: longer than 255 characters");
        assert_eq!(refusal(&format!(" {}", "x".repeat(255))), refusal(&"x".repeat(256)));
        assert!(refusal("a\nb").ends_with("contains a control character (such as a line break, a tab or NUL)"));
        // One character that is eighteen when it is compared.
        assert!(refusal(&"\u{fdfa}".repeat(255)).ends_with("too long when its characters are written out"));
        assert!(GroupName::parse(&"é".repeat(255)).is_ok());
    }
}
