//! The first row of a CSV file: which column is which field.

use std::ops::Range;

use super::cells::{Cell, Cells};
use super::error::Problem;
use super::fields::{self, REQUIRED};
use super::hide;
use super::parsed::{Notes, Read, twice};

const COLUMNS: &str = "the columns are name, email, password, password_hash, must_change_password, is_sso_user, \
                       permission_level, lastname and title";
pub(super) const FIRST_ROW: &str =
    "the first row names the columns, such as: name,email,password,is_sso_user,lastname,title";
/// Names of columns in a row that is taken for a header.
const ENOUGH: usize = 2;

/// Where the rows of a file begin, and what separates its cells.
pub(super) fn cells(text: &str) -> Cells<'_> {
    let start = first_row(text);
    let line = text.get(start..).unwrap_or_default();
    let line = line.split(['\n', '\r']).next().unwrap_or_default();
    let fits = |delimiter: &char| {
        let name = |piece: &str| fields::known(piece.trim().trim_matches('"')).is_some();
        line.split(*delimiter).filter(|piece| name(piece)).count() >= ENOUGH
    };
    let other = if line.contains(',') { None } else { [';', '\t'].into_iter().find(fits) };
    Cells::new(text, start, other.and_then(|other| u8::try_from(other).ok()).unwrap_or(b','))
}

/// Behind the empty lines, and those that begin with `#`.
fn first_row(text: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        if !line.starts_with('#') && !line.trim().is_empty() {
            break;
        }
        start += line.len();
    }
    start
}

/// Reads the header. The field of each column, in order; `None` for one that is none.
///
/// `cells` stand behind it: the row that follows shows whether the names of unknown columns can be
/// printed. Without it, or with another number of cells, the header may have got data into it, such
/// as when a line break is missing.
pub(super) fn read(header: &[Cell<'_>], cells: &Cells<'_>, notes: &mut Notes) -> Read<Vec<Option<&'static str>>> {
    let place = place(header);
    let columns: Vec<_> = header.iter().map(|cell| fields::known(cell.text.trim())).collect();
    if columns.iter().flatten().count() < ENOUGH {
        // Perhaps it is a user.
        notes.hide(place.clone());
        return Err(Box::new(Problem::new("the columns have no names", place.start..place.start).help(FIRST_ROW)));
    }
    let missing: Vec<_> = REQUIRED.into_iter().filter(|field| !columns.contains(&Some(*field))).collect();
    let mut first = Vec::new();
    let follows = cells.clone().next(&mut first) == Some(Ok(())) && first.len() == header.len();
    let whole = missing.is_empty() && follows;
    for (index, (cell, column)) in header.iter().zip(&columns).enumerate() {
        let Some(field) = column else {
            let problem = unknown(cell, whole, notes);
            notes.note(problem)?;
            continue;
        };
        let before = columns.iter().zip(header).take(index).find(|(other, _)| *other == column);
        if let Some((_, first)) = before {
            notes.note(twice(&format!("the column `{field}`"), cell.span.clone(), first.span.clone()))?;
        }
    }
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|field| format!("`{field}`")).collect();
        let (columns, are) = if names.len() == 1 { ("column", "is") } else { ("columns", "are") };
        notes.note(Problem::new(format!("the {columns} {} {are} missing", names.join(" and ")), place))?;
    }
    Ok(columns)
}

/// From the first to the last cell of a row.
pub(super) fn place(cells: &[Cell<'_>]) -> Range<usize> {
    cells.first().map_or(0, |cell| cell.span.start)..cells.last().map_or(0, |cell| cell.span.end)
}

fn unknown(cell: &Cell<'_>, shown: bool, notes: &mut Notes) -> Problem {
    let name = cell.text.trim();
    if name.is_empty() {
        return Problem::new("this column has no name", cell.span.clone()).help(COLUMNS);
    }
    if !shown || !hide::is_word(name, true) {
        notes.hide(cell.span.clone());
        return Problem::new("unknown column", cell.span.clone()).help(COLUMNS);
    }
    Problem::new(format!("unknown column `{name}`"), cell.span.clone()).help(COLUMNS)
}
