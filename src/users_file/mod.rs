//! Users files: `muster user batch-create -f users.yaml`, and the commands that change existing users (see
//! [`Contents`]). Parses YAML, JSON, JSON lines, CSV and workbooks of Excel ([`FileFormat`]), and renders findings at their
//! places.
//!
//! This module checks only the *form* of a file: whether it is text in its format, with a list under the expected key.
//! The rows are sent to the server **unchanged**, wrong types and unknown fields included, so that one report covers
//! everything. The report names rows by index and fields by name; [`UsersFile::render`] maps each finding to a path, a
//! line, a column or a cell, and an underlined range.
//!
//! ```text
//! error[email_taken]: email: already exists
//!   --> users.yaml:14:12
//!    |
//! 14 |     email: ann@example.com
//!    |            ^^^^^^^^^^^^^^^
//! ```
//!
//! `yaml`, `json`, `csv` and `xlsx` parse a file into `FileRow`s: a JSON value and the byte ranges of its keys and values in
//! the text of a `document`. Another format needs only one such function. CSV and workbooks are `table`s: a `header` names
//! the columns. `snippet` renders excerpts, independent of the format. `redact` decides what may be shown. `convert` makes a
//! users file from an export of another system, `export` one of existing users. `sheet` is a file while a person corrects it on a page.
//!
//! # Decisions
//!
//! - **`granit-parser`, not serde.** It is the parser below serde-saphyr; its events have the byte range and the style of
//!   every key and value. Serde would need `Spanned` around every value, hides whether a scalar was quoted, and has no
//!   ranges for keys. Converting events takes some 250 lines, with limits of our own: serde-saphyr's default budget is
//!   250,000 nodes, and a file of 100,000 rows has 1.2 million.
//! - **Only values that can't be secrets are shown**: keys, and the values of known fields other than `password` and
//!   `password_hash`. All other values are shown as `*`, so that `pasword: hunter2` stays secret, and so does a
//!   `must_change_password` that is not a boolean. Comments are hidden. For lines of YAML that can't be parsed, see
//!   `redact`. JSON and CSV are hidden from a syntax error on.
//! - **`yes`, `no`, `on` and `off` are booleans in `is_sso_user` and `must_change_password` only.** Anyscale's client
//!   reads YAML 1.1, where they are booleans everywhere, so that it rejects `title: no`. Here that is text.
//! - **A number is what both `PyYAML` and JSON accept**, since it is sent as JSON. `007`, `0x1F`, `1_000`, `12:30`, `1e5`
//!   and dates are text: a conversion would change the digits.
//! - **A value that is only `&word`, and any tag but `!!str`, is an error.** YAML would read `password: &secret` and
//!   `password: !secret` as an account without a password.
//! - **A comment in place of a value, or behind an unquoted secret, is an error**: YAML would read `password: #x` as an
//!   account without a password, and `password: a #b` as the password `a`. Comments behind other values, and behind `null`
//!   and quoted secrets, take nothing away.
//! - **`<<` twice in a mapping is an error**, as any key is. YAML leaves the result open; in `PyYAML`, and therefore in
//!   Anyscale's client, the last one wins, elsewhere the first.
//! - **Rows are values, not maps**: `- ann@example.com` is sent too, and the server reports that it is not an object.
//! - **An explicit format overrides the file extension.** Without either, the format is YAML, as for Anyscale's client. A
//!   workbook is recognized by its contents before its extension, since no text begins like one.
//! - **JSON has its own parser.** YAML is not a superset in practice: it accepts trailing commas, single quotes and
//!   comments, and has other numbers and escapes. `serde_json` has no positions and drops the first of two equal keys. It
//!   still parses escapes and numbers, and a property test compares the parser with it.
//! - **CSV has its own tokenizer.** The crate `csv` has positions of rows but not of cells, and accepts unclosed quotes
//!   and text after a closing quote: the second half of a list could end up in a password.
//! - **The cell of a table is text, and a blank cell is a missing field.** White space and zero-width characters around a cell are
//!   dropped, since nobody sees them in a table, but not around a password: nobody but its user knows whether they are
//!   part of it. A row of blank cells is no row.
//! - **The apostrophe before a formula is taken away** (`'+ada@example.com`), because muster writes it into CSV. A name or
//!   title that begins with `'=` or the like is written with two. Passwords are not changed: muster never writes them.
//! - **Flags in CSV are words**: true, yes, on, 1; y and t, which databases write; and TRUE in the languages in which
//!   spreadsheets translate it (`WAHR`, `VRAI`, …), because the administrator typed TRUE and never saw the word. `ja` or
//!   `oui` are no booleans of any program. The server reports invalid flags; the words are named below its message, since
//!   only the command line knows that the file is CSV, where everything is text.
//! - **CSV columns are checked here**, once for the file instead of once per user, and so is the number of cells in a row,
//!   without which any cell may be the password. Rows of the wrong length are hidden completely, and so are rows that may
//!   be shifted (an invalid flag, a line break in a public cell), if the table has a column for secrets or an unknown one,
//!   and a header that may be data.
//! - **Artifacts of spreadsheets are accepted**: unnamed columns at the end and rows, as long as all their cells are
//!   blank, a first line such as `sep=;`, and comments in quotes.
//! - **The separator is the one by which the most columns are known**, `|` included: a comma in a header says little.
//! - **Columns are known regardless of case and of invisible characters.** Near misses, such as `E-Mail` or `First Name`,
//!   are only suggested: `Name` may be a last name, and a wrong guess would create wrong accounts. `--map` accepts them.
//! - **A column is left out only if `--ignore` names it**, and its cells are hidden: a column that nobody expected may be
//!   a misspelled `password`. A mapping that does not fit the file is an error, since it was made for another one.
//! - **A file that only names users can be one of muster's own lists**, such as `muster user list -o csv`: the user is `user`, else
//!   `user_id`, else `email`, and the other fields of the lists are left out. They can't be meant as changes there.
//! - **Names of unknown columns are shown only if the first row is certainly a header**: it consists of short words that
//!   can't be values (flags, or with digits or inner capitals), or has a known name and a row of the same length below.
//! - A CSV finding points to the cell even if it is about the key: the header would not identify the user.
//! - Rows that start with `#` are comments above the header of a CSV file only. RFC 4180 has no comments, and a name can
//!   start with `#`.
//! - **A file has at most 100,000 users**, the upper limit of any server: 64 MiB of empty users would become gigabytes of
//!   rows.
//! - **Findings with the same code, field and message are one block**, with [`MAX_EXCERPTS`] excerpts, the positions of
//!   some more, and their number: a column with a foreign word would be 60,000 lines on the terminal. [`LocatedFinding`]s
//!   are all of them. The errors in the form of a file are not grouped: there are at most 100.
//! - A value merged by `<<: *defaults` is underlined where it is written, not where it is merged.

mod columns;
mod contents;
mod convert;
mod csv;
mod csv_cells;
mod csv_text;
mod document;
mod error;
mod export;
mod format;
mod formula;
mod header;
mod input;
mod json;
mod json_value;
mod located;
mod near;
mod other_kind;
mod parsed;
mod positions;
mod redact;
mod row;
mod sheet;
mod snippet;
mod table;
mod template;
mod xlsx;
mod yaml;
mod yaml_alias;
mod yaml_errors;
mod yaml_node;
mod yaml_scalar;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::slice::SliceIndex;

use muster_client::RowFinding;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use columns::ColumnMap;
pub use contents::Contents;
pub use convert::{ConvertError, Options as ConvertOptions, Source, convert};
pub use csv_text::csv_text;
use document::Document;
use error::SyntaxError;
pub use error::{FileError, FormError};
pub use export::{EXPORT_COLUMNS, ExportedUser};
pub use format::FileFormat;
pub use located::{INVALID_FILE, LocatedFinding};
pub use other_kind::OtherKind;
use parsed::Parsed;
use row::{FileField, FileRow};
pub(crate) use sheet::{Encoding, Meaning, Recognized, Repair, Sheet, SheetColumn, SheetError, SheetFinding, Shown};
use snippet::{Block, Level, Printer};
pub use template::{TemplateFormat, template};
pub use xlsx::WorkbookError;

use crate::field::UserField;
use crate::users::attributes;

/// Maximum size of a users file; 100,000 rows of YAML are about 15 MB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Maximum number of excerpts of equal findings.
const MAX_EXCERPTS: usize = 3;
/// Maximum number of places of equal findings that are shown, excerpts included.
pub const MAX_PLACES: usize = 23;

/// The path shown for standard input.
const STDIN: &str = "<stdin>";

/// A users file with a valid form: the rows to send, and the text for excerpts.
pub struct UsersFile {
    name: Option<String>,
    sha256: String,
    format: FileFormat,
    document: Document,
    rows: Vec<FileRow>,
    absent_columns: Vec<String>,
}

impl UsersFile {
    /// Reads and parses a file, or standard input for `-`; messages show `path` as given.
    ///
    /// A workbook is recognized by its contents. Otherwise, the format is `format`, else that of the
    /// [file extension](FileFormat::of), else YAML. `columns` are those of a CSV file or a workbook.
    ///
    /// # Errors
    /// [`FileError::Unreadable`]; [`FileError::TooLarge`] for more than [`MAX_BYTES`]; [`FileError::OtherKind`],
    /// [`FileError::Workbook`] or [`FileError::Form`] if the file is not a list of users in its format;
    /// [`FileError::NoColumns`] or [`FileError::NoSheets`] if `columns` do not apply to the format.
    pub fn read(
        path: &Path,
        format: Option<FileFormat>,
        contents: &'static Contents,
        columns: &ColumnMap,
    ) -> Result<Self, FileError> {
        let (shown, name) = if path == Path::new("-") {
            (STDIN.to_owned(), None)
        } else {
            (path.display().to_string(), path.file_name().map(|name| name.to_string_lossy().into_owned()))
        };
        let bytes = match input::read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(FileError::TooLarge { path: shown }),
            Err(source) => return Err(FileError::Unreadable { path: shown, source }),
        };
        let by_content = xlsx::is_workbook(&bytes).then_some(FileFormat::Xlsx);
        let format = format.or(by_content).or_else(|| FileFormat::of(path));
        let file = Self::parsed(shown, bytes, format, contents, columns);
        Ok(Self { name, ..file? })
    }

    fn parsed(
        shown: String,
        bytes: Vec<u8>,
        format: Option<FileFormat>,
        contents: &'static Contents,
        columns: &ColumnMap,
    ) -> Result<Self, FileError> {
        let format = format.unwrap_or(FileFormat::Yaml);
        if !columns.is_empty() && !matches!(format, FileFormat::Csv | FileFormat::Xlsx) {
            return Err(FileError::NoColumns { path: shown });
        }
        if columns.sheet().is_some() && format != FileFormat::Xlsx {
            return Err(FileError::NoSheets { path: shown });
        }
        if format == FileFormat::Xlsx {
            return Self::from_workbook(shown, bytes, contents, columns);
        }
        if let Some(kind) = OtherKind::of_bytes(&bytes) {
            return Err(FileError::OtherKind { path: shown, kind });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::from_text(shown, text, format, contents, columns),
            Err(error) => Err(error::invalid_utf8(contents, columns, shown, format, &error)),
        }
    }

    /// Parses a file that was sent. Without a name, it is a table that was pasted; otherwise, the format is as for [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of_bytes(name: Option<&str>, bytes: Vec<u8>, contents: &'static Contents) -> Result<Self, FileError> {
        let path = Path::new(name.unwrap_or("list.csv"));
        let shown = path.display().to_string();
        let by_content = xlsx::is_workbook(&bytes).then_some(FileFormat::Xlsx);
        let format = by_content.or_else(|| FileFormat::of(path));
        let file = Self::parsed(shown, bytes, format, contents, &ColumnMap::default());
        Ok(Self { name: name.map(str::to_owned), ..file? })
    }

    /// Parses the text of a file of new users; `path` is only shown.
    ///
    /// # Errors
    /// [`FileError::OtherKind`]; [`FileError::Form`] with all errors up to the first one after which parsing can't
    /// continue.
    #[cfg(test)]
    pub fn parse(path: impl Into<String>, text: String, format: FileFormat) -> Result<Self, FileError> {
        Self::from_text(path.into(), text, format, Contents::CREATED, &ColumnMap::default())
    }

    fn from_text(
        path: String,
        mut text: String,
        format: FileFormat,
        contents: &'static Contents,
        columns: &ColumnMap,
    ) -> Result<Self, FileError> {
        let sha256 = hex::encode(Sha256::digest(&text));
        strip_bom(&mut text);
        let parsed = parse_as(contents, columns, format, &text);
        if columns.is_empty()
            && let Some(kind) = OtherKind::of_text(contents, format, &text, &parsed)
        {
            return Err(FileError::OtherKind { path, kind });
        }
        let Parsed { rows, hidden, errors, absent } = parsed;
        let document = Document { path, text, hidden, sheet: None };
        let file = Self { name: None, sha256, format, document, rows, absent_columns: absent };
        file.without_errors(contents, errors)
    }

    fn from_workbook(
        path: String,
        bytes: Vec<u8>,
        contents: &'static Contents,
        columns: &ColumnMap,
    ) -> Result<Self, FileError> {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let sheet = match xlsx::read(contents, columns, &bytes) {
            Ok(sheet) => sheet,
            Err(error) => {
                let kind = matches!(error, WorkbookError::NoWorkbook)
                    .then(|| OtherKind::of_no_workbook(contents, &bytes))
                    .flatten();
                return Err(match kind {
                    Some(kind) => FileError::OtherKind { path, kind },
                    None => FileError::Workbook { path, error },
                });
            }
        };
        drop(bytes);
        let xlsx::Sheet { text, cells, parsed: Parsed { rows, hidden, errors, absent } } = sheet;
        let document = Document { path, text, hidden, sheet: Some(Box::new(cells)) };
        let file = Self { name: None, sha256, format: FileFormat::Xlsx, document, rows, absent_columns: absent };
        file.without_errors(contents, errors)
    }

    /// The file, unless its form has errors.
    fn without_errors(self, contents: &Contents, errors: Vec<SyntaxError>) -> Result<Self, FileError> {
        if errors.is_empty() { Ok(self) } else { Err(FileError::Form(FormError::new(contents, self.document, errors))) }
    }

    /// The file name without directories; `None` for standard input.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The columns of a mapping for several files that this file does not have.
    #[must_use]
    pub fn absent_columns(&self) -> &[String] {
        &self.absent_columns
    }

    /// The SHA-256 of the file in lower-case hex digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The rows to send, in file order. They are unchecked: a row may be any JSON value.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.rows.iter().map(|row| &row.value)
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Turns empty cells of fields that can be removed into null.
    pub fn clear_empty(&mut self) {
        for row in &mut self.rows {
            let Value::Object(values) = &mut row.value else { continue };
            let is_cleared = |field: &&FileField| {
                let field = UserField::find(UserField::REMOVABLE, &field.name);
                field.is_some_and(|field| !values.contains_key(field.as_str()))
            };
            let cleared: Vec<String> =
                row.fields.iter().filter(is_cleared).map(|field| field.name.to_string()).collect();
            values.extend(cleared.into_iter().map(|name| (name, Value::Null)));
            let empty = row.fields.iter().filter_map(|field| field.name.strip_prefix(attributes::PREFIX));
            let empty: Vec<&str> = empty.collect();
            if empty.is_empty() {
                continue;
            }
            let custom = values.entry(UserField::Attributes.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(custom) = custom {
                for key in empty {
                    custom.entry(key).or_insert(Value::Null);
                }
            }
        }
    }

    /// Renders findings in file order, separated by empty lines, for standard error. Equal findings on several rows are one
    /// block with the first places. Without `color`, the text has no control characters but line feeds.
    #[must_use]
    pub fn render(&self, findings: &[RowFinding], color: bool) -> String {
        self.render_as(&Level::ERROR, findings, color)
    }

    /// Renders warnings in the same way.
    #[must_use]
    pub fn render_warnings(&self, findings: &[RowFinding], color: bool) -> String {
        self.render_as(&Level::WARNING, findings, color)
    }

    fn render_as(&self, level: &Level<'static>, findings: &[RowFinding], color: bool) -> String {
        let printer = Printer::new(&self.document, color);
        let blocks: Vec<Block<'_>> =
            self.groups(findings).iter().map(|group| self.block(level.clone(), group, &printer)).collect();
        printer.print(&blocks)
    }

    /// The findings in file order, those with the same code, field and message together.
    fn groups<'a>(&self, findings: &'a [RowFinding]) -> Vec<Vec<&'a RowFinding>> {
        let mut findings: Vec<&RowFinding> = findings.iter().collect();
        findings
            .sort_by_cached_key(|finding| self.place(finding.index, finding).map_or(usize::MAX, |place| place.start));
        let mut groups: Vec<Vec<&RowFinding>> = Vec::new();
        let mut numbers = HashMap::new();
        for finding in findings {
            let title = self.title(finding, &finding.shared_message());
            let number = *numbers.entry((finding.code.as_str(), title)).or_insert(groups.len());
            match groups.get_mut(number) {
                Some(group) => group.push(finding),
                None => groups.push(vec![finding]),
            }
        }
        groups
    }

    /// The block of equal findings.
    fn block<'a>(&self, level: Level<'static>, group: &[&'a RowFinding], printer: &Printer<'_>) -> Block<'a> {
        let shown = group.iter().take(MAX_EXCERPTS);
        let mut places = shown.flat_map(|finding| {
            let other = finding.other_index.and_then(|index| Some((index, self.place(index, finding)?)));
            let label = |index| if index < finding.index { "first used here" } else { "also used here" };
            let place = self.place(finding.index, finding).map(|place| (place, None));
            place.into_iter().chain(other.map(|(index, place)| (place, Some(label(index)))))
        });
        let place = places.next().map(|(place, _)| place);
        let others = places.collect();
        let (code, title) = match group {
            [] => ("", String::new()),
            [finding] => (finding.code.as_str(), self.title(finding, &self.message(finding, printer.places()))),
            [finding, ..] => {
                let title = self.title(finding, &finding.shared_message());
                (finding.code.as_str(), format!("{title} ({} rows)", group.len()))
            }
        };
        let help = group.first().and_then(|finding| self.help(finding));
        // The title of a single finding has the suggestion.
        let suggestion = group.first().filter(|_| group.len() > 1).and_then(|finding| finding.suggestion());
        let suggestion = suggestion.map(|value| Cow::from(format!("did you mean {value} in the first of them?")));
        let help = help.map(Cow::from).or(suggestion);
        Block { level, title, code, place, others, note: self.further_places(group, printer), help }
    }

    /// The places of equal findings that have no excerpt.
    fn further_places(&self, group: &[&RowFinding], printer: &Printer<'_>) -> Option<String> {
        let rest = group.get(MAX_EXCERPTS..).filter(|rest| !rest.is_empty())?;
        let places = rest.iter().take(MAX_PLACES - MAX_EXCERPTS).filter_map(|finding| {
            let place = self.place(finding.index, finding)?;
            Some(printer.position(place.start))
        });
        let places = places.collect::<Vec<_>>().join(", ");
        let more = group.len().saturating_sub(MAX_PLACES);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        Some(format!("also at {places}{more}"))
    }

    /// What a finding says: the field and the message.
    fn title(&self, finding: &RowFinding, message: &str) -> String {
        let field = finding.field.as_deref().map(|name| if self.is_shown(finding, name) { name } else { "this key" });
        match (field, self.rows.get(finding.index)) {
            (Some(field), Some(_)) => format!("{field}: {message}"),
            (None, Some(_)) => message.to_owned(),
            (Some(field), None) => format!("users[{}].{field}: {message}", finding.index),
            (None, None) => format!("users[{}]: {message}", finding.index),
        }
    }

    /// Whether the name of a finding's field may be shown.
    fn is_shown(&self, finding: &RowFinding, name: &str) -> bool {
        match self.field(finding.index, finding) {
            Some(field) => field.is_shown,
            None => redact::is_printable_key(name, true),
        }
    }

    /// What the server can't say, since it does not know the format.
    fn help(&self, finding: &RowFinding) -> Option<&'static str> {
        let is_flag = finding.field.as_deref().is_some_and(|name| Contents::CREATED.is_flag(name));
        let is_table = matches!(self.format, FileFormat::Csv | FileFormat::Xlsx);
        (is_table && is_flag && finding.code == "wrong_type").then_some(table::FLAG_HELP)
    }

    /// The range to underline in row `index`: the value, the key, or the row.
    fn place(&self, index: usize, finding: &RowFinding) -> Option<Range<usize>> {
        Some(match self.field(index, finding) {
            Some(field) if field.value.is_empty() || finding.code == "unknown_field" => field.key.clone(),
            Some(field) => field.value.clone(),
            None => self.rows.get(index)?.span.clone(),
        })
    }

    /// The field of row `index` that a finding is about, if present. A `password_hash` that is not in the file was made
    /// from the `password`.
    fn field(&self, index: usize, finding: &RowFinding) -> Option<&FileField> {
        let (row, name) = (self.rows.get(index)?, finding.field.as_ref()?);
        // In JSON and YAML, attributes are one field.
        let in_object = || row.field(UserField::Attributes.as_str()).filter(|_| name.starts_with(attributes::PREFIX));
        let field = row.field(name).or_else(in_object);
        if name == UserField::PasswordHash.as_str() && field.is_none_or(|field| field.value.is_empty()) {
            return row.field(UserField::Password.as_str()).or(field);
        }
        field
    }
}

fn parse_as(contents: &'static Contents, columns: &ColumnMap, format: FileFormat, text: &str) -> Parsed {
    let mut parsed = match format {
        FileFormat::Yaml => yaml::parse(contents, text),
        FileFormat::Json => json::parse(contents, text),
        FileFormat::Ndjson => json::parse_lines(contents, text),
        // A workbook is no text. The header of a table says which column names the users.
        FileFormat::Csv | FileFormat::Xlsx => return csv::parse(contents, columns, text),
    };
    if contents.accepts_exports {
        parsed.rows.iter_mut().for_each(|row| row.name_user(contents));
    }
    parsed
}

/// The text in a byte range. Ranges begin and end at ASCII characters or at the ends of the text, so that they are valid.
fn slice(text: &str, range: impl SliceIndex<str, Output = str>) -> &str {
    let piece = text.get(range);
    debug_assert!(piece.is_some(), "a range must be inside the text");
    piece.unwrap_or_default()
}

/// Removes a byte order mark and returns its length.
fn strip_bom(text: &mut String) -> usize {
    let length = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    text.drain(..length);
    length
}

/// Omits the text and the values, which contain passwords.
impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersFile")
            .field("path", &self.document.path)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
