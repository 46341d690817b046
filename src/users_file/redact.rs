//! What of a users file may be shown on a terminal, and what is replaced: passwords, above all.
//!
//! Of a parsed file the places of all values are known, and [`Contents::is_public`] decides by key. Of YAML
//! that can't be parsed nothing is known but words, so [`unparsed_line`] shows only the words that
//! are surely harmless: the known keys, and what stands behind a public one; at the first other
//! key, the rest of the line is hidden.

use std::ops::Range;

use serde_json::Value;

use super::Contents;
use crate::users::UserField;

/// A piece of the text of which every column is printed as `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redaction {
    pub span: Range<usize>,
    pub with: char,
}

/// A value, printed as stars.
pub(super) fn value(span: Range<usize>) -> Redaction {
    Redaction { span, with: '*' }
}

/// A comment, left out.
pub(super) fn comment(span: Range<usize>) -> Redaction {
    Redaction { span, with: ' ' }
}

/// What of a node may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// The value of a public key.
    Public,
    /// A place for rows: mappings are read key by key, anything else is hidden.
    Rows,
    /// Inside a value that is hidden as a whole.
    Nothing,
}

impl Visibility {
    /// What may be shown of the value of this key.
    pub fn inside(self, contents: &Contents, key: &str) -> Self {
        if self != Self::Nothing && contents.is_public(key) { Self::Public } else { Self::Nothing }
    }
}

/// Whether a value of a public key may be a password all the same: who is asked whether to change
/// it may have written the new one.
pub(super) fn may_be_password(key: &str, value: &Value) -> bool {
    key == UserField::MustChangePassword.as_str() && !matches!(value, Value::Bool(_) | Value::Null)
}

/// Whether a text speaks of passwords, perhaps because a quote or a line feed before one is
/// missing.
pub(super) fn mentions_password(text: &str) -> bool {
    text.as_bytes().windows(5).any(|window| window.eq_ignore_ascii_case(b"passw"))
}

/// Whether a key looks like one. Others are hidden like values: they come from a quote, a brace or
/// a colon that is missing, or in the wrong place. `{password hunter2, name: Ann}` has a key of two
/// words, without a value.
pub(super) fn is_printable_key(key: &str, has_value: bool) -> bool {
    let spaces = has_value && !mentions_password(key);
    key.chars().count() <= 64 && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c) || (c == ' ' && spaces))
}

/// Puts pieces in order, without overlaps, as [`super::snippet`] needs them.
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

/// How many lines before an unreadable one are asked which key it may belong to.
const LOOK_BACK: usize = 1000;

/// What to hide of the line around `at` when the file couldn't be parsed there.
pub(super) fn unparsed_line(contents: &Contents, text: &str, at: usize) -> Vec<Redaction> {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind(is_break).map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default();
    let line = line.split(is_break).next().unwrap_or_default();
    let open = before
        .get(..start)
        .unwrap_or_default()
        .rsplit(is_break)
        .take(LOOK_BACK)
        .map(|line| words(contents, line, false))
        .find(|words| words.has_key)
        .is_some_and(|words| words.open);
    let found = words(contents, line, open).hidden;
    found.into_iter().map(|span| value(start + span.start..start + span.end)).collect()
}

fn is_break(c: char) -> bool {
    c == '\n' || c == '\r'
}

/// What the words of one line say.
#[derive(Default)]
struct Words {
    hidden: Vec<Range<usize>>,
    has_key: bool,
    /// Whether the line ends inside a value that can be shown.
    open: bool,
}

/// Reads a line word by word; `open` is whether it may continue a value that can be shown.
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
            // The first word of a line without a key: perhaps a key whose colon was forgotten.
            let word = core.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(core.len());
            found.hidden.push(at + word..until);
            found.open = false;
        }
    }
    found
}

/// Where a value begins whose key ends at `at`.
fn behind(line: &str, at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    let value = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
    let value = value.strip_prefix([':', '=']).unwrap_or(value).trim_start();
    line.len() - value.len()
}

/// When nothing behind this word may be shown: how many bytes of the word itself can be.
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
