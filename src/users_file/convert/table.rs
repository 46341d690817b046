//! People in CSV: a header with the columns of a source, and one person in each row.
//!
//! Cells are separated by commas, semicolons or tabs, whichever gives more columns of the source: spreadsheets write
//! semicolons in many countries. The names of columns are compared without regard to case.

use super::super::csv_cells::{Cells, is_empty_row, wrong_length};
use super::super::positions::Positions;
use super::super::table::{Cell, Rows as _};
use super::{Broken, Read};
use crate::users::trim;

/// The format of a source.
pub(super) struct Columns {
    /// The columns that are read, as [`Self::name`] returns them, in lower case.
    pub known: &'static [&'static str],
    /// One of these must be there.
    pub required: &'static [&'static str],
    /// The error otherwise.
    pub unrecognized: &'static str,
    /// The name of a column in its header.
    pub name: fn(&str) -> &str,
}

/// A row with the cells of one person.
pub(super) struct Row<'r, 't> {
    names: &'r [String],
    cells: &'r [Cell<'t>],
    pub line: usize,
}

impl Row<'_, '_> {
    /// The cell of a column; empty if there is none.
    pub fn get(&self, column: &str) -> &str {
        let index = self.names.iter().position(|name| name == column);
        index.and_then(|index| self.cells.get(index)).map_or("", |cell| trim(&cell.text))
    }

    /// The first of these columns that is not empty.
    pub fn first_of(&self, columns: &[&str]) -> &str {
        columns.iter().map(|column| self.get(column)).find(|cell| !cell.is_empty()).unwrap_or_default()
    }
}

/// Reads the rows of an export.
pub(super) fn read(text: &str, columns: &Columns, mut take: impl FnMut(&Row<'_, '_>) -> Read<()>) -> Read<()> {
    let start = first_row(text);
    let positions = Positions::new(text);
    let line = |at| positions.find(text, at).0;
    let mut header = Vec::new();
    let (mut cells, names) = [b',', b';', b'\t']
        .map(|delimiter| {
            let mut cells = Cells::new(text, start, delimiter);
            let is_read = matches!(cells.next(&mut header), Some(Ok(())));
            let name = |cell: &Cell<'_>| (columns.name)(trim(&cell.text)).to_lowercase();
            let names: Vec<String> = if is_read { header.iter().map(name).collect() } else { Vec::new() };
            (cells, names)
        })
        .into_iter()
        // The first of several with as many.
        .rev()
        .max_by_key(|(_, names)| names.iter().filter(|name| columns.known.contains(&name.as_str())).count())
        .ok_or_else(|| Broken::new(columns.unrecognized))?;
    if !columns.required.iter().any(|column| names.iter().any(|name| name == column)) {
        return Err(Broken::new(columns.unrecognized));
    }
    let mut row = Vec::new();
    while let Some(read) = cells.next(&mut row) {
        read.map_err(|error| Broken::line(line(error.span.start), error.message))?;
        let Some(first) = row.first() else { continue };
        let line = line(first.span.start);
        while row.len() > names.len() && row.last().is_some_and(|cell| trim(&cell.text).is_empty()) {
            row.pop();
        }
        if is_empty_row(&row) {
            continue;
        }
        if row.len() != names.len() {
            return Err(Broken::line(line, wrong_length(row.len(), names.len())));
        }
        take(&Row { names: &names, cells: &row, line })?;
    }
    Ok(())
}

/// The offset after lines above the header: empty ones, the version of Entra's templates, the type that `Export-Csv` of
/// Windows PowerShell writes, and the separator for spreadsheets.
fn first_row(text: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        let bare = line.trim_matches(|c: char| c.is_whitespace() || ",;\"".contains(c)).to_ascii_lowercase();
        if !bare.is_empty() && !["version:", "#type ", "sep="].iter().any(|before| bare.starts_with(before)) {
            break;
        }
        start += line.len();
    }
    start
}
