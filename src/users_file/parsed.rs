//! What the readers of all formats have in common: what comes of a text, and the keys of its top
//! level.

use std::ops::Range;

use super::error::SyntaxError;
use super::redact::{self, Redaction};
use super::{Contents, FileRow};

/// Problems after which reading ends.
const MAX_ERRORS: usize = 100;
/// Users in one file. No server takes more in one batch (`batch.max_users` is bounded alike), and
/// the memory for a file of nothing but empty users is bounded.
const MAX_ROWS: usize = 100_000;

/// How deep values can be nested: a users file is three levels deep. The bound keeps every recursion
/// over values small.
pub(super) const MAX_DEPTH: usize = 32;

/// What came of a text: rows, or problems.
pub(super) struct Parsed {
    pub rows: Vec<FileRow>,
    pub hidden: Vec<Redaction>,
    pub errors: Vec<SyntaxError>,
}

/// The problem that ends the reading.
pub(super) type Read<T> = Result<T, Box<SyntaxError>>;

/// What was found out about a text beside its rows.
pub(super) struct Notes {
    pub contents: &'static Contents,
    pub hidden: Vec<Redaction>,
    pub errors: Vec<SyntaxError>,
}

impl Notes {
    pub const fn new(contents: &'static Contents) -> Self {
        Self { contents, hidden: Vec::new(), errors: Vec::new() }
    }

    /// Keeps a problem that leaves the rest readable, unless there are too many.
    pub fn note(&mut self, error: SyntaxError) -> Read<()> {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
            return Ok(());
        }
        Err(Box::new(SyntaxError::new("too many errors; the rest of the file was not read", error.span)))
    }

    /// Replaces a piece of the text by stars wherever it would be shown.
    pub fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.hidden.push(redact::value(span));
        }
    }

    pub fn into_parsed(self, rows: Vec<FileRow>) -> Parsed {
        let Self { mut hidden, errors, .. } = self;
        redact::tidy(&mut hidden);
        Parsed { rows, hidden, errors }
    }
}

/// Adds a row, up to the most that a file can have.
pub(super) fn push(rows: &mut Vec<FileRow>, row: FileRow) -> Read<()> {
    if rows.len() == MAX_ROWS {
        let error = SyntaxError::new("a file can have at most 100000 users", row.span);
        return Err(Box::new(error.help("split it into several files")));
    }
    rows.push(row);
    Ok(())
}

/// The keys beside and around the list, of which there should be none.
#[derive(Default)]
pub(super) struct TopLevel {
    /// Where the key of the list stands.
    pub list: Option<Range<usize>>,
    /// Other names, and where; a name that can't be printed is empty.
    pub others: Vec<(String, Range<usize>)>,
}

impl TopLevel {
    /// Whether they are those of a user, who stands where the list should be.
    pub fn is_a_user(&self, contents: &Contents) -> bool {
        let known = |name: &str| contents.field(name).is_some();
        let list = self.list.is_some() || self.others.iter().any(|(name, _)| is_near(name) && !known(name));
        !list && self.others.iter().any(|(name, _)| known(name))
    }

    /// Notes what is wrong with them. `missing` and `expected` say so when there is no list in the
    /// file that begins at `start`.
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

/// Something that is there for the second time.
pub(super) fn duplicate(what: &str, place: Range<usize>, first: Range<usize>) -> SyntaxError {
    SyntaxError::new(format!("duplicate {what}"), place).other(first, "first defined here")
}

/// Whether somebody who wrote this key meant that of the list.
fn is_near(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("user") || key.contains("create")
}
