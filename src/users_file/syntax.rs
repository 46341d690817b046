//! Says in plain words what the YAML parser refuses.

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use super::error::Problem;

const QUOTES: &str = "put the whole value in quotes";

pub(super) fn problem(text: &str, error: &ScanError) -> Problem {
    let at = error.marker().byte_offset().unwrap_or_default();
    // At the end of the file there is nothing to see: point behind the last text.
    let at = text.floor_char_boundary(at.min(text.trim_end().len()));
    if let Some(tab) = indenting_tab(text, at, error.kind()) {
        return Problem::new("a tab can't indent YAML: use spaces", tab).unparsed();
    }
    let place = match error.kind() {
        // The parser names where its scalar begins.
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let at = at + text.get(at..).and_then(|rest| rest.find(*character)).unwrap_or_default();
            at..at + character.len_utf8()
        }
        _ => at..at,
    };
    let (sentence, help) = words(error.kind());
    let problem = Problem::new(sentence, place).unparsed();
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The tab that indents the line of `at`, or a line near it if the parser complains about a tab.
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

/// A sentence, and what helps. Never a piece of the file beyond one character: it may be a
/// password's.
fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let (sentence, help) = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a `:` can't stand here",
            Some("check the lines above for a missing `:` or another indentation; put text with `: ` in quotes"),
        ),
        ErrorKind::SimpleKeyExpected => ("`: ` is missing behind the key on this line", None),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockSequenceEntry => {
            ("this line doesn't fit the lines above it", Some("indent all keys of a user alike, and all `- ` alike"))
        }
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed", None),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "text goes on behind the closing quote",
            Some("inside of '…' write '' for a quote, inside of \"…\" write \\\""),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "a `\\` in this value begins no escape that YAML knows",
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        ErrorKind::UnknownAnchor => {
            ("a value that begins with `*` is a YAML alias, and nothing has that name", Some(QUOTES))
        }
        ErrorKind::MissingAnchorOrAliasName => ("a value can't begin with `&` or `*`", Some(QUOTES)),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => (
            "a control character can't stand in YAML",
            Some("remove it, or write it as an escape like \"\\x07\" in double quotes"),
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return (format!("a value can't begin with `{character}`"), Some(QUOTES));
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("this `{open}` is never closed"), None);
        }
        ErrorKind::RecursionLimitExceeded => ("this is nested too deeply", None),
        other => return (format!("YAML can't be read here: {other}"), None),
    };
    (sentence.to_owned(), help)
}
