//! The header of a CSV file: detects the separator and maps columns to fields.

use std::ops::Range;

use super::Contents;
use super::csv_cells::{Cell, Cells};
use super::error::SyntaxError;
use super::parsed::{Notes, Read, duplicate};
use super::redact;
use super::slice;
use crate::field::UserField;

/// Minimum number of known columns in a header, unless fewer are required.
const MIN_KNOWN_COLUMNS: usize = 2;

fn min_known_columns(contents: &Contents) -> usize {
    MIN_KNOWN_COLUMNS.min(contents.required.len())
}

fn columns_help(contents: &Contents) -> String {
    match contents.fields.split_last() {
        Some((last, others)) => format!("the columns are {} and {last}", UserField::names(others)),
        None => String::new(),
    }
}

pub(super) fn first_row_help(contents: &Contents) -> String {
    format!("the first row names the columns, such as: {}", contents.example)
}

/// More unknown columns than this are reported in one error, which names the first few.
const MANY: usize = 10;
const NAMED: usize = 5;
/// Maximum length of an unknown column name, and of a word in it, in characters.
const MAX_NAME_LENGTH: usize = 40;
const MAX_WORD_LENGTH: usize = 24;

/// Finds the header and the separator.
pub(super) fn cells<'t>(contents: &Contents, text: &'t str) -> Cells<'t> {
    if let Some((start, delimiter)) = separator_line(text) {
        return Cells::new(text, start + first_row(slice(text, start..)), delimiter);
    }
    let start = first_row(text);
    // `split` has at least one item.
    let line = slice(text, start..).split(['\n', '\r']).next().unwrap_or("");
    let fits = |delimiter: &char| {
        let name = |piece: &str| contents.field(piece.trim().trim_matches('"')).is_some();
        line.split(*delimiter).filter(|piece| name(piece)).count() >= min_known_columns(contents)
    };
    let others = [';', '\t'];
    let other = if line.contains(',') {
        None
    } else {
        others.into_iter().find(fits).or_else(|| others.into_iter().find(|other| line.contains(*other)))
    };
    Cells::new(text, start, other.and_then(|other| u8::try_from(other).ok()).unwrap_or(b','))
}

/// A first line such as `sep=;`, which specifies the separator for spreadsheets: its end and the separator.
fn separator_line(text: &str) -> Option<(usize, u8)> {
    let line = text.split(['\n', '\r']).next()?;
    let (name, separator) = line.trim_matches('"').split_once('=')?;
    match separator.as_bytes() {
        [separator @ (b',' | b';' | b'\t' | b'|')] if name.eq_ignore_ascii_case("sep") => {
            Some((line.len(), *separator))
        }
        _ => None,
    }
}

/// The offset after empty lines and comments.
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

/// Removes the unnamed cells that spreadsheets write after the last column; returns their byte ranges.
pub(super) fn without_tail(header: &mut Vec<Cell<'_>>) -> Vec<Range<usize>> {
    let named = header.iter().rposition(|cell| !cell.text.trim().is_empty()).map_or(0, |last| last + 1);
    header.drain(named..).map(|cell| cell.span).collect()
}

/// Returns the field of each column, in order; `None` for an unknown column.
///
/// `cells` are positioned after the header. The next row determines whether names of unknown columns may be shown: if the
/// row is missing or its length is not the header's `width`, the header may contain data, such as after a missing line
/// break.
pub(super) fn read(
    header: &[Cell<'_>],
    width: usize,
    cells: &Cells<'_>,
    notes: &mut Notes,
) -> Read<Vec<Option<UserField>>> {
    let contents = notes.contents;
    let place = place(header);
    let columns: Vec<_> = header.iter().map(|cell| contents.field(cell.text.trim())).collect();
    let known = columns.iter().flatten().count();
    let missing: Vec<_> = contents.required.iter().copied().filter(|field| !columns.contains(&Some(*field))).collect();
    let mut first = Vec::new();
    let follows = matches!(cells.clone().next(&mut first), Some(Ok(()))) && first.len() == width;
    let names = header.iter().all(|cell| could_be_a_name(cell.text.trim()))
        && ((known > 0 && follows) || !header.iter().any(|cell| could_be_a_value(contents, cell.text.trim())));
    if known < min_known_columns(contents) && !names {
        // The row may be a user.
        notes.hide(place.clone());
        return Err(missing_columns(&missing, place.start..place.start).help(first_row_help(contents)));
    }
    let shown = (missing.is_empty() && follows) || names;
    let others: Vec<_> =
        header.iter().zip(&columns).filter(|(_, column)| column.is_none()).map(|(cell, _)| cell).collect();
    unknown(&others, shown, notes)?;
    for (index, (cell, column)) in header.iter().zip(&columns).enumerate() {
        let Some(field) = column else { continue };
        let before = columns.iter().zip(header).take(index).find(|(other, _)| *other == column);
        if let Some((_, first)) = before {
            notes.note(duplicate(&format!("column `{field}`"), cell.span.clone(), first.span.clone()))?;
        }
    }
    if known < min_known_columns(contents) {
        return Err(missing_columns(&missing, place).help(first_row_help(contents)));
    }
    if !missing.is_empty() {
        notes.note(missing_columns(&missing, place))?;
    }
    Ok(columns)
}

fn missing_columns(missing: &[UserField], place: Range<usize>) -> SyntaxError {
    let names: Vec<_> = missing.iter().map(|field| format!("`{field}`")).collect();
    SyntaxError::new(
        match names.split_last() {
            Some((last, [])) => format!("missing column {last}"),
            Some((last, first)) => format!("missing columns {} and {last}", first.join(", ")),
            None => "missing columns".to_owned(),
        },
        place,
    )
}

/// The byte range of a row.
pub(super) fn place(cells: &[Cell<'_>]) -> Range<usize> {
    cells.first().map_or(0, |cell| cell.span.start)..cells.last().map_or(0, |cell| cell.span.end)
}

/// Whether a cell looks like a column name: short, and made of words.
fn could_be_a_name(cell: &str) -> bool {
    cell.chars().count() <= MAX_NAME_LENGTH && cell.chars().all(|c| c.is_alphanumeric() || " -_".contains(c))
}

/// Whether a cell may be a value, possibly a secret: it has digits, capitals inside a word or a very long word, or is a
/// flag.
fn could_be_a_value(contents: &Contents, cell: &str) -> bool {
    let odd = |word: &str| {
        let small = word.chars().position(char::is_lowercase).unwrap_or(usize::MAX);
        word.chars().count() > MAX_WORD_LENGTH || word.chars().enumerate().any(|(at, c)| at > small && c.is_uppercase())
    };
    contents.field(cell).is_none()
        && (cell.contains(char::is_numeric)
            || ["true", "false", "yes", "no", "on", "off"].iter().any(|flag| cell.eq_ignore_ascii_case(flag))
            || cell.split([' ', '-', '_']).any(odd))
}

/// Reports unknown columns and columns without a name.
fn unknown(cells: &[&Cell<'_>], shown: bool, notes: &mut Notes) -> Read<()> {
    let contents = notes.contents;
    let (nameless, named): (Vec<&Cell<'_>>, Vec<&Cell<'_>>) =
        cells.iter().copied().partition(|cell| cell.text.trim().is_empty());
    let mut names = Vec::new();
    for cell in &named {
        let name = cell.text.trim();
        let shown = shown && redact::is_printable_key(name, true);
        if !shown {
            notes.hide(cell.span.clone());
        }
        names.push(shown.then(|| format!("`{name}`")));
    }
    let error =
        |message: String, cell: &Cell<'_>| SyntaxError::new(message, cell.span.clone()).help(columns_help(contents));
    if let [first, ..] = named[..]
        && named.len() > MANY
    {
        let names: Vec<_> = names.into_iter().flatten().take(NAMED).collect();
        let more = named.len() - names.len();
        let list = if names.is_empty() { String::new() } else { format!(": {} and {more} more", names.join(", ")) };
        notes.note(error(format!("{} unknown columns{list}", named.len()), first))?;
    } else {
        for (cell, name) in named.iter().zip(names) {
            notes.note(error(
                name.map_or_else(|| "unknown column".to_owned(), |name| format!("unknown column {name}")),
                cell,
            ))?;
        }
    }
    if let [first, ..] = nameless[..]
        && nameless.len() > MANY
    {
        return notes.note(error(format!("{} columns have no name", nameless.len()), first));
    }
    nameless.iter().try_for_each(|cell| notes.note(no_name(contents, cell.span.clone())))
}

pub(super) fn no_name(contents: &Contents, place: Range<usize>) -> SyntaxError {
    SyntaxError::new("this column has no name", place).help(columns_help(contents))
}
