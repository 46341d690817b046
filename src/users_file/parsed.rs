//! The result of parsing a file, in every format, and the checks of its top-level keys.

use std::ops::Range;

use serde_json::{Map, Value};

use super::error::SyntaxError;
use super::redact::{self, Redaction, Visibility};
use super::{Contents, FileField, FileRow};

/// Maximum number of errors; parsing stops after that many.
const MAX_ERRORS: usize = 100;
/// Maximum number of users in a file, equal to the upper limit of `batch.max_users`. Also bounds the memory for a file
/// of empty users.
pub(super) const MAX_ROWS: usize = 100_000;

/// Maximum nesting depth; a valid file needs three levels. Bounds recursion.
pub(super) const MAX_DEPTH: usize = 32;

/// The rows of a file, or its errors.
pub(super) struct Parsed {
    pub rows: Vec<FileRow>,
    pub hidden: Vec<Redaction>,
    pub errors: Vec<SyntaxError>,
    /// The columns of a mapping for several files that this file does not have.
    pub absent: Vec<String>,
}

/// The result of parsing a part; an error stops parsing.
pub(super) type Read<T> = Result<T, SyntaxError>;

/// The errors and redactions found while parsing.
pub(super) struct Notes {
    pub contents: &'static Contents,
    pub hidden: Vec<Redaction>,
    pub errors: Vec<SyntaxError>,
    pub absent: Vec<String>,
}

impl Notes {
    pub const fn new(contents: &'static Contents) -> Self {
        Self { contents, hidden: Vec::new(), errors: Vec::new(), absent: Vec::new() }
    }

    /// Adds an error after which parsing can continue; fails if there are too many.
    pub fn note(&mut self, error: SyntaxError) -> Read<()> {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
            return Ok(());
        }
        Err(SyntaxError::new("too many errors; the rest of the file was not read", error.span))
    }

    /// Shows asterisks in place of a range of the text.
    pub fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.hidden.push(redact::value(span));
        }
    }

    /// Whether a key may be shown; hides it otherwise.
    pub fn is_shown(&mut self, key: &str, place: &Range<usize>, has_value: bool) -> bool {
        let shown = redact::is_printable_key(key, has_value);
        if !shown {
            self.hide(place.clone());
        }
        shown
    }

    pub fn into_parsed(self, rows: Vec<FileRow>) -> Parsed {
        let Self { mut hidden, errors, absent, .. } = self;
        redact::tidy(&mut hidden);
        Parsed { rows, hidden, errors, absent }
    }
}

/// Adds a row, up to [`MAX_ROWS`].
pub(super) fn push(rows: &mut Vec<FileRow>, row: FileRow) -> Read<()> {
    if rows.len() == MAX_ROWS {
        let error = SyntaxError::new("a file can have at most 100000 users", row.span);
        return Err(error.help("split it into several files"));
    }
    rows.push(row);
    Ok(())
}

/// A mapping of a row while it is parsed. The first of equal keys is kept.
#[derive(Default)]
pub(super) struct Mapping {
    map: Map<String, Value>,
    fields: Vec<FileField>,
}

impl Mapping {
    /// Adds a key and its value, or reports a duplicate key.
    pub fn add(
        &mut self,
        name: String,
        key: Range<usize>,
        value: FileRow,
        show: Visibility,
        notes: &mut Notes,
    ) -> Read<()> {
        if redact::may_be_password(&name, &value.value) {
            notes.hide(value.span.clone());
        }
        let shown = notes.is_shown(&name, &key, !value.span.is_empty());
        if self.map.contains_key(&name)
            && let Some(first) = self.fields.iter().find(|field| field.name == name)
        {
            let what = if shown && show != Visibility::Nothing { format!("key `{name}`") } else { "key".to_owned() };
            return notes.note(duplicate(&what, key, first.key.clone()));
        }
        self.fields.push(FileField::new(&name, shown, key, value.span));
        self.map.insert(name, value.value);
        Ok(())
    }

    /// Adds the fields of a merged row that the mapping does not have.
    pub fn merge(&mut self, row: FileRow) {
        let Value::Object(mut values) = row.value else { return };
        for field in row.fields {
            let name = field.name.as_ref();
            if let Some(value) = values.remove(name).filter(|_| !self.map.contains_key(name)) {
                self.map.insert(name.to_owned(), value);
                self.fields.push(field);
            }
        }
    }

    pub fn into_row(self, span: Range<usize>) -> FileRow {
        FileRow::object(self.map, span, self.fields)
    }
}

/// The top-level keys of a file; only the list's key is valid.
#[derive(Default)]
pub(super) struct TopLevel {
    /// The byte range of the list's key.
    pub list: Option<Range<usize>>,
    /// Other keys and their byte ranges; a key that must not be shown is empty.
    pub others: Vec<(String, Range<usize>)>,
}

impl TopLevel {
    /// Whether the keys are those of a user in place of the list.
    pub fn is_a_user(&self, contents: &Contents) -> bool {
        let known = |name: &str| contents.field(name).is_some();
        let list = self.list.is_some() || self.others.iter().any(|(name, _)| is_near(name) && !known(name));
        !list && self.others.iter().any(|(name, _)| known(name))
    }

    /// Reports unknown keys, or the missing list with the message `missing` and the help `expected`.
    pub fn check(self, start: usize, missing: &str, expected: String, notes: &mut Notes) -> Read<()> {
        let list = notes.contents.list;
        if self.list.is_none() {
            let near = self.others.iter().find(|(name, _)| is_near(name)).or(self.others.first());
            let (name, key) = near.map_or(("", start..start), |(name, key)| (name.as_str(), key.clone()));
            return notes.note(if is_near(name) {
                unknown(name, key).help(format!("did you mean `{list}`?"))
            } else {
                SyntaxError::new(missing, key).help(expected)
            });
        }
        for (name, key) in self.others {
            notes.note(unknown(&name, key).help(format!("the only key of a users file is `{list}`")))?;
        }
        Ok(())
    }
}

fn unknown(key: &str, place: Range<usize>) -> SyntaxError {
    SyntaxError::new(if key.is_empty() { "unknown key".to_owned() } else { format!("unknown key `{key}`") }, place)
}

/// The error for a repeated key or column.
pub(super) fn duplicate(what: &str, place: Range<usize>, first: Range<usize>) -> SyntaxError {
    SyntaxError::new(format!("duplicate {what}"), place).other(first, "first defined here")
}

/// Whether a key is likely a misspelling of the list's key.
fn is_near(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("user") || key.contains("create")
}
