//! Redaction: hides everything in excerpts of a users file that may be a password.
//!
//! In parsed text, [`Contents::is_public`] decides by key. For a line of YAML that can't be parsed, [`unparsed_line`]
//! shows only known keys and the values of public keys; from the first other key on, it hides the rest of the line.

use std::ops::Range;

use serde_json::Value;

use super::{Contents, slice};
use crate::field::UserField;

/// A range of the text that is shown as a repeated character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redaction {
    pub span: Range<usize>,
    pub with: char,
}

/// Shows a value as asterisks.
pub(super) fn value(span: Range<usize>) -> Redaction {
    Redaction { span, with: '*' }
}

/// Shows a comment as spaces.
pub(super) fn comment(span: Range<usize>) -> Redaction {
    Redaction { span, with: ' ' }
}

/// What may be shown of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// Everything: the value of a public key.
    Public,
    /// Mappings by key, nothing else: a place for rows.
    Rows,
    /// Nothing: inside a hidden value.
    Nothing,
}

impl Visibility {
    /// What may be shown of the value of `key`.
    pub fn inside(self, contents: &Contents, key: &str) -> Self {
        if self != Self::Nothing && contents.is_public(key) { Self::Public } else { Self::Nothing }
    }
}

/// Whether the value of a public key may be a password: users may write a new password as the value of
/// `must_change_password`.
pub(super) fn may_be_password(key: &str, value: &Value) -> bool {
    key == UserField::MustChangePassword.as_str() && !matches!(value, Value::Bool(_) | Value::Null)
}

/// Whether a text mentions passwords, such as after a missing quote or line feed.
pub(super) fn mentions_password(text: &str) -> bool {
    text.as_bytes().windows(5).any(|window| window.eq_ignore_ascii_case(b"passw"))
}

/// Whether a key may be shown. Others are hidden like values: they result from a missing or misplaced quote, brace or
/// colon. `{password hunter2, name: Ann}` has the key `password hunter2`, without a value.
pub(super) fn is_printable_key(key: &str, has_value: bool) -> bool {
    let spaces = has_value && !mentions_password(key);
    key.chars().count() <= 64 && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c) || (c == ' ' && spaces))
}

/// Sorts redactions and merges overlaps, as [`super::snippet`] requires.
pub(super) fn tidy(hidden: &mut Vec<Redaction>) {
    hidden.retain(|piece| !piece.span.is_empty());
    hidden.sort_by_key(|piece| piece.span.start);
    hidden.dedup_by(|next, piece| {
        let overlap = next.span.start < piece.span.end;
        if overlap {
            piece.span.end = piece.span.end.max(next.span.end);
            piece.with = if next.with == '*' { '*' } else { piece.with };
        }
        overlap
    });
}

/// How many lines before an unparsed line are searched for its key.
const LOOK_BACK: usize = 1000;

/// The redactions of an unparsed line, which contains `at`.
pub(super) fn unparsed_line(contents: &Contents, text: &str, at: usize) -> Vec<Redaction> {
    let before = slice(text, ..at);
    let start = before.rfind(is_break).map_or(0, |end| end + 1);
    // `split` has at least one item.
    let line = slice(text, start..).split(is_break).next().unwrap_or("");
    let open = slice(before, ..start)
        .rsplit(is_break)
        .take(LOOK_BACK)
        .map(|line| words(contents, line, false))
        .find(|words| words.has_key)
        .is_some_and(|words| words.open);
    let found = words(contents, line, open).hidden;
    found.into_iter().map(|span| value(start + span.start..start + span.end)).collect()
}

pub(super) fn is_break(c: char) -> bool {
    c == '\n' || c == '\r'
}

/// The result of scanning a line.
#[derive(Default)]
struct Words {
    hidden: Vec<Range<usize>>,
    has_key: bool,
    /// Whether the line ends inside a public value.
    open: bool,
}

/// Scans a line word by word; `open` is whether it may continue a public value.
fn words(contents: &Contents, line: &str, open: bool) -> Words {
    let mut found = Words { open, ..Words::default() };
    let mut end = 0;
    for piece in line.split_inclusive(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '[' | ':')) {
        let start = end;
        end += piece.len();
        let core = piece.trim_matches(|c: char| c.is_whitespace() || ",{[:\"'-?]}".contains(c));
        let key = piece.ends_with(':');
        if core.is_empty() && !key {
            continue;
        }
        let at = start + piece.find(core).unwrap_or_default();
        let until = start + piece.trim_end().len();
        let known =
            (contents.is_public(core) && core != UserField::MustChangePassword.as_str()) || core == contents.list;
        found.has_key |= key;
        let quoted = piece.ends_with("\":");
        let next = line.get(end..).and_then(|rest| rest.chars().next());
        if key && known && (quoted || next.is_none_or(char::is_whitespace)) {
            found.open = true;
        } else if let Some(shown) = secret(core, key, found.open) {
            found.hidden.push(behind(line, at + shown)..line.len());
            found.open = false;
            found.has_key = true;
            return found;
        } else if !known && !found.open {
            found.hidden.push(start..until);
        } else if !found.has_key {
            // The first word of a line without a key: possibly a key without its colon.
            let word = core.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(core.len());
            found.hidden.push(at + word..until);
            found.open = false;
        }
    }
    found
}

/// The start of the value of a key that ends at `at`.
fn behind(line: &str, at: usize) -> usize {
    let rest = slice(line, at..);
    let value = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
    let value = value.strip_prefix([':', '=']).unwrap_or(value).trim_start();
    line.len() - value.len()
}

/// If nothing after this word may be shown: how many bytes of the word may be.
fn secret(core: &str, key: bool, open: bool) -> Option<usize> {
    let lower = core.to_ascii_lowercase();
    for word in [UserField::PasswordHash, UserField::Password].map(UserField::as_str) {
        if lower.starts_with(word) {
            return Some(word.len());
        }
    }
    let found = ["pass", "pwd"].iter().filter_map(|word| lower.find(word)).min();
    match found {
        Some(_) if key && open => Some(core.len()),
        Some(at) => Some(at),
        None if core.starts_with('#') => Some(0),
        None if key => Some(if open { core.len() } else { 0 }),
        None => None,
    }
}
