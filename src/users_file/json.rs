//! Makes rows with places from JSON, and from lines of JSON.
//!
//! The top level is read here, values in [`super::value`]. JSON is read as strictly as RFC 8259 says.
//! A problem that leaves the rest readable is noted and reading goes on; in a file of lines, that is
//! any problem of a line.

use super::error::Problem;
use super::hide::Show;
use super::parsed::{Parsed, Read, TopLevel, push, twice};
use super::value::Reader;
use super::{Contents, Row};

fn expected(contents: &Contents) -> String {
    format!("a users file is a list of users, or an object with such a list under `{}`", contents.list)
}

const LINES: &str = "one user a line is another format: `--format ndjson`, or a file that ends in .ndjson";

/// An array of users, or an object with one under its key.
pub(super) fn parse(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = Reader::new(contents, text, false);
    let rows = document(&mut reader).unwrap_or_else(|problem| {
        reader.hide_rest();
        reader.notes.problems.push(*problem);
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

fn document(reader: &mut Reader<'_>) -> Read<Vec<Row>> {
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
                .fail(start, Problem::new("there is no list of users here", start..start).help(expected(contents)));
        }
        None => return reader.fail(start, Problem::new("the file is empty", 0..0).help(expected(contents))),
    };
    let end = reader.skip();
    if let Some(next) = reader.peek() {
        let problem = Problem::new("the list has ended, but the file goes on", end..end);
        return reader.fail(end, if next == b'{' { problem.help(LINES) } else { problem });
    }
    if let Some(keys) = keys {
        if keys.is_a_user(contents) {
            return Err(Box::new(
                Problem::new("a list of users is due here, and this is one user", start..start + 1)
                    .help(one_of(contents)),
            ));
        }
        keys.judge(start, &format!("`{}` is missing", contents.list), expected(contents), &mut reader.notes)?;
    }
    Ok(rows)
}

fn list(reader: &mut Reader<'_>) -> Read<Vec<Row>> {
    let mut rows = Vec::new();
    reader.items(Show::Rows, |_, row| push(&mut rows, row))?;
    Ok(rows)
}

/// An object around the list.
fn top_level(reader: &mut Reader<'_>) -> Read<(Vec<Row>, TopLevel)> {
    let contents = reader.notes.contents;
    let start = reader.open()?;
    let (mut rows, mut keys) = (Vec::new(), TopLevel::default());
    let mut more = reader.any(start, b'}')?;
    while more {
        let (name, key) = reader.key()?;
        let at = reader.skip();
        if name != contents.list {
            // Perhaps the list under a misspelt name, perhaps anything: read like rows, so that only
            // keys are shown.
            let named = reader.named(&name, &key);
            reader.value(Show::Rows)?;
            keys.others.push((if named { name } else { String::new() }, key));
        } else if let Some(first) = &keys.list {
            let problem = twice(&format!("`{}`", contents.list), key, first.clone());
            reader.value(Show::Rows)?;
            reader.notes.note(problem)?;
        } else if reader.peek() == Some(b'[') {
            rows = list(reader)?;
            keys.list = Some(key);
        } else {
            let end = reader.value(Show::Rows)?.span.end;
            keys.list = Some(key);
            reader.notes.note(Problem::new(format!("`{}` must be a list", contents.list), at..end))?;
        }
        more = reader.more(start, b'}')?;
    }
    Ok((rows, keys))
}

/// A user on each line that isn't blank.
pub(super) fn parse_lines(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = Reader::new(contents, text, true);
    let mut rows = Vec::new();
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        reader.go_to(end, end + line.len());
        end += line.len();
        reader.skip();
        if reader.peek().is_none() {
            continue;
        }
        let read = one(&mut reader).or_else(|problem| {
            reader.hide_rest();
            reader.notes.note(*problem).map(|()| None)
        });
        if let Err(problem) = read.and_then(|row| row.map_or(Ok(()), |row| push(&mut rows, row))) {
            reader.notes.problems.push(*problem);
            reader.notes.hide(end..text.len());
            return reader.notes.into_parsed(Vec::new());
        }
    }
    if rows.is_empty() && reader.notes.problems.is_empty() {
        let problem = Problem::new("the file is empty", 0..0);
        reader.notes.problems.push(problem.help("a file of lines has one user a line, as a JSON object"));
    }
    reader.notes.into_parsed(rows)
}

/// The value of a line.
fn one(reader: &mut Reader<'_>) -> Read<Option<Row>> {
    let row = reader.value(Show::Rows)?;
    let end = reader.skip();
    if reader.peek().is_some() {
        return reader.fail(
            end,
            Problem::new("the user has ended, but the line goes on", end..end).help("each user has a line of its own"),
        );
    }
    Ok(Some(row))
}
