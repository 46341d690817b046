//! Where the cells of a sheet are in its text.

use std::borrow::Cow;
use std::ops::Range;

use calamine::Dimensions;

use super::super::document::Place;
use super::super::parsed::Read;
use super::super::slice;
use super::super::table::{Cell, Rows};

/// The cells in the text of a sheet. Each is followed by one byte, a tab or a line feed.
pub(in crate::users_file) struct SheetCells {
    name: String,
    /// The offset of each cell, row by row, each row from column A, and the length of the text.
    starts: Vec<u32>,
    rows: Vec<SheetRow>,
}

struct SheetRow {
    /// From 1.
    number: u32,
    /// The index of its first cell.
    first: u32,
}

impl SheetCells {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), starts: vec![0], rows: Vec::new() }
    }

    /// Begins a row, whose number is from 0.
    pub fn push_row(&mut self, number: u32) {
        let first = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.rows.push(SheetRow { number: number.saturating_add(1), first });
    }

    /// Adds a cell to the row; `end` is the length of the text with it.
    pub fn push(&mut self, end: usize) {
        self.starts.push(u32::try_from(end).unwrap_or(u32::MAX));
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The byte range of a cell.
    pub fn span(&self, cell: usize) -> Range<usize> {
        let start = |cell: usize| self.starts.get(cell).copied().and_then(|start| usize::try_from(start).ok());
        let (start, next) = (start(cell).unwrap_or(0), start(cell + 1).unwrap_or(0));
        start..next.saturating_sub(1).max(start)
    }

    /// The indexes of the cells in a row.
    fn row(&self, row: usize) -> Range<usize> {
        let first = |row: usize| self.rows.get(row).and_then(|row| usize::try_from(row.first).ok());
        let end = self.len();
        first(row).unwrap_or(end)..first(row + 1).unwrap_or(end)
    }

    /// The index of a cell's row, and the column, from 0.
    pub fn position(&self, cell: usize) -> (usize, usize) {
        let is_before = |row: &SheetRow| usize::try_from(row.first).is_ok_and(|first| first <= cell);
        let row = self.rows.partition_point(is_before).saturating_sub(1);
        (row, cell.saturating_sub(self.row(row).start))
    }

    /// The cell at an offset.
    pub fn find(&self, at: usize) -> Place {
        let is_before = |start: &u32| usize::try_from(*start).is_ok_and(|start| start <= at);
        let cell = self.starts.partition_point(is_before).saturating_sub(1).min(self.len().saturating_sub(1));
        let (row, column) = self.position(cell);
        let number = self.rows.get(row).map_or(1, |row| row.number);
        Place {
            line: usize::try_from(number).unwrap_or(usize::MAX),
            column: column + 1,
            cell: Some(reference(number, column)),
        }
    }

    /// The first cell of a merged range that covers further cells of users in these columns.
    pub fn covering(&self, range: &Dimensions, known: &[usize]) -> Option<usize> {
        let columns = usize::try_from(range.start.1).ok()?..=usize::try_from(range.end.1).ok()?;
        let index = |number: u32| self.rows.partition_point(|row| row.number <= number);
        let (first, end) = (index(range.start.0), index(range.end.0.saturating_add(1)));
        let row = self.rows.get(first).filter(|row| Some(row.number) == range.start.0.checked_add(1))?;
        let cell = usize::try_from(row.first).ok()? + columns.start();
        let is_below = end > first + 1 && known.iter().any(|column| columns.contains(column));
        // The header is not about users.
        let is_beside = first > 0 && known.iter().any(|column| columns.contains(column) && column != columns.start());
        (self.row(first).contains(&cell) && (is_below || is_beside)).then_some(cell)
    }

    /// The name of the sheet as in formulas: in quotes if necessary.
    pub fn quoted_name(&self) -> Cow<'_, str> {
        let is_plain = |c: char| c.is_alphanumeric() || c == '_';
        if self.name.chars().all(is_plain) && !self.name.starts_with(char::is_numeric) {
            return self.name.as_str().into();
        }
        format!("'{}'", self.name.replace('\'', "''")).into()
    }

    /// The cell of a row, from 0, and a column with its sheet.
    pub fn full_reference(&self, row: u32, column: usize) -> String {
        format!("{}!{}", self.quoted_name(), reference(row.saturating_add(1), column))
    }
}

/// The reference of a cell: its row from 1, its column from 0.
fn reference(row: u32, column: usize) -> String {
    let mut letters = String::new();
    push_letters(column, &mut letters);
    format!("{letters}{row}")
}

/// Writes the letters of a column: A to Z, AA to ZZ, AAA and so on.
fn push_letters(column: usize, letters: &mut String) {
    if let Some(before) = (column / 26).checked_sub(1) {
        push_letters(before, letters);
    }
    letters.extend(('A'..='Z').nth(column % 26));
}

/// A range such as `B3:B5`.
pub(super) fn range(range: &Dimensions) -> String {
    let corner =
        |(row, column): (u32, u32)| reference(row.saturating_add(1), usize::try_from(column).unwrap_or(usize::MAX));
    format!("{}:{}", corner(range.start), corner(range.end))
}

/// The rows of a sheet, without the columns that have no value.
#[derive(Clone)]
pub(super) struct SheetRows<'t> {
    text: &'t str,
    cells: &'t SheetCells,
    used: &'t [usize],
    at: usize,
}

impl<'t> SheetRows<'t> {
    pub fn new(text: &'t str, cells: &'t SheetCells, used: &'t [usize]) -> Self {
        Self { text, cells, used, at: 0 }
    }
}

impl<'t> Rows<'t> for SheetRows<'t> {
    fn next(&mut self, row: &mut Vec<Cell<'t>>) -> Option<Read<()>> {
        row.clear();
        if self.at == self.cells.row_count() {
            return None;
        }
        let cells = self.cells.row(self.at);
        self.at += 1;
        for column in self.used {
            let cell = cells.start + column;
            // Behind the last cell, the row has blank ones.
            let span = if cell < cells.end { self.cells.span(cell) } else { self.cells.end_of(&cells) };
            row.push(Cell { text: Cow::Borrowed(slice(self.text, span.clone())), span });
        }
        Some(Ok(()))
    }
}

impl SheetCells {
    /// The empty range at the end of a row.
    fn end_of(&self, row: &Range<usize>) -> Range<usize> {
        let end = self.span(row.end.saturating_sub(1)).end;
        end..end
    }
}
