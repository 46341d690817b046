//! Names, last names and titles.
//!
//! # Decisions
//!
//! *White space and zero-width characters around a text are dropped.* They come from cells and web pages, nobody sees them,
//! and a search for the name would not find it. Joiners inside a text stay: Persian names and emoji need them.

use std::borrow::Cow;

use icu_properties::CodePointSetData;
use icu_properties::props::{DefaultIgnorableCodePoint, NoncharacterCodePoint};
use validator::ValidateLength;

/// The longest name, last name or title, in characters.
pub const LONGEST_TEXT: usize = 255;

/// One line of text: up to 255 characters, no control characters, no white space around it. May be empty.
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
    /// Contains a line break, NUL, or another control character or noncharacter.
    ControlCharacter(char),
}

impl InvalidText {
    /// A stable error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::ControlCharacter(_) => "control_character",
        }
    }

    /// A message for people, without the name of the field.
    #[must_use]
    pub fn message(self) -> Cow<'static, str> {
        match self {
            Self::Empty => "must not be empty".into(),
            Self::TooLong => "longer than 255 characters".into(),
            Self::ControlCharacter(c) => format!("contains {}", named(c)).into(),
        }
    }
}

impl Line {
    /// Validates a text. White space and zero-width characters around it are removed.
    ///
    /// # Errors
    /// The first rule that the text violates.
    pub fn parse(mut text: String) -> Result<Self, InvalidText> {
        let trimmed = trim(&text);
        if trimmed.len() < text.len() {
            text = trimmed.to_owned();
        }
        if !text.validate_length(None, u64::try_from(LONGEST_TEXT).ok(), None) {
            return Err(InvalidText::TooLong);
        }
        one_line(text).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    /// Validates a text, as [`Line::parse`].
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

/// Validates one line of text of any length. White space and zero-width characters around it are removed.
///
/// # Errors
/// [`InvalidText::ControlCharacter`].
pub(super) fn one_line(text: String) -> Result<String, InvalidText> {
    let trimmed = trim(&text);
    if let Some(forbidden) = trimmed.chars().find(|c| is_forbidden(*c)) {
        return Err(InvalidText::ControlCharacter(forbidden));
    }
    Ok(if trimmed.len() < text.len() { trimmed.to_owned() } else { text })
}

/// A forbidden character in words, with its code point.
fn named(c: char) -> String {
    let name = match c {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break",
        '\t' => "a tab",
        '\0' => "NUL",
        _ => "a control character",
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// Control characters, including line separators and those that change the text direction, and noncharacters.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
}

/// White space and characters without a visible form; U+2800 is Braille's blank.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || c == '\u{2800}'
}

/// Whether a character is dropped from the ends of a text: white space, zero-width characters, and U+001A, with which DOS
/// programs end a file. Variation selectors stay: they belong to an emoji.
pub(crate) fn is_trimmed(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{1a}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Removes white space and zero-width characters around a text.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_trimmed)
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
    fn white_space_and_zero_width_characters_around_a_name_are_dropped() {
        for text in
            [" Ada", "Ada ", "Ada\u{a0}", "Ada\u{200b}", "\u{feff}Ada", "\u{2060}\tAda\r\n", "\u{3000}Ada\u{200e}"]
        {
            assert_eq!(Name::parse(text.to_owned()).unwrap().as_str(), "Ada", "{text:?}");
        }
        assert_eq!(Line::parse("\u{200b} \u{feff}".to_owned()).unwrap().as_str(), "");
        assert_eq!(Name::parse(format!(" {} ", "x".repeat(255))).unwrap().as_str(), "x".repeat(255));
    }

    #[test]
    fn what_names_need_inside_is_kept() {
        for text in [
            "\u{639}\u{644}\u{6cc}\u{200c}\u{631}\u{636}\u{627}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "I \u{2764}\u{fe0f}",
            "X",
            "Null",
            "O'Brien",
            "Ada  Lovelace",
        ] {
            assert_eq!(Name::parse(text.to_owned()).unwrap().as_str(), text);
        }
        assert!(Name::parse("\u{1f600}".repeat(255)).is_ok());
    }

    #[test]
    fn a_name_is_one_visible_line() {
        for (c, named) in [
            ('\u{2028}', "a line break (U+2028)"),
            ('\n', "a line break (U+000A)"),
            ('\t', "a tab (U+0009)"),
            ('\0', "NUL (U+0000)"),
            ('\u{85}', "a line break (U+0085)"),
            ('\u{202e}', "a control character (U+202E)"),
            ('\u{ffff}', "a control character (U+FFFF)"),
            ('\u{fdd0}', "a control character (U+FDD0)"),
            ('\u{10ffff}', "a control character (U+10FFFF)"),
        ] {
            let why = Name::parse(format!("a{c}b")).unwrap_err();
            assert_eq!(
                (why, why.message().into_owned()),
                (InvalidText::ControlCharacter(c), format!("contains {named}"))
            );
        }
        for text in ["\u{2800}", "\u{2800} \u{2800}", "\u{3164}", "\u{2028}"] {
            assert_eq!(Name::parse(text.to_owned()), Err(InvalidText::Empty), "{text:?}");
        }
    }

    #[test]
    fn valid_names_are_stored_unchanged() {
        assert_eq!(Name::parse("Zoë Ωμέγα 😀".to_owned()).unwrap().as_str(), "Zoë Ωμέγα 😀");
        assert!(Name::parse("é".repeat(255)).is_ok());
        assert_eq!(Name::parse("é".repeat(256)), Err(InvalidText::TooLong));
        assert_eq!(Name::parse(String::new()), Err(InvalidText::Empty));
        assert_eq!(Name::parse(" \u{3000}".to_owned()), Err(InvalidText::Empty));
        assert_eq!(Name::parse(" \u{200b} ".to_owned()), Err(InvalidText::Empty));
        assert_eq!(Name::parse("\u{202e}live".to_owned()), Err(InvalidText::ControlCharacter('\u{202e}')));
        assert!(Line::parse(String::new()).is_ok());
    }
}
