//! Parses CSV into rows: finds the header and the separator. See [`super::csv_cells`] for the cells and [`super::table`] for
//! the rows.

use super::csv_cells::{Cells, SEPARATORS};
use super::parsed::Parsed;
use super::table::{self, Cell, Rows as _};
use super::{ColumnMap, Contents, header, slice};
use crate::users::is_trimmed;

/// Parses a table of users whose first row names the columns.
pub(super) fn parse(contents: &'static Contents, map: &ColumnMap, text: &str) -> Parsed {
    // DOS programs end a file with U+001A.
    let text = text.trim_end_matches('\u{1a}');
    let table = table::read(contents, map, text, cells(contents, map, text));
    table.notes.into_parsed(table.rows)
}

/// Finds the header and the separator: the one by which the most columns are known.
pub(super) fn cells<'t>(contents: &Contents, map: &ColumnMap, text: &'t str) -> Cells<'t> {
    cells_by(text, |row| header::known(contents, map, row))
}

/// As [`cells`]; `known` counts the columns that are known.
pub(super) fn cells_by<'t>(text: &'t str, known: impl Fn(&[Cell<'t>]) -> usize) -> Cells<'t> {
    if let Some((start, delimiter)) = separator_line(text) {
        return Cells::new(text, start + first_row(slice(text, start..)), delimiter);
    }
    let start = first_row(text);
    let line = first_line(slice(text, start..));
    let by = |separator: char| Cells::new(text, start, u8::try_from(separator).unwrap_or(b','));
    let known = |separator: &char| {
        let mut row = Vec::new();
        by(*separator).next(&mut row);
        known(&row)
    };
    // Of equal ones, `max_by_key` returns the last.
    let found = SEPARATORS.into_iter().rev().filter(|separator| line.contains(*separator)).max_by_key(known);
    by(found.unwrap_or(','))
}

/// The cells of the first row.
pub(super) fn first_cells<'t>(contents: &Contents, text: &'t str) -> Vec<Cell<'t>> {
    let mut row = Vec::new();
    cells(contents, &ColumnMap::default(), text).next(&mut row);
    row
}

/// A first line such as `sep=;`, which specifies the separator for spreadsheets: its end and the separator.
fn separator_line(text: &str) -> Option<(usize, u8)> {
    let line = text.split(['\n', '\r']).next()?;
    let (name, separator) = line.trim_matches('"').split_once('=')?;
    match separator.as_bytes() {
        [separator] if name.eq_ignore_ascii_case("sep") && SEPARATORS.contains(&char::from(*separator)) => {
            Some((line.len(), *separator))
        }
        _ => None,
    }
}

/// The offset after comments and empty rows.
fn first_row(text: &str) -> usize {
    let mut start = 0;
    loop {
        let rest = slice(text, start..);
        let line = first_line(rest);
        let bare = line.trim_start_matches(is_trimmed);
        // Spreadsheets put a comment that contains a separator or a quote in quotes.
        let quoted = bare.strip_prefix('"').map(|cell| cell.trim_start_matches(is_trimmed));
        let is_empty = line.chars().all(|c| is_trimmed(c) || c == '"' || SEPARATORS.contains(&c));
        start += if !line.is_empty() && (is_empty || bare.starts_with('#')) {
            line.len()
        } else if quoted.is_some_and(|cell| cell.starts_with('#')) {
            quoted_row_length(rest)
        } else {
            return start;
        };
    }
}

/// The first line, with its line break.
fn first_line(text: &str) -> &str {
    text.split_inclusive(['\n', '\r']).next().unwrap_or("")
}

/// The length of a row with quoted cells, whatever the separator; of its first line, if a quote is not closed.
fn quoted_row_length(text: &str) -> usize {
    let mut is_quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => return at + 1,
            _ => {}
        }
    }
    if is_quoted { first_line(text).len() } else { text.len() }
}
