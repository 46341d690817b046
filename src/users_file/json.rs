//! Parses JSON (RFC 8259, strictly) and JSON lines into rows.
//!
//! The top level is parsed here, values in [`super::json_value`]. Parsing continues after an error if the rest is
//! unambiguous; with JSON lines, it continues at the next line.

use super::error::SyntaxError;
use super::json_value::JsonReader;
use super::parsed::{Parsed, Read, TopLevel, duplicate, push};
use super::redact::Visibility;
use super::{Contents, FileRow};

fn expected(contents: &Contents) -> String {
    format!("a users file is a list of users, or an object with the list under `{}`", contents.list)
}

const LINES: &str = "for one user per line, use `--format ndjson` or a file name that ends in .ndjson";

/// Parses an array of users, or an object with the array under its key.
pub(super) fn parse(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = JsonReader::new(contents, text, false);
    let rows = document(&mut reader).unwrap_or_else(|error| {
        reader.hide_rest();
        reader.notes.errors.push(error);
        Vec::new()
    });
    reader.notes.into_parsed(rows)
}

fn one_of(contents: &Contents) -> String {
    format!(
        "write `[{{\"{}\": …}}]` or `{{\"{}\": […]}}`",
        contents.required.first().map_or("", |field| field.as_str()),
        contents.list
    )
}

fn document(reader: &mut JsonReader<'_>) -> Read<Vec<FileRow>> {
    let contents = reader.notes.contents;
    let start = reader.skip();
    let (rows, keys) = match reader.peek() {
        Some(b'[') => (list(reader)?, None),
        Some(b'{') => {
            let (rows, keys) = top_level(reader)?;
            (rows, Some(keys))
        }
        Some(_) => {
            return reader
                .fail(start, SyntaxError::new("expected a list of users", start..start).help(expected(contents)));
        }
        None => return reader.fail(start, SyntaxError::new("the file is empty", 0..0).help(expected(contents))),
    };
    let end = reader.skip();
    if let Some(next) = reader.peek() {
        let error = SyntaxError::new("unexpected text after the list", end..end);
        return reader.fail(end, if next == b'{' { error.help(LINES) } else { error });
    }
    if let Some(keys) = keys {
        if keys.is_a_user(contents) {
            return Err(SyntaxError::new("expected a list of users, found a single user", start..start + 1)
                .help(one_of(contents)));
        }
        keys.check(start, &format!("`{}` is missing", contents.list), expected(contents), &mut reader.notes)?;
    }
    Ok(rows)
}

fn list(reader: &mut JsonReader<'_>) -> Read<Vec<FileRow>> {
    let mut rows = Vec::new();
    reader.items(Visibility::Rows, |row| push(&mut rows, row))?;
    Ok(rows)
}

/// Parses the object around the list.
fn top_level(reader: &mut JsonReader<'_>) -> Read<(Vec<FileRow>, TopLevel)> {
    let contents = reader.notes.contents;
    let start = reader.open()?;
    let (mut rows, mut keys) = (Vec::new(), TopLevel::default());
    let mut more = reader.any(start, b'}')?;
    while more {
        let (name, key) = reader.key()?;
        let at = reader.skip();
        if name != contents.list {
            // Possibly the list under a misspelled key: parsed like rows, so that only keys are shown.
            let shown = reader.notes.is_shown(&name, &key, true);
            reader.value(Visibility::Rows)?;
            keys.others.push((if shown { name } else { String::new() }, key));
        } else if let Some(first) = &keys.list {
            let error = duplicate(&format!("key `{}`", contents.list), key, first.clone());
            reader.value(Visibility::Rows)?;
            reader.notes.note(error)?;
        } else if reader.peek() == Some(b'[') {
            rows = list(reader)?;
            keys.list = Some(key);
        } else {
            let end = reader.value(Visibility::Rows)?.span.end;
            keys.list = Some(key);
            reader.notes.note(SyntaxError::new(format!("`{}` must be a list", contents.list), at..end))?;
        }
        more = reader.more(start, b'}')?;
    }
    Ok((rows, keys))
}

/// Parses one user per non-blank line.
pub(super) fn parse_lines(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = JsonReader::new(contents, text, true);
    let mut rows = Vec::new();
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        reader.go_to(end, end + line.len());
        end += line.len();
        reader.skip();
        if reader.peek().is_none() {
            continue;
        }
        let read = match one(&mut reader) {
            Ok(row) => push(&mut rows, row),
            Err(error) => {
                reader.hide_rest();
                reader.notes.note(error)
            }
        };
        if let Err(error) = read {
            reader.notes.errors.push(error);
            reader.notes.hide(end..text.len());
            return reader.notes.into_parsed(Vec::new());
        }
    }
    if rows.is_empty() && reader.notes.errors.is_empty() {
        let error = SyntaxError::new("the file is empty", 0..0);
        reader.notes.errors.push(error.help("an NDJSON file has one JSON object per line"));
    }
    reader.notes.into_parsed(rows)
}

/// Parses the value of a line.
fn one(reader: &mut JsonReader<'_>) -> Read<FileRow> {
    let row = reader.value(Visibility::Rows)?;
    let end = reader.skip();
    if reader.peek().is_some() {
        return reader.fail(
            end,
            SyntaxError::new("unexpected text after the user", end..end).help("write each user on a line of its own"),
        );
    }
    Ok(row)
}
