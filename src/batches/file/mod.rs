//! The users file of `muster user batch-create -f users.yaml`: reads it, and shows every finding at
//! its place in it.
//!
//! The file is checked in two steps, by two judges. This module judges only the *form*: is it text,
//! is it YAML, is there a list under `create_users`. What is inside the rows goes to the server
//! **as it is** (wrong types, missing and unknown keys included), because only then one report
//! covers everything. The report names rows by index and fields by name; [`UsersFile::render`]
//! turns each of its findings back into a path, a line, a column and an underlined piece of the
//! file.
//!
//! ```text
//! error[email_taken]: email: already exists
//!   --> users.yaml:14:12
//!    |
//! 14 |     email: ann@example.com
//!    |            ^^^^^^^^^^^^^^^
//! ```
//!
//! How it is put together: `yaml` makes `Row`s (a JSON value, and where it, its keys and its
//! values stand) from text; another format needs only such a function. `show` knows text and
//! ranges of bytes, and no format. `hide` decides what of the file may be shown at all.
//!
//! # Decisions
//!
//! - **`granit-parser`, not serde.** It is the parser below serde-saphyr, and its events carry the
//!   byte range and the style of every key and value. Through serde we would need `Spanned` around
//!   every value of an unknown shape, would not see whether a scalar was quoted, and would get keys
//!   without a place. A tree from events is some 250 lines, and its limits are our own
//!   (serde-saphyr's default budget stops at 250,000 nodes; a file of 100,000 rows has 1.2
//!   million).
//! - **Shown is only what is known to be harmless**: keys, and the values of `name`, `email`,
//!   `lastname`, `title` and `is_sso_user`. Every other value is printed as `*`, so that `pasword:
//!   hunter2` stays a secret too, and comments are left out. A file that can't be parsed has no
//!   known places; there, words decide (see `hide`).
//! - **`yes`, `no`, `on` and `off` are booleans in `is_sso_user` only.** The vendor's client reads
//!   YAML 1.1, where they always are, and where a Norwegian's `title: no` is refused. Here it is
//!   the text that was written.
//! - **A number is what `PyYAML` and JSON both call one**, since it is sent as JSON. `007`, `0x1F`,
//!   `1_000`, `12:30`, `1e5` and dates are the text that was written: turning them into other
//!   digits first would help nobody.
//! - **A value that is only `&word`, and any tag but `!!str`, is refused here.** YAML would read
//!   `password: &secret` as "no password", and `password: !secret` likewise: an account without the
//!   password that somebody wrote down.
//! - **Rows are values, not maps**: `- ann@example.com` is sent too, and the server says that it is
//!   no object.
//! - A value that comes from a merge (`<<: *defaults`) is underlined where it is written, not where
//!   it is merged.

mod alias;
mod error;
mod hide;
mod node;
mod positions;
mod scalar;
mod show;
mod syntax;
mod yaml;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

pub use error::{FileError, FormError};
use hide::Hidden;
use show::{Block, Printer};

/// No users file is larger: 100,000 rows are about 15 MB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A users file that has the right form: rows to send, and the text to point into.
pub struct UsersFile {
    path: String,
    text: String,
    rows: Vec<Row>,
    hidden: Vec<Hidden>,
}

/// One entry of the list, in whatever format it was written.
#[derive(Clone)]
struct Row {
    /// What is sent.
    value: Value,
    /// Where it stands, in bytes of the text.
    span: Range<usize>,
    /// Where its keys and values stand, in order of the name; empty unless it is a mapping.
    fields: Vec<Field>,
}

#[derive(Clone)]
struct Field {
    name: String,
    /// Whether the name can be printed; see [`hide::is_word`].
    named: bool,
    key: Range<usize>,
    /// Empty when nothing is written after the key.
    value: Range<usize>,
}

impl Row {
    /// A value without fields.
    fn new(value: Value, span: Range<usize>) -> Self {
        Self { value, span, fields: Vec::new() }
    }
}

/// One entry of the server's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which row, counted from 0.
    pub index: usize,
    /// Which key of the row; `None` when the row as a whole is meant.
    pub field: Option<String>,
    /// Stable name, such as `email_taken`. `unknown_field` underlines the key instead of the value.
    pub code: String,
    /// The sentence, without the field's name.
    pub message: String,
    /// The other row of a pair, such as the first use of an e-mail address.
    pub other_index: Option<usize>,
}

impl UsersFile {
    /// Reads and parses a file; `path` is printed as given.
    ///
    /// # Errors
    /// [`FileError::Unreadable`], [`FileError::TooLarge`] for more than [`MAX_BYTES`] (no more than
    /// that is read), [`FileError::Form`] when it isn't a list of users in YAML.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let unreadable = |source: io::Error| FileError::Unreadable { path: shown.clone(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) {
            let text = String::from_utf8(bytes).map_err(|refused| error::not_utf8(&shown, &refused))?;
            Self::parse(shown, text)
        } else {
            Err(FileError::TooLarge { path: shown })
        }
    }

    /// Parses the text of a file; `path` is only printed.
    ///
    /// # Errors
    /// [`FileError::Form`] with every problem of the file's form, or the first one that makes the
    /// rest unreadable.
    pub fn parse(path: impl Into<String>, text: String) -> Result<Self, FileError> {
        let path = path.into();
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let parsed = yaml::parse(&text);
        if parsed.problems.is_empty() {
            Ok(Self { path, text, rows: parsed.rows, hidden: parsed.hidden })
        } else {
            Err(FileError::Form(FormError::new(path, text, parsed.hidden, parsed.problems)))
        }
    }

    /// The rows in the order of the file, as they are to be sent. Mostly objects, but nothing was
    /// checked.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.rows.iter().map(|row| &row.value)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the list is empty, which the contract allows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One block of lines for each finding, in file order, an empty line between them, ready for
    /// stderr.
    ///
    /// `colour` adds ANSI sequences; without it nothing but printable text and line feeds comes
    /// out.
    #[must_use]
    pub fn render(&self, findings: &[Finding], colour: bool) -> String {
        let mut blocks: Vec<Block<'_>> = findings.iter().map(|finding| self.block(finding)).collect();
        blocks.sort_by_key(|block| block.place.as_ref().map_or(usize::MAX, |place| place.start));
        Printer::new(&self.path, &self.text, &self.hidden, colour).print(&blocks)
    }

    fn block<'a>(&self, finding: &'a Finding) -> Block<'a> {
        let place = self.place(finding.index, finding);
        let other = finding.other_index.and_then(|index| Some((index, self.place(index, finding)?)));
        let named = |name: &str| match self.field(finding.index, finding) {
            Some(field) => field.named,
            None => hide::is_word(name, true),
        };
        let field = finding.field.as_deref().map(|name| if named(name) { name } else { "this key" });
        let title = match (field, &place) {
            (Some(field), Some(_)) => format!("{field}: {}", finding.message),
            (None, Some(_)) => finding.message.clone(),
            (Some(field), None) => format!("users[{}].{field}: {}", finding.index, finding.message),
            (None, None) => format!("users[{}]: {}", finding.index, finding.message),
        };
        Block {
            title,
            code: &finding.code,
            place,
            other: other.map(|(index, place)| {
                (place, if index < finding.index { "first used here" } else { "also used here" })
            }),
            help: None,
        }
    }

    /// What to underline in row `index` for a finding: the value, the key, or the row's beginning.
    fn place(&self, index: usize, finding: &Finding) -> Option<Range<usize>> {
        Some(match self.field(index, finding) {
            Some(field) if field.value.is_empty() || finding.code == "unknown_field" => field.key.clone(),
            Some(field) => field.value.clone(),
            None => self.rows.get(index)?.span.clone(),
        })
    }

    /// The field of row `index` that a finding is about, if it is there.
    fn field(&self, index: usize, finding: &Finding) -> Option<&Field> {
        let (row, name) = (self.rows.get(index)?, finding.field.as_ref()?);
        let found = row.fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        row.fields.get(found)
    }
}

/// Without the text and the values: they hold passwords.
impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersFile").field("path", &self.path).field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
