//! Translates the errors of the YAML parser into messages with advice.

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use super::error::SyntaxError;
use super::redact::is_break;
use super::slice;
use crate::users::is_invisible;

const QUOTE_VALUE: &str = "put the whole value in quotes";

/// How many lines before an error are searched for its cause.
const LOOK_BACK: usize = 20;

pub(super) fn error(text: &str, error: &ScanError) -> SyntaxError {
    let at = error.marker().byte_offset().unwrap_or(usize::MAX);
    let end = text.floor_char_boundary(at.min(text.len()));
    // At the end of the file, point after the last text.
    let at = text.floor_char_boundary(at.min(text.trim_end().len()));
    if let Some(tab) = indenting_tab(text, at, error.kind()) {
        return SyntaxError::new("YAML can't be indented with tabs; use spaces", tab).unparsed();
    }
    if let Some(error) = odd_space_before(text, end) {
        return error;
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

/// The first character that only looks like a space, in the line of `at` or a few lines before it: the parser takes it
/// for text, and reports what follows.
fn odd_space_before(text: &str, at: usize) -> Option<SyntaxError> {
    let mut found = None;
    let mut end = Some(at);
    for _ in 0..=LOOK_BACK {
        let Some(before) = end else { break };
        end = slice(text, ..before).rfind(is_break);
        let start = end.map_or(0, |end| end + 1);
        let length = slice(text, start..).find(is_break).unwrap_or(text.len() - start);
        found = odd_space(text, start..start + length).or(found);
    }
    found
}

/// A space other than U+0020, or an invisible character, in the indentation of a line or key, or after the `:` of a key.
/// YAML takes it for text.
pub(super) fn odd_space(text: &str, line: Range<usize>) -> Option<SyntaxError> {
    let is_odd = |c: char| !c.is_ascii() && (c.is_whitespace() || is_invisible(c));
    let (start, line) = (line.start, slice(text, line));
    let starts_with_odd = |rest: &&str| rest.starts_with(is_odd);
    let rest = line.trim_start_matches([' ', '\t', '-']);
    let value = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').strip_prefix(':');
    let (rest, what) = match value.filter(starts_with_odd) {
        Some(value) => (value, "can't follow the `:` of a key"),
        None => (Some(rest).filter(starts_with_odd)?, "can't indent YAML"),
    };
    let name = match rest.chars().next()? {
        '\u{a0}' => "a no-break space (U+00A0)".to_owned(),
        c => format!("an invisible character (U+{:04X})", u32::from(c)),
    };
    let start = start + line.len() - rest.len();
    let length = rest.len() - rest.trim_start_matches(is_odd).len();
    Some(SyntaxError::new(format!("{name} {what}"), start..start + length).unparsed().help("use spaces"))
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
