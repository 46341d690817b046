//! The header of a table: which column is which field.

use std::ops::Range;

use super::Contents;
use super::columns::{AbsentColumn, Column, ColumnMap, table_names, visible};
use super::contents::NAMING;
use super::error::SyntaxError;
use super::near::{near, other_name};
use super::parsed::{Notes, Read, duplicate};
use super::redact;
use super::table::{Cell, place};
use crate::field::UserField;
use crate::users::{attributes, trim};

/// Minimum number of known columns in a header, unless fewer are required.
const MIN_KNOWN_COLUMNS: usize = 2;

fn min_known_columns(contents: &Contents) -> usize {
    MIN_KNOWN_COLUMNS.min(contents.required.len())
}

fn columns_help(contents: &Contents) -> String {
    let names = table_names(contents);
    match names.rsplit_once(", ") {
        Some((others, last)) => format!("the columns are {others} and {last}"),
        None => format!("the column is {names}"),
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

/// Removes the unnamed cells that spreadsheets write after the last column; returns their byte ranges.
pub(super) fn without_tail(header: &mut Vec<Cell<'_>>) -> Vec<Range<usize>> {
    let named = header.iter().rposition(|cell| !trim(&cell.text).is_empty()).map_or(0, |last| last + 1);
    header.drain(named..).map(|cell| cell.span).collect()
}

/// Whether this row names enough columns for a table of users.
pub(super) fn is_known(contents: &Contents, map: &ColumnMap, row: &[Cell<'_>]) -> bool {
    known(contents, map, row) >= min_known_columns(contents)
}

/// The number of columns in this row that are known.
pub(super) fn known(contents: &Contents, map: &ColumnMap, row: &[Cell<'_>]) -> usize {
    let names: Vec<_> = row.iter().map(name).collect();
    kinds(contents, map, &names).iter().filter(|kind| **kind != Column::Unknown).count()
}

/// What each column is.
fn kinds(contents: &Contents, map: &ColumnMap, names: &[String]) -> Vec<Column> {
    let mut kinds: Vec<_> = names.iter().map(|name| map.column(contents, name)).collect();
    if !contents.accepts_exports {
        return kinds;
    }
    let is_unknown = |kinds: &[Column], index: usize| kinds.get(index) == Some(&Column::Unknown);
    if !kinds.contains(&Column::Field(UserField::User)) {
        let find = |key: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(key));
        let naming = NAMING.iter().filter_map(find).find(|index| is_unknown(&kinds, *index));
        if let Some(kind) = naming.and_then(|index| kinds.get_mut(index)) {
            *kind = Column::Field(UserField::User);
        }
    }
    if kinds.contains(&Column::Field(UserField::User)) {
        for (kind, name) in kinds.iter_mut().zip(names) {
            if *kind == Column::Unknown && contents.is_left_out(name) {
                *kind = Column::Ignored;
            }
        }
    }
    kinds
}

/// The name of a column.
pub(super) fn name(cell: &Cell<'_>) -> String {
    visible(&cell.text)
}

/// Returns the field of each column, in order; `None` for a column that is ignored or unknown.
///
/// `is_followed` is whether a row with as many cells comes next. Otherwise, the header may contain data, such as after a
/// missing line break, and names of unknown columns are not shown.
pub(super) fn read(
    header: &[Cell<'_>],
    is_followed: bool,
    map: &ColumnMap,
    notes: &mut Notes,
) -> Read<Vec<Option<UserField>>> {
    let contents = notes.contents;
    let place = place(header);
    let names: Vec<_> = header.iter().map(name).collect();
    let kinds = kinds(contents, map, &names);
    let columns: Vec<_> = kinds.iter().map(Column::field).collect();
    let known = kinds.iter().filter(|kind| **kind != Column::Unknown).count();
    let missing: Vec<_> = contents.required.iter().copied().filter(|field| !columns.contains(&Some(*field))).collect();
    let others: Vec<_> = header
        .iter()
        .zip(&names)
        .zip(&kinds)
        .filter(|(_, kind)| **kind == Column::Unknown)
        .map(|((cell, name), _)| Unknown { name, place: cell.span.clone() })
        .collect();
    let is_header = others.iter().all(|column| could_be_a_name(column.name))
        && ((known > 0 && is_followed) || !others.iter().any(|column| could_be_a_value(contents, column.name)));
    let may_be_a_user = known < min_known_columns(contents) && !is_header;
    if may_be_a_user {
        notes.hide(place.clone());
    }
    let shown = (missing.is_empty() && is_followed) || is_header;
    for column in others.iter().filter(|column| !shown || !redact::is_printable_key(column.name, true)) {
        notes.hide(column.place.clone());
    }
    let is_needed =
        |column: &AbsentColumn<'_>| !column.is_optional || column.field.is_some_and(|field| missing.contains(&field));
    let (needed, others_absent): (Vec<_>, Vec<_>) = map.absent(&names).partition(is_needed);
    notes.absent = others_absent.iter().map(|column| column.name.to_owned()).collect();
    let mut absent = needed.into_iter().map(|column| absent_column(column.name, column.field, place.clone()));
    if let Some(first) = absent.next() {
        absent.try_for_each(|error| notes.note(error))?;
        return Err(first);
    }
    if may_be_a_user {
        return Err(missing_columns(&missing, place.start..place.start).help(first_row_help(contents)));
    }
    unknown(&others, &columns, shown, notes)?;
    for (index, (cell, column)) in header.iter().zip(&columns).enumerate() {
        let Some(field) = column else { continue };
        let attribute = |cell: &Cell<'_>| map.attribute(contents, &name(cell));
        let key = attribute(cell);
        let before = columns.iter().zip(header).take(index);
        let before = before.filter(|(other, _)| *other == column).find(|(_, other)| attribute(other) == key);
        if let Some((_, first)) = before {
            let shown = key.map_or_else(|| field.to_string(), |key| format!("{}{key}", attributes::PREFIX));
            notes.note(duplicate(&format!("column `{shown}`"), cell.span.clone(), first.span.clone()))?;
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

/// The error for a column of a mapping or `--ignore` that the header does not have.
fn absent_column(name: &str, field: Option<UserField>, place: Range<usize>) -> SyntaxError {
    let why = field.map_or_else(|| "to be ignored".to_owned(), |field| format!("mapped to `{field}`"));
    SyntaxError::new(format!("missing column `{name}`, which is {why}"), place)
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
    other_name(contents, cell).is_none()
        && (cell.contains(char::is_numeric)
            || ["true", "false", "yes", "no", "on", "off"].iter().any(|flag| cell.eq_ignore_ascii_case(flag))
            || cell.split([' ', '-', '_']).any(odd))
}

/// A column that is not one of muster's.
struct Unknown<'a> {
    name: &'a str,
    place: Range<usize>,
}

/// Reports unknown columns and columns without a name.
fn unknown(columns: &[Unknown<'_>], known: &[Option<UserField>], shown: bool, notes: &mut Notes) -> Read<()> {
    let contents = notes.contents;
    let (nameless, named): (Vec<_>, Vec<_>) = columns.iter().partition(|column| column.name.is_empty());
    let mut names = Vec::new();
    for column in &named {
        names.push((shown && redact::is_printable_key(column.name, true)).then_some(column.name));
    }
    let error = |message: String, column: &Unknown<'_>| {
        let help = format!("{}; to leave a column out, add `--ignore COLUMN`", columns_help(contents));
        SyntaxError::new(message, column.place.clone()).help(help)
    };
    if let [first, ..] = named[..]
        && named.len() > MANY
    {
        let names: Vec<_> = names.into_iter().flatten().take(NAMED).map(|name| format!("`{name}`")).collect();
        let more = named.len() - names.len();
        let list = if names.is_empty() { String::new() } else { format!(": {} and {more} more", names.join(", ")) };
        notes.note(error(format!("{} unknown columns{list}", named.len()), first))?;
    } else {
        for (column, name) in named.iter().zip(names) {
            let Some(name) = name else {
                notes.note(error("unknown column".to_owned(), column))?;
                continue;
            };
            let error = error(format!("unknown column `{name}`"), column);
            let meant = near(contents, name).filter(|field| !known.contains(&Some(*field)));
            notes.note(match meant {
                Some(field) => {
                    let quote = if name.contains(' ') { "'" } else { "" };
                    error.help(format!(
                        "did you mean `{field}`? rename the column, or add `--map {quote}{name}={field}{quote}`"
                    ))
                }
                None => error,
            })?;
        }
    }
    if let [first, ..] = nameless[..]
        && nameless.len() > MANY
    {
        let error = SyntaxError::new(format!("{} columns have no name", nameless.len()), first.place.clone());
        return notes.note(error.help(columns_help(contents)));
    }
    nameless.iter().try_for_each(|column| notes.note(no_name(contents, column.place.clone())))
}

pub(super) fn no_name(contents: &Contents, place: Range<usize>) -> SyntaxError {
    SyntaxError::new("this column has no name", place).help(columns_help(contents))
}
