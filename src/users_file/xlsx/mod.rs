//! Reads a workbook of Excel (`.xlsx`, ECMA-376) as a table.
//!
//! `archive` bounds what the file decompresses to, [`calamine`] reads the cells of a sheet one by one, `value` makes them
//! text, and `sheet` writes them into one text, row by row, so that [`table`] reads them like those of a CSV file, and
//! excerpts hide the same. Only the names of the places differ: `cells` knows which cell is at an offset.
//!
//! # Decisions
//!
//! - **The first visible sheet whose first row names the columns is read**, those of `--map` and `--ignore` included, or
//!   the only sheet that has any cell. `--sheet` selects another one, also a hidden one. Hidden rows and columns are read:
//!   hiding removes nothing.
//! - **A column without any value, and a row without any, is not there**, wherever the table begins.
//! - **A cell is what the sheet shows**, apart from the language: `7`, `true`, `2026-11-22`, 15 significant digits, and the
//!   leading zeros of a format such as `00000`. Other number formats are for the eye only.
//! - **A formula is its stored value**: muster computes nothing and reads no other file. An error value is an error, and so
//!   is a formula without a value, as programs write that can't compute: an empty cell would be a missing field.
//! - **Merged cells are an error where they cover fields of users**, because only the first cell has the value. In ignored
//!   columns they are not.
//! - **Positions that are not ascending are malformed**, since every spreadsheet writes them so.

mod archive;
mod cells;
mod sheet;
mod value;

use std::io::Cursor;

use calamine::{Dimensions, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};

pub(super) use cells::SheetCells;
use sheet::{Content, Problem};

use super::document::Document;
use super::error::SyntaxError;
use super::parsed::{MAX_ROWS, Notes, Parsed, Read};
use super::table::{self, MAX_CELLS, Rows as _};
use super::{ColumnMap, Contents, header};
use crate::field::UserField;

/// Maximum number of sheets that a message names.
const MAX_NAMED_SHEETS: usize = 20;

/// Why a workbook can't be read.
#[derive(Debug, thiserror::Error)]
pub enum WorkbookError {
    /// Not a workbook.
    #[error("is not an Excel workbook")]
    NoWorkbook,
    /// Truncated or malformed.
    #[error("is damaged or incomplete; open the workbook in a spreadsheet program and save it again")]
    Damaged,
    /// Decompresses to too much.
    #[error("is too large when decompressed; delete the empty rows and columns, or save the sheet as \"CSV UTF-8\"")]
    TooLarge,
    /// A value is too far to the right.
    #[error("has a value in {0}; a table can have at most {MAX_CELLS} columns")]
    TooManyColumns(
        /// The cell with its sheet.
        String,
    ),
    /// There is no sheet of this name.
    #[error("has no sheet `{name}`; the sheets are {sheets}")]
    NoSuchSheet {
        /// The name as given.
        name: String,
        /// The names of the sheets.
        sheets: String,
    },
    /// No sheet begins like a table of users.
    #[error("has no sheet whose first row names the columns; the sheets are {0}, and `--sheet NAME` selects one")]
    NoTable(
        /// The names of the sheets.
        String,
    ),
}

impl From<XlsxError> for WorkbookError {
    /// The details quote values of the file, which may be secrets.
    fn from(_: XlsxError) -> Self {
        Self::Damaged
    }
}

type Workbook<'b> = Xlsx<Cursor<&'b [u8]>>;

/// A sheet that was read as a table.
pub(super) struct Sheet {
    pub text: String,
    pub cells: SheetCells,
    pub parsed: Parsed,
}

/// Whether a file is a workbook, maybe an incomplete one: the names of the files in an archive are not compressed.
pub(super) fn is_workbook(bytes: &[u8]) -> bool {
    archive::is_zip(bytes) && archive::mentions(bytes, b"xl/workbook") && !archive::mentions(bytes, b"xl/workbook.bin")
}

/// Reads the sheet with the users.
pub(super) fn read(contents: &'static Contents, map: &ColumnMap, bytes: &[u8]) -> Result<Sheet, WorkbookError> {
    if !archive::is_zip(bytes) {
        return Err(WorkbookError::NoWorkbook);
    }
    archive::check(bytes)?;
    let mut workbook: Workbook<'_> = Xlsx::new(Cursor::new(bytes))?;
    let name = select(contents, map, &mut workbook)?;
    // One row more than allowed is the error, and the first one is the header.
    let content = sheet::read(&mut workbook, &name, MAX_ROWS + 2)?;
    let merged = workbook.merge_cells_by_sheet_name(&name)?;
    drop(workbook);
    let mut table = table::read(contents, map, &content.text, content.rows());
    if let Err(error) = report(&content, &merged, &table.columns, &mut table.notes) {
        table.notes.errors.push(error);
    }
    let parsed = table.notes.into_parsed(table.rows);
    Ok(Sheet { text: content.text, cells: content.cells, parsed })
}

/// A sheet whose columns are not known yet.
pub(super) struct RawSheet {
    content: Content,
    merged: Vec<Dimensions>,
}

impl RawSheet {
    /// Reads the first visible sheet whose first row is a header, or else the first one that has any cell, with `max` rows and one
    /// more.
    pub fn read(
        bytes: &[u8],
        max: usize,
        is_header: impl Fn(&[table::Cell<'_>]) -> bool,
    ) -> Result<Self, WorkbookError> {
        if !archive::is_zip(bytes) {
            return Err(WorkbookError::NoWorkbook);
        }
        archive::check(bytes)?;
        let mut workbook: Workbook<'_> = Xlsx::new(Cursor::new(bytes))?;
        let is_shown =
            |sheet: &&calamine::Sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible;
        let sheets: Vec<String> =
            workbook.sheets_metadata().iter().filter(is_shown).map(|sheet| sheet.name.clone()).collect();
        let mut chosen = None;
        for name in sheets {
            let content = sheet::read(&mut workbook, &name, 1)?;
            let mut first = Vec::new();
            if content.rows().next(&mut first).is_none() {
                continue;
            }
            if is_header(&first) {
                chosen = Some(name);
                break;
            }
            chosen.get_or_insert(name);
        }
        let name = chosen.ok_or(WorkbookError::NoTable("empty".to_owned()))?;
        let content = sheet::read(&mut workbook, &name, max.saturating_add(2))?;
        let merged = workbook.merge_cells_by_sheet_name(&name)?;
        Ok(Self { content, merged })
    }

    pub fn rows(&self) -> impl table::Rows<'_> {
        self.content.rows()
    }

    /// The number of the row at an offset.
    pub fn line(&self, at: usize) -> usize {
        self.content.cells.find(at).line
    }

    /// The errors about cells without a value of their own, if the columns are these fields.
    pub fn unusable(&self, columns: &[Option<UserField>]) -> Vec<SyntaxError> {
        let mut notes = Notes::new(Contents::CREATED);
        if let Err(error) = report(&self.content, &self.merged, columns, &mut notes) {
            notes.errors.push(error);
        }
        notes.errors
    }

    /// The sheet as excerpts show it.
    pub fn into_document(self) -> Document {
        let Content { text, cells, .. } = self.content;
        Document { path: String::new(), text, hidden: Vec::new(), sheet: Some(Box::new(cells)) }
    }
}

/// The name of the sheet to read.
fn select(contents: &Contents, map: &ColumnMap, workbook: &mut Workbook<'_>) -> Result<String, WorkbookError> {
    let is_table = |sheet: &&calamine::Sheet| sheet.typ == SheetType::WorkSheet;
    let sheets: Vec<_> = workbook.sheets_metadata().iter().filter(is_table).cloned().collect();
    if let Some(name) = map.sheet() {
        // Names differ in more than case.
        let found = sheets.iter().find(|sheet| sheet.name.to_lowercase() == name.to_lowercase());
        let unknown =
            || WorkbookError::NoSuchSheet { name: name.to_owned(), sheets: names(sheets.iter().map(|s| &*s.name)) };
        return found.map(|sheet| sheet.name.clone()).ok_or_else(unknown);
    }
    let mut filled = Vec::new();
    for sheet in sheets.iter().filter(|sheet| sheet.visible == SheetVisible::Visible) {
        let content = sheet::read(workbook, &sheet.name, 1)?;
        let mut first = Vec::new();
        if content.rows().next(&mut first).is_none() {
            continue;
        }
        let names: Vec<String> = first.iter().map(header::name).collect();
        if header::is_known(contents, map, &first) && map.absent(&names).all(|column| column.is_optional) {
            return Ok(sheet.name.clone());
        }
        filled.push(sheet.name.as_str());
    }
    match (filled.as_slice(), sheets.as_slice()) {
        ([only], _) => Ok((*only).to_owned()),
        // The empty sheet is reported as an empty file.
        ([], [only]) => Ok(only.name.clone()),
        _ => Err(WorkbookError::NoTable(names(sheets.iter().map(|sheet| &*sheet.name)))),
    }
}

fn names<'s>(sheets: impl ExactSizeIterator<Item = &'s str>) -> String {
    let more = sheets.len().saturating_sub(MAX_NAMED_SHEETS);
    let mut names: Vec<String> = sheets.take(MAX_NAMED_SHEETS).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}

/// Reports the cells of known columns that have no value, or not their own.
fn report(content: &Content, merged: &[Dimensions], columns: &[Option<UserField>], notes: &mut Notes) -> Read<()> {
    let columns = content.used.iter().zip(columns);
    let known: Vec<usize> = columns.filter(|(_, field)| field.is_some()).map(|(column, _)| *column).collect();
    for (cell, problem) in &content.problems {
        let (row, column) = content.cells.position(*cell);
        if row == 0 || known.contains(&column) {
            notes.note(unusable(*problem, content.cells.span(*cell)))?;
        }
    }
    for range in merged {
        let first = content.cells.covering(range, &known).map(|first| content.cells.span(first));
        if let Some(span) = first.filter(|span| !span.is_empty()) {
            let message = format!("of the merged cells {}, only the first has a value", cells::range(range));
            let error = SyntaxError::new(message, span);
            notes.note(error.help("unmerge the cells, and write the value into each of them"))?;
        }
    }
    Ok(())
}

fn unusable(problem: Problem, span: std::ops::Range<usize>) -> SyntaxError {
    match problem {
        Problem::ErrorValue => SyntaxError::new("this cell has an error instead of a value", span)
            .help("correct the formula, or clear the cell"),
        Problem::NoValue => SyntaxError::new("this formula has no stored value", span)
            .help("open the workbook in a spreadsheet program and save it, so that the formula is computed"),
    }
}
