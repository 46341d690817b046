//! Names and other short texts about people.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use validator::ValidateLength;

/// The longest name, last name or title, in characters.
pub const LONGEST_TEXT: usize = 255;

/// One line of text: up to 255 characters, no control characters. May be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

/// A [`Line`] that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Line);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidText {
    /// Nothing but blanks.
    Empty,
    /// More than 255 characters.
    TooLong,
    /// Has line breaks, NUL or other control characters.
    ControlCharacter,
}

impl InvalidText {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::ControlCharacter => "control_character",
        }
    }

    /// What is due, for people.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Empty => "must not be empty",
            Self::TooLong => "longer than 255 characters",
            Self::ControlCharacter => "has a control character (a line break, a tab, NUL or the like)",
        }
    }
}

impl Line {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: String) -> Result<Self, InvalidText> {
        if !text.validate_length(None, u64::try_from(LONGEST_TEXT).ok(), None) {
            return Err(InvalidText::TooLong);
        }
        if text.chars().any(is_forbidden) {
            return Err(InvalidText::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: String) -> Result<Self, InvalidText> {
        if text.chars().all(is_blank) {
            return Err(InvalidText::Empty);
        }
        Line::parse(text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Control characters, and those that turn the direction of everything after them around.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Nothing to see: blanks, and characters of no width.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_within_the_rules() {
        assert_eq!(Name::parse("Zoë Ωμέγα 😀".to_owned()).unwrap().as_str(), "Zoë Ωμέγα 😀");
        assert!(Name::parse("é".repeat(255)).is_ok());
        assert_eq!(Name::parse("é".repeat(256)), Err(InvalidText::TooLong));
        assert_eq!(Name::parse(String::new()), Err(InvalidText::Empty));
        assert_eq!(Name::parse(" \u{3000}".to_owned()), Err(InvalidText::Empty));
        assert_eq!(Name::parse(" \u{200b} ".to_owned()), Err(InvalidText::Empty));
        assert_eq!(Name::parse("\u{202e}live".to_owned()), Err(InvalidText::ControlCharacter));
        assert_eq!(Name::parse("a\0b".to_owned()), Err(InvalidText::ControlCharacter));
        assert_eq!(Name::parse("a\u{85}b".to_owned()), Err(InvalidText::ControlCharacter));
        assert!(Line::parse(String::new()).is_ok());
    }
}
