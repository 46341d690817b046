//! Translates the errors of the YAML parser into messages with advice.

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use super::error::SyntaxError;
use super::slice;

const QUOTE_VALUE: &str = "put the whole value in quotes";

pub(super) fn error(text: &str, error: &ScanError) -> SyntaxError {
    let at = error.marker().byte_offset().unwrap_or(usize::MAX);
    // At the end of the file, point after the last text.
    let at = text.floor_char_boundary(at.min(text.trim_end().len()));
    if let Some(tab) = indenting_tab(text, at, error.kind()) {
        return SyntaxError::new("YAML can't be indented with tabs; use spaces", tab).unparsed();
    }
    let place = match error.kind() {
        // The parser reports the start of the scalar.
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let at = slice(text, at..).find(*character).map_or(at, |found| at + found);
            at..at + character.len_utf8()
        }
        _ => at..at,
    };
    let (message, help) = words(error.kind());
    let error = SyntaxError::new(message, place).unparsed();
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// The tab that indents the line of `at`, or a line after it if the parser reports a tab.
fn indenting_tab(text: &str, at: usize, kind: &ErrorKind) -> Option<Range<usize>> {
    let lines = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => 100,
        _ => 1,
    };
    let mut start = text.get(..at)?.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    for line in text.get(start..)?.split_inclusive(['\n', '\r']).take(lines) {
        let indent = line.len() - line.trim_start_matches([' ', '\t', '-']).len();
        let white = line.get(..indent)?;
        if let Some(tab) = white.find('\t') {
            let tabs = white.get(tab..)?;
            let length = tabs.len() - tabs.trim_start_matches('\t').len();
            return Some(start + tab..start + tab + length);
        }
        start += line.len();
    }
    None
}

/// The message and the help. They quote at most one character of the file, since it may be part of a password.
fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let (message, help) = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "unexpected `:`",
            Some("check the lines above for a missing `:` or a different indentation; quote text that contains `: `"),
        ),
        ErrorKind::SimpleKeyExpected => ("missing `: ` after the key on this line", None),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockSequenceEntry => {
            ("inconsistent indentation", Some("indent all keys of a user equally, and all `- ` equally"))
        }
        ErrorKind::UnclosedQuotedScalar => ("unclosed quote", None),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("text after the closing quote", Some("inside of '…' write '' for a quote, inside of \"…\" write \\\""))
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("invalid escape sequence", Some("write `\\\\` for a backslash, or use single quotes"))
        }
        ErrorKind::UnknownAnchor => {
            ("a value that starts with `*` is a YAML alias, and there is no anchor with this name", Some(QUOTE_VALUE))
        }
        ErrorKind::MissingAnchorOrAliasName => ("a value can't start with `&` or `*`", Some(QUOTE_VALUE)),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => (
            "control characters are not allowed in YAML",
            Some("remove the character, or write it as an escape like \"\\x07\" in double quotes"),
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return (format!("a value can't start with `{character}`"), Some(QUOTE_VALUE));
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("unclosed `{open}`"), None);
        }
        ErrorKind::RecursionLimitExceeded => ("nested too deeply", None),
        other => return (format!("invalid YAML: {other}"), None),
    };
    (message.to_owned(), help)
}
