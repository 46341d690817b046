//! Writes the cells of a sheet into one text.

use std::iter::Peekable;
use std::vec::IntoIter;

use calamine::DataRef;

use super::cells::{SheetCells, SheetRows};
use super::{Workbook, WorkbookError, value};
use crate::users::trim;
use crate::users_file::MAX_BYTES;
use crate::users_file::table::MAX_CELLS;

/// Maximum number of zeros in a number format that are written.
const MAX_ZEROS: usize = 20;

/// The rows of a sheet from its header on.
pub(super) struct Content {
    pub text: String,
    pub cells: SheetCells,
    /// The columns that have any value, from 0.
    pub used: Vec<usize>,
    /// The cells without a value of their own, by index.
    pub problems: Vec<(usize, Problem)>,
}

/// Why a cell has no usable value.
#[derive(Clone, Copy)]
pub(super) enum Problem {
    /// `#N/A`, `#REF!` and so on.
    ErrorValue,
    /// A formula that was never computed.
    NoValue,
}

impl Content {
    pub fn rows(&self) -> SheetRows<'_> {
        SheetRows::new(&self.text, &self.cells, &self.used)
    }
}

/// Reads the first `max_rows` rows that have a value, without comments above the header.
pub(super) fn read(workbook: &mut Workbook<'_>, name: &str, max_rows: usize) -> Result<Content, WorkbookError> {
    // The header has no numbers, and looking for them reads the whole sheet.
    let mut padded = if max_rows == 1 { Padded(Vec::new().into_iter().peekable()) } else { padded(workbook, name)? };
    let mut reader = workbook.worksheet_cells_reader(name)?;
    let mut writer = Writer::new(name);
    while let Some(cell) = reader.next_cell_with_formula_metadata()? {
        let (row, column) = cell.pos;
        let digits = padded.find(cell.pos);
        let problem = match cell.value {
            DataRef::Error(_) => Some(Problem::ErrorValue),
            DataRef::Empty if cell.formula.is_some() => Some(Problem::NoValue),
            _ => None,
        };
        if row != writer.number {
            writer.end_row()?;
            if writer.content.cells.row_count() == max_rows {
                break;
            }
            writer.begin_row(row)?;
        }
        let text = value::text(&cell.value, digits);
        if problem.is_some() || !trim(&text).is_empty() {
            writer.push(column, &text, problem)?;
        }
    }
    writer.end_row()?;
    Ok(writer.finished())
}

/// Cells whose number format has leading zeros, in order.
struct Padded(Peekable<IntoIter<((u32, u32), usize)>>);

impl Padded {
    /// The number of digits in the next cell.
    fn find(&mut self, at: (u32, u32)) -> usize {
        while self.0.next_if(|(cell, _)| *cell < at).is_some() {}
        self.0.next_if(|(cell, _)| *cell == at).map_or(0, |(_, digits)| digits)
    }
}

fn padded(workbook: &mut Workbook<'_>, name: &str) -> Result<Padded, WorkbookError> {
    let mut reader = workbook.worksheet_cells_reader(name)?;
    let zeros = |format: &str| if format.bytes().all(|byte| byte == b'0') { format.len().min(MAX_ZEROS) } else { 0 };
    let of_style =
        |style: &calamine::Style| style.number_format.as_ref().map_or(0, |format| zeros(&format.format_code));
    let digits: Vec<usize> = reader.styles().iter().map(of_style).collect();
    let mut cells = Vec::new();
    if digits.iter().any(|digits| *digits > 1) {
        while let Some((row, column, style)) = reader.next_style_id()? {
            if let Some(digits) = digits.get(style).filter(|digits| **digits > 1) {
                cells.push(((row, column), *digits));
            }
        }
    }
    Ok(Padded(cells.into_iter().peekable()))
}

/// Writes rows; cells are kept until their row ends, since a row without a value is not written.
struct Writer {
    content: Content,
    is_used: [bool; MAX_CELLS],
    /// The number of cells in the header.
    width: usize,
    /// The number of the current row, from 0.
    number: u32,
    row: Vec<(usize, String, Option<Problem>)>,
}

impl Writer {
    fn new(name: &str) -> Self {
        let cells = SheetCells::new(name);
        let content = Content { text: String::new(), cells, used: Vec::new(), problems: Vec::new() };
        Self { content, is_used: [false; MAX_CELLS], width: 0, number: 0, row: Vec::new() }
    }

    fn begin_row(&mut self, number: u32) -> Result<(), WorkbookError> {
        if number <= self.number {
            return Err(WorkbookError::Damaged);
        }
        self.number = number;
        Ok(())
    }

    fn push(&mut self, column: u32, text: &str, problem: Option<Problem>) -> Result<(), WorkbookError> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if self.row.last().is_some_and(|(last, ..)| *last >= column) {
            return Err(WorkbookError::Damaged);
        }
        let Some(is_used) = self.is_used.get_mut(column) else {
            return Err(WorkbookError::TooManyColumns(self.content.cells.full_reference(self.number, column)));
        };
        *is_used = true;
        self.row.push((column, text.to_owned(), problem));
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), WorkbookError> {
        let row = std::mem::take(&mut self.row);
        let Some((last, ..)) = row.last() else { return Ok(()) };
        let is_first = self.content.cells.row_count() == 0;
        let is_comment =
            |(_, text, problem): &(usize, String, Option<Problem>)| problem.is_none() && trim(text).starts_with('#');
        if is_first && row.first().is_some_and(is_comment) {
            self.is_used = [false; MAX_CELLS];
            return Ok(());
        }
        let Content { text, cells, problems, .. } = &mut self.content;
        // The header has a cell in every column: one below may have a value.
        let width = if is_first { MAX_CELLS } else { self.width.max(last + 1) };
        if is_first {
            self.width = last + 1;
        }
        cells.push_row(self.number);
        let mut values = row.iter().peekable();
        for column in 0..width {
            if let Some((_, value, problem)) = values.next_if(|(next, ..)| *next == column) {
                problems.extend(problem.map(|problem| (cells.len(), problem)));
                text.push_str(value);
            }
            text.push(if column + 1 == width { '\n' } else { '\t' });
            cells.push(text.len());
        }
        if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_BYTES) {
            Ok(())
        } else {
            Err(WorkbookError::TooLarge)
        }
    }

    fn finished(self) -> Content {
        let used = self.is_used.iter().enumerate().filter(|(_, used)| **used).map(|(column, _)| column).collect();
        Content { used, ..self.content }
    }
}
