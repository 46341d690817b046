//! Reads the rows of a table, whose first row names the columns; CSV and workbooks are tables.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use super::csv_cells::{is_empty_row, wrong_length};
use super::error::SyntaxError;
use super::formula;
use super::header;
use super::parsed::{Notes, Read, push};
use super::redact::{self, comment};
use super::{ColumnMap, Contents, FileField, FileRow};
use crate::field::UserField;
use crate::users::{attributes, trim};

/// Maximum number of cells in a row.
pub(super) const MAX_CELLS: usize = 256;

/// One cell.
pub(super) struct Cell<'t> {
    pub text: Cow<'t, str>,
    /// The byte range in the text of the table, quotes included.
    pub span: Range<usize>,
}

/// The rows of a table. A clone continues at the same row.
pub(super) trait Rows<'t>: Clone {
    /// Reads the first [`MAX_CELLS`] cells of the next row into `cells`; `None` after the last row.
    fn next(&mut self, cells: &mut Vec<Cell<'t>>) -> Option<Read<()>>;
}

/// A table that was read.
pub(super) struct Table {
    pub rows: Vec<FileRow>,
    /// The field of each column; `None` for a column that is ignored or unknown.
    pub columns: Vec<Option<UserField>>,
    pub notes: Notes,
}

/// Reads a table of users, whose text is `text`.
pub(super) fn read<'t>(contents: &'static Contents, map: &ColumnMap, text: &str, rows: impl Rows<'t>) -> Table {
    let mut reader = Reader {
        end: text.len(),
        columns: Vec::new(),
        attributes: Vec::new(),
        tail: Vec::new(),
        notes: Notes::new(contents),
        is_unreliable: false,
    };
    let rows = reader.read(map, rows).unwrap_or_else(|error| {
        // The rest was not parsed, so any part of it may be a password.
        reader.notes.hide(error.span.end..text.len());
        reader.notes.errors.push(error);
        Vec::new()
    });
    Table { rows, columns: reader.columns, notes: reader.notes }
}

struct Reader {
    /// The length of the text.
    end: usize,
    columns: Vec<Option<UserField>>,
    /// For each column, the name of its field if that is an attribute.
    attributes: Vec<Option<String>>,
    /// The unnamed columns at the end of the header: their byte ranges, and whether a value in them was reported.
    tail: Vec<(Range<usize>, bool)>,
    notes: Notes,
    /// Whether a quoting error occurred: from then on, any cell may be a password.
    is_unreliable: bool,
}

impl Reader {
    fn read<'t>(&mut self, map: &ColumnMap, mut source: impl Rows<'t>) -> Read<Vec<FileRow>> {
        let contents = self.notes.contents;
        let mut row = Vec::new();
        let Some(read) = source.next(&mut row) else {
            return Err(SyntaxError::new("the file is empty", 0..0).help(header::first_row_help(contents)));
        };
        let start = place(&row).start;
        self.notes.hidden.push(comment(0..start));
        if let Err(error) = read {
            self.notes.hide(start..self.end);
            return Err(error);
        }
        let width = row.len();
        self.tail = header::without_tail(&mut row).into_iter().map(|place| (place, false)).collect();
        let mut first = Vec::new();
        let is_followed = matches!(source.clone().next(&mut first), Some(Ok(()))) && first.len() == width;
        self.columns = header::read(&row, is_followed, map, &mut self.notes)?;
        let key = |cell: &Cell<'_>| map.attribute(contents, &header::name(cell));
        self.attributes = row.iter().map(|cell| Some(format!("{}{}", attributes::PREFIX, key(cell)?))).collect();
        self.rows(source, row)
    }

    fn rows<'t>(&mut self, mut source: impl Rows<'t>, mut row: Vec<Cell<'t>>) -> Read<Vec<FileRow>> {
        let mut rows = Vec::new();
        while let Some(read) = source.next(&mut row) {
            let span = place(&row);
            if let Err(error) = read {
                self.is_unreliable = true;
                self.notes.hide(span.start..self.end);
                self.notes.note(error)?;
                continue;
            }
            if is_empty_row(&row) {
                continue;
            }
            if self.tail(&mut row)? {
                self.notes.hide(span.clone());
                continue;
            }
            if row.len() != self.columns.len() {
                self.notes.hide(span.clone());
                self.notes.note(self.wrong_length(&row, span))?;
                continue;
            }
            self.hide(&row, &span);
            let row = self.row(&row, span);
            push(&mut rows, row)?;
        }
        Ok(rows)
    }

    /// Removes the empty cells that spreadsheets write after the last column. Returns whether any has a value: then its
    /// column needs a name.
    fn tail(&mut self, row: &mut Vec<Cell<'_>>) -> Read<bool> {
        let width = self.columns.len();
        if row.len() <= width || row.len() > width + self.tail.len() {
            return Ok(false);
        }
        let mut filled = false;
        for (cell, (place, noted)) in row.iter().skip(width).zip(&mut self.tail) {
            if !trim(&cell.text).is_empty() {
                filled = true;
                if !std::mem::replace(noted, true) {
                    self.notes.note(header::no_name(self.notes.contents, place.clone()))?;
                }
            }
        }
        if !filled {
            row.truncate(width);
        }
        Ok(filled)
    }

    fn wrong_length(&self, row: &[Cell<'_>], span: Range<usize>) -> SyntaxError {
        let error = SyntaxError::new(wrong_length(row.len(), self.columns.len()), span);
        if row.first().is_some_and(|cell| cell.text.starts_with('#')) {
            error.help("comments are only allowed above the header")
        } else if row.len() > self.columns.len() {
            error.help("put text that contains the separator in double quotes")
        } else {
            error.help("leave the cell of a missing value empty, but write its separator")
        }
    }

    /// Hides everything that may be a secret. If the cells may be shifted and one of them is a secret, hides the whole row.
    fn hide(&mut self, row: &[Cell<'_>], span: &Range<usize>) {
        if self.is_unreliable {
            return;
        }
        let cells = || self.columns.iter().zip(row);
        // A password may also have been put into the column `must_change_password`.
        let may_be_secret = |column: &Option<UserField>| {
            column.is_none_or(|field| field.is_secret() || field == UserField::MustChangePassword)
        };
        let has_secret = self.columns.iter().any(may_be_secret);
        let shifted = has_secret
            && cells().any(|(column, cell)| match *column {
                Some(field) if field.is_flag() => !trim(&cell.text).is_empty() && flag(&cell.text).is_none(),
                Some(field) => !field.is_secret() && cell.text.contains(['\n', '\r']),
                None => false,
            });
        if shifted {
            self.notes.hide(span.clone());
            return;
        }
        for (column, cell) in self.columns.iter().zip(row) {
            if column.is_none_or(UserField::is_secret) || redact::mentions_password(&cell.text) {
                self.notes.hide(cell.span.clone());
            }
        }
    }

    fn row(&self, row: &[Cell<'_>], span: Range<usize>) -> FileRow {
        let mut map = Map::new();
        let mut fields = Vec::with_capacity(row.len());
        let mut custom = Map::new();
        for ((column, attribute), cell) in self.columns.iter().zip(&self.attributes).zip(row) {
            let Some(field) = *column else { continue };
            let name = attribute.as_deref().unwrap_or(field.as_str());
            fields.push(FileField::new(name, true, cell.span.clone(), cell.span.clone()));
            let trimmed = formula::unescape(trim(&cell.text));
            if let Some(key) = attribute.as_deref().and_then(|name| name.strip_prefix(attributes::PREFIX)) {
                if !trimmed.is_empty() {
                    custom.insert(key.to_owned(), attributes::from_cell(trimmed));
                }
                continue;
            }
            if !trimmed.is_empty() {
                let flag = if field.is_flag() { flag(trimmed) } else { None };
                let text = if field == UserField::Password { &cell.text } else { trimmed };
                map.insert(field.into(), flag.map_or_else(|| Value::String(text.to_owned()), Value::Bool));
            }
        }
        if !custom.is_empty() {
            map.insert(UserField::Attributes.into(), Value::Object(custom));
        }
        FileRow::object(map, span, fields)
    }
}

/// The byte range of a row.
pub(super) fn place(cells: &[Cell<'_>]) -> Range<usize> {
    cells.first().map_or(0, |cell| cell.span.start)..cells.last().map_or(0, |cell| cell.span.end)
}

/// The value of a flag's cell, if it is valid.
pub(super) fn flag(text: &str) -> Option<bool> {
    let word = trim(text).to_lowercase();
    if TRUE.contains(&word.as_str()) {
        Some(true)
    } else if FALSE.contains(&word.as_str()) {
        Some(false)
    } else {
        None
    }
}

/// The words to write in a cell of a flag; the other accepted ones come from programs.
pub(super) const FLAG_HELP: &str = "write true, yes, on or 1, or else false, no, off or 0";

/// The words of muster, the letters that databases write, and what spreadsheets write in German, French, Spanish,
/// Italian, Portuguese, Dutch, Polish and Russian.
const TRUE: [&str; 14] =
    ["true", "yes", "on", "1", "t", "y", "wahr", "vrai", "verdadero", "vero", "verdadeiro", "waar", "prawda", "истина"];
const FALSE: [&str; 12] = ["false", "no", "off", "0", "f", "n", "falsch", "faux", "falso", "onwaar", "fałsz", "ложь"];
