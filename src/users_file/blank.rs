//! Characters that nobody sees in a cell or header: white space, zero-width characters, and U+001A, with which DOS
//! programs end a file.

/// Whether a character is invisible at the end of a text. Variation selectors are not: they belong to an emoji.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{1a}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Removes blanks from both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}
