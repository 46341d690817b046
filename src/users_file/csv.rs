//! Makes rows with places from CSV; its cells come from [`super::csv_cells`], its columns from
//! [`super::csv_header`].

use std::ops::Range;

use serde_json::{Map, Value};

use super::csv_cells::{Cell, Cells, MAX_CELLS, QuoteError};
use super::csv_header::{self, place};
use super::error::SyntaxError;
use super::parsed::{Notes, Parsed, Read, push};
use super::redact::{self, comment};
use super::{Contents, FileField, FileRow};
use crate::users::UserField;

/// A table of users, its first row the names of the columns.
pub(super) fn parse(contents: &'static Contents, text: &str) -> Parsed {
    let mut table =
        Table { text, columns: Vec::new(), tail: Vec::new(), notes: Notes::new(contents), is_unreliable: false };
    let rows = table.read().unwrap_or_else(|error| {
        // What is behind was not read.
        table.notes.hide(error.span.end..text.len());
        table.notes.errors.push(*error);
        Vec::new()
    });
    table.notes.into_parsed(rows)
}

struct Table<'t> {
    text: &'t str,
    columns: Vec<Option<UserField>>,
    /// The columns without a name behind them: where they stand, and whether that was noted since
    /// they are not empty.
    tail: Vec<(Range<usize>, bool)>,
    notes: Notes,
    /// Whether a quote was wrong, so that nothing is known for certain any more about what is a
    /// password.
    is_unreliable: bool,
}

impl<'t> Table<'t> {
    fn read(&mut self) -> Read<Vec<FileRow>> {
        let contents = self.notes.contents;
        let mut cells = csv_header::cells(contents, self.text);
        let mut row = Vec::new();
        let Some(read) = cells.next(&mut row) else {
            return Err(Box::new(
                SyntaxError::new("the file is empty", 0..0).help(csv_header::first_row_help(contents)),
            ));
        };
        let start = place(&row).start;
        self.notes.hidden.push(comment(0..start));
        if let Err(error) = read {
            self.notes.hide(start..self.text.len());
            return Err(Box::new(quote_error(error)));
        }
        let width = row.len();
        self.tail = csv_header::without_tail(&mut row).into_iter().map(|place| (place, false)).collect();
        self.columns = csv_header::read(&row, width, &cells, &mut self.notes)?;
        self.rows(cells, row)
    }

    fn rows(&mut self, mut cells: Cells<'t>, mut row: Vec<Cell<'t>>) -> Read<Vec<FileRow>> {
        let mut rows = Vec::new();
        while let Some(read) = cells.next(&mut row) {
            let span = place(&row);
            if let Err(error) = read {
                self.is_unreliable = true;
                self.notes.hide(span.start..self.text.len());
                self.notes.note(quote_error(error))?;
                continue;
            }
            if row.iter().all(|cell| cell.text.is_empty()) {
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

    /// Takes the empty cells away that a spreadsheet writes behind the last column. Whether they are
    /// not all empty: then their columns need a name.
    fn tail(&mut self, row: &mut Vec<Cell<'_>>) -> Read<bool> {
        let width = self.columns.len();
        if row.len() <= width || row.len() > width + self.tail.len() {
            return Ok(false);
        }
        let mut filled = false;
        for (cell, (place, noted)) in row.iter().skip(width).zip(&mut self.tail) {
            if !cell.text.is_empty() {
                filled = true;
                if !std::mem::replace(noted, true) {
                    self.notes.note(csv_header::no_name(self.notes.contents, place.clone()))?;
                }
            }
        }
        if !filled {
            row.truncate(width);
        }
        Ok(filled)
    }

    fn wrong_length(&self, row: &[Cell<'_>], span: Range<usize>) -> SyntaxError {
        let cells = |count: usize| match count {
            1 => "1 cell".to_owned(),
            MAX_CELLS => format!("{MAX_CELLS} cells or more"),
            count => format!("{count} cells"),
        };
        let message = format!("this row has {}, but the header has {}", cells(row.len()), self.columns.len());
        let error = SyntaxError::new(message, span);
        if row.first().is_some_and(|cell| cell.text.starts_with('#')) {
            error.help("comments are only allowed above the header")
        } else if row.len() > self.columns.len() {
            error.help("put text that contains the separator in double quotes")
        } else {
            error.help("leave the cell of a missing value empty, but write its separator")
        }
    }

    /// Hides what isn't known to be harmless: of a row that may be shifted, everything.
    fn hide(&mut self, row: &[Cell<'_>], span: &Range<usize>) {
        if self.is_unreliable {
            return;
        }
        let cells = || self.columns.iter().zip(row);
        let shifted = cells().any(|(column, cell)| match *column {
            Some(field) if field.is_flag() => !cell.text.is_empty() && flag(&cell.text).is_none(),
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
        for (column, cell) in self.columns.iter().zip(row) {
            let Some(field) = *column else { continue };
            fields.push(FileField::new(field.as_str(), true, cell.span.clone(), cell.span.clone()));
            if !cell.text.is_empty() {
                let flag = if field.is_flag() { flag(&cell.text) } else { None };
                let value = flag.map_or_else(|| Value::String(cell.text.clone().into_owned()), Value::Bool);
                map.insert(field.into(), value);
            }
        }
        FileRow::object(map, span, fields)
    }
}

/// What a cell of a flag means, if it is one.
fn flag(text: &str) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    if ["true", "yes", "on", "1"].iter().any(is) {
        Some(true)
    } else if ["false", "no", "off", "0"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

fn quote_error(error: QuoteError) -> SyntaxError {
    match error {
        QuoteError::Unclosed(at) => SyntaxError::new("unclosed quote", at..at + 1),
        QuoteError::Inside(at) => SyntaxError::new("quote inside an unquoted cell", at..at + 1)
            .help("put the whole cell in double quotes, and write \"\" for a quote inside"),
        QuoteError::Behind(start, at) => SyntaxError::new("text after the closing quote of a cell", at..at)
            .other(start..start + 1, "opening quote")
            .help("write \"\" for a quote inside a cell"),
    }
}
