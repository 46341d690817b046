//! Names, last names and titles.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use validator::ValidateLength;

/// The longest name, last name or title, in characters.
pub const LONGEST_TEXT: usize = 255;

/// One line of text: up to 255 characters, no control characters. May be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

/// A [`Line`] with at least one visible character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Line);

/// The reason why a text is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidText {
    /// Empty or blank.
    Empty,
    /// More than 255 characters.
    TooLong,
    /// Contains a line break, NUL or another control character.
    ControlCharacter,
}

impl InvalidText {
    /// A stable error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::ControlCharacter => "control_character",
        }
    }

    /// A message for people, without the name of the field.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Empty => "must not be empty",
            Self::TooLong => "longer than 255 characters",
            Self::ControlCharacter => "contains a control character (such as a line break, a tab or NUL)",
        }
    }
}

impl Line {
    /// Validates a text. The text is not changed.
    ///
    /// # Errors
    /// The first rule that the text violates.
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
    /// Validates a text. The text is not changed.
    ///
    /// # Errors
    /// The first rule that the text violates.
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

/// Control characters, including those that change the text direction.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whitespace and zero-width characters.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Whether a text is one line and all of it is visible, as names of API keys and files must be.
pub(crate) fn is_visible_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || is_invisible(c))
}

/// Default-ignorable characters (bidirectional controls included), line separators and interlinear annotations.
pub(crate) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_stored_unchanged() {
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
