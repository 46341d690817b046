//! The users file of `muster user batch-create -f users.yaml`, and of the commands that change users who exist (then
//! the list stands under `users`, and rows have other fields; see [`Contents`]): reads it, and shows every finding at
//! its place in it. It is YAML, JSON, lines of JSON or CSV ([`FileFormat`]), in a file or from
//! standard input.
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
//! How it is put together: `yaml`, `json` and `csv` make `FileRow`s (a JSON value, and where it, its
//! keys and its values stand) from text; another format needs only such a function. Below them,
//! `node`, `value` and `cells` read the pieces. `show` knows text and ranges of bytes, and no
//! format. `hide` decides what of the file may be shown at all.
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
//!   `lastname`, `title`, `is_sso_user`, `must_change_password` and `permission_level`. Every other
//!   value is printed as `*`, so that `pasword: hunter2` stays a secret too, and so does a
//!   `must_change_password` that is neither true nor false; comments are left out. YAML that can't
//!   be parsed has no known places; there, words decide (see `hide`). JSON and CSV are known up to
//!   the place that can't be read, and hidden from there on.
//! - **`yes`, `no`, `on` and `off` are booleans in `is_sso_user` and `must_change_password` only.**
//!   The vendor's client reads YAML 1.1, where they always are, and where a Norwegian's `title: no`
//!   is refused. Here it is the text that was written.
//! - **A number is what `PyYAML` and JSON both call one**, since it is sent as JSON. `007`, `0x1F`,
//!   `1_000`, `12:30`, `1e5` and dates are the text that was written: turning them into other
//!   digits first would help nobody.
//! - **A value that is only `&word`, and any tag but `!!str`, is refused here.** YAML would read
//!   `password: &secret` as "no password", and `password: !secret` likewise: an account without the
//!   password that somebody wrote down.
//! - **Rows are values, not maps**: `- ann@example.com` is sent too, and the server says that it is
//!   no object.
//! - **A given format wins** over what the file's name says: who gives one knows better. Without
//!   either it is YAML, as for the vendor's client.
//! - **JSON has a reader of its own**, since YAML is no superset of it where it matters: it takes
//!   trailing commas, single quotes and comments, and knows other numbers and escapes. `serde_json`
//!   gives no places of values, and the first of two equal keys is lost. It still reads the escapes
//!   and numbers; a property holds the reader to accept what it accepts, and nothing else.
//! - **CSV is taken apart by a small tokenizer, not by the crate `csv`**, which gives places of rows,
//!   but not of cells, and which accepts quotes that are never closed and text behind a closing
//!   quote: a list that lost its second half in somebody's password would be created.
//! - **A CSV cell is text, and an empty one is no field at all.** Only flags are turned into what they
//!   mean (true, yes, on, 1, …); the server says what is wrong with others.
//! - **Columns are judged here**: each is wrong once for the whole file, not once for each user. So is
//!   the number of cells of a row, without which nobody knows which cell is the password. Such rows
//!   are hidden as a whole, and so are rows that may be shifted (a flag that is none, a line break in
//!   a public cell) and what may be data in the header's place.
//! - **What spreadsheets write besides the users is no mistake**: columns without a name at the end
//!   and rows, as long as all their cells are empty, and a first line like `sep=;`.
//! - **The names of unknown columns are shown if the first row is surely one of names**: made of
//!   short words only, none of which may be a value (a flag, or with digits or capitals inside), or
//!   with a known name among them and a row of the same length below. A first row without any known
//!   name may be somebody's data, and an e-mail address or a flag gives it away.
//! - A CSV finding about a cell points to the cell even where the key is meant: the header would not
//!   tell which user.
//! - Lines that begin with `#` are skipped above the header of a CSV file and nowhere else. RFC 4180
//!   has no comments, and a name can begin with `#`.
//! - **A file has at most 100,000 users**, which is the most that any server takes: 64 MiB of empty
//!   ones would be gigabytes of rows.
//! - A value that comes from a merge (`<<: *defaults`) is underlined where it is written, not where
//!   it is merged.

mod contents;
mod csv;
mod csv_cells;
mod csv_header;
mod error;
mod format;
mod input;
mod json;
mod json_value;
mod parsed;
mod positions;
mod redact;
mod row;
mod snippet;
mod template;
mod yaml;
mod yaml_alias;
mod yaml_errors;
mod yaml_node;
mod yaml_scalar;

use std::fmt;
use std::ops::Range;
use std::path::Path;

use muster_client::RowFinding;
use serde_json::Value;

pub use contents::Contents;
pub use error::{FileError, FormError};
pub use format::FileFormat;
use parsed::Parsed;
use redact::Redaction;
use row::{FileField, FileRow};
use snippet::{Block, Printer, Severity};
pub use template::{TemplateFormat, template};

use crate::users::UserField;

/// No users file is larger: 100,000 rows of YAML are about 15 MB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What standard input is called where a path is printed.
const STDIN: &str = "<stdin>";

/// A users file that has the right form: rows to send, and the text to point into.
pub struct UsersFile {
    path: String,
    name: Option<String>,
    sha256: String,
    text: String,
    rows: Vec<FileRow>,
    hidden: Vec<Redaction>,
}

impl UsersFile {
    /// Reads and parses a file, or standard input for `-`; `path` is printed as given.
    ///
    /// The format is `format`, else what the file's name [says](FileFormat::of), else YAML.
    ///
    /// # Errors
    /// [`FileError::Unreadable`], [`FileError::TooLarge`] for more than [`MAX_BYTES`] (no more than
    /// that is read), [`FileError::Form`] when it isn't a list of users in its format.
    pub fn read(path: &Path, format: Option<FileFormat>, contents: &'static Contents) -> Result<Self, FileError> {
        let (shown, name) = if path == Path::new("-") {
            (STDIN.to_owned(), None)
        } else {
            (path.display().to_string(), path.file_name().map(|name| name.to_string_lossy().into_owned()))
        };
        let format = format.or_else(|| FileFormat::of(path)).unwrap_or(FileFormat::Yaml);
        let input = match input::read(path) {
            Ok(Some(input)) => input,
            Ok(None) => return Err(FileError::TooLarge { path: shown }),
            Err(source) => return Err(FileError::Unreadable { path: shown, source }),
        };
        let text = match String::from_utf8(input.bytes) {
            Ok(text) => text,
            Err(refused) => return Err(error::invalid_utf8(contents, shown, format, &refused)),
        };
        Ok(Self { name, ..Self::from_text(shown, text, input.sha256, format, contents)? })
    }

    /// Parses the text of a file of users who are created; `path` is only printed.
    ///
    /// # Errors
    /// [`FileError::Form`] with every problem of the file's form, or the first one that makes the
    /// rest unreadable.
    #[cfg(test)]
    pub fn parse(path: impl Into<String>, text: String, format: FileFormat) -> Result<Self, FileError> {
        let sha256 = input::sha256(&text);
        Self::from_text(path.into(), text, sha256, format, Contents::CREATED)
    }

    fn from_text(
        path: String,
        mut text: String,
        sha256: String,
        format: FileFormat,
        contents: &'static Contents,
    ) -> Result<Self, FileError> {
        strip_bom(&mut text);
        let Parsed { rows, hidden, errors } = parse_as(contents, format, &text);
        if errors.is_empty() {
            Ok(Self { path, name: None, sha256, text, rows, hidden })
        } else {
            Err(FileError::Form(FormError::new(contents, path, text, hidden, errors)))
        }
    }

    /// The file's name without its folders; `None` for standard input and for a mere text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The SHA-256 of the file's bytes, as they are: 64 hex digits in small letters.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
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

    /// One block of lines for each finding, in file order, an empty line between them, ready for
    /// stderr.
    ///
    /// `colour` adds ANSI sequences; without it nothing but printable text and line feeds comes
    /// out.
    #[must_use]
    pub fn render(&self, findings: &[RowFinding], color: bool) -> String {
        self.render_as(Severity::Error, findings, color)
    }

    /// The same for what is odd and need not be mended.
    #[must_use]
    pub fn render_warnings(&self, findings: &[RowFinding], color: bool) -> String {
        self.render_as(Severity::Warning, findings, color)
    }

    fn render_as(&self, severity: Severity, findings: &[RowFinding], color: bool) -> String {
        let mut blocks: Vec<Block<'_>> = findings.iter().map(|finding| self.block(severity, finding)).collect();
        blocks.sort_by_key(|block| block.place.as_ref().map_or(usize::MAX, |place| place.start));
        Printer::new(&self.path, &self.text, &self.hidden, color).print(&blocks)
    }

    fn block<'a>(&self, severity: Severity, finding: &'a RowFinding) -> Block<'a> {
        let place = self.place(finding.index, finding);
        let other = finding.other_index.and_then(|index| Some((index, self.place(index, finding)?)));
        let named = |name: &str| match self.field(finding.index, finding) {
            Some(field) => field.named,
            None => redact::is_printable_key(name, true),
        };
        let field = finding.field.as_deref().map(|name| if named(name) { name } else { "this key" });
        let title = match (field, &place) {
            (Some(field), Some(_)) => format!("{field}: {}", finding.message),
            (None, Some(_)) => finding.message.clone(),
            (Some(field), None) => format!("users[{}].{field}: {}", finding.index, finding.message),
            (None, None) => format!("users[{}]: {}", finding.index, finding.message),
        };
        Block {
            severity,
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
    fn place(&self, index: usize, finding: &RowFinding) -> Option<Range<usize>> {
        Some(match self.field(index, finding) {
            Some(field) if field.value.is_empty() || finding.code == "unknown_field" => field.key.clone(),
            Some(field) => field.value.clone(),
            None => self.rows.get(index)?.span.clone(),
        })
    }

    /// The field of row `index` that a finding is about, if it is there.
    fn field(&self, index: usize, finding: &RowFinding) -> Option<&FileField> {
        let (row, name) = (self.rows.get(index)?, finding.field.as_ref()?);
        let field = row.field(name);
        if name == UserField::PasswordHash.as_str() && field.is_none_or(|field| field.value.is_empty()) {
            return row.field(UserField::Password.as_str()).or(field);
        }
        field
    }
}

/// The reader of a format.
fn parse_as(contents: &'static Contents, format: FileFormat, text: &str) -> Parsed {
    match format {
        FileFormat::Yaml => yaml::parse(contents, text),
        FileFormat::Json => json::parse(contents, text),
        FileFormat::Ndjson => json::parse_lines(contents, text),
        FileFormat::Csv => csv::parse(contents, text),
    }
}

/// Takes a byte order mark away; gives its length.
fn strip_bom(text: &mut String) -> usize {
    let length = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    text.drain(..length);
    length
}

/// Without the text and the values: they hold passwords.
impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersFile").field("path", &self.path).field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
