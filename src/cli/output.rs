//! Output: data to standard output, messages and questions to standard error.
//!
//! # Decisions
//!
//! - **A CSV cell that a spreadsheet would evaluate as a formula is prefixed with `'`** (OWASP, CSV injection: `=`,
//!   `+`, `-`, `@`, tab or carriage return first). Names and titles are untrusted input. A users file is read without the
//!   prefix; other programs that need the exact text read JSON.
//! - **No control or invisible character is printed**, whatever a server sends: escape sequences can take over the
//!   terminal, and invisible characters spoof or reverse a name. [`say`] and [`write()`] replace them in every text; JSON
//!   escapes them, so that it stays exact. Only [`say_rendered`] prints colors.

use std::io::{BufRead, IsTerminal, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::Exit;
use crate::shell;
use crate::users::is_invisible;
use crate::users_file::csv_text;

/// Format of the data on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, for people; on a terminal, as many of them as fit.
    Table,
    /// As `table`, always with all columns.
    Wide,
    /// For programs: every field.
    Json,
    /// For spreadsheets: RFC 4180 with a header row. A cell that a spreadsheet would evaluate as a formula (=, +, -, @
    /// or a tab first) is prefixed with '.
    Csv,
}

impl Format {
    /// Whether the output is for people.
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// Placeholder for a missing value: `-` in a table, empty in CSV.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::Table | Self::Wide => "-",
            Self::Json | Self::Csv => "",
        }
    }
}

/// A resource that is printed as one row of a table or of CSV.
pub(super) trait TableRow: Serialize {
    const HEADER: &'static [&'static str];

    fn cells(&self, format: Format) -> Vec<String>;
}

/// Prints a message to standard error. A write error (a closed terminal) is ignored.
pub fn say(line: &str) {
    say_rendered(&printable(line));
}

/// Prints a report on a users file, which has colors and only printable text, to standard error.
pub(super) fn say_rendered(report: &str) {
    let _ = writeln!(std::io::stderr(), "{report}");
}

/// Prints text to standard output, with one line feed at its end. A closed pipe (`| head`) is not an error.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    write(&format!("{}\n", text.trim_end_matches('\n'))).map(|_| ())
}

/// Writes text to standard output; `false` if the reader closed the pipe.
pub(super) fn write(text: &str) -> Result<bool, Exit> {
    write_bytes(&printable(text))
}

/// Writes text that is read again later: without replacements, unless standard output is a terminal.
pub(super) fn write_exact(text: &str) -> Result<bool, Exit> {
    if std::io::stdout().is_terminal() { write(text) } else { write_bytes(text) }
}

fn write_bytes(text: &str) -> Result<bool, Exit> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Exit::Usage(format!("can't write to standard output: {error}"))),
    }
}

/// Prints one resource: an object as JSON, else a header and a row.
pub(super) fn print_one<T: TableRow>(format: Format, value: &T) -> Result<(), Exit> {
    print_rows(format, value, T::HEADER, [value.cells(format)])
}

/// Prints a message instead of a table, else one resource.
pub(super) fn say_or_print<T: TableRow>(format: Format, message: &str, value: &T) -> Result<(), Exit> {
    if format.is_table() {
        say(message);
        return Ok(());
    }
    print_one(format, value)
}

/// Prints a list of resources: an array as JSON, else a header and a row for each.
pub(super) fn print_list<T: TableRow>(format: Format, values: &[T]) -> Result<(), Exit> {
    print_rows(format, &values, T::HEADER, values.iter().map(|value| value.cells(format)))
}

/// Prints `values` as JSON, else `header` and `rows`.
pub(super) fn print_rows(
    format: Format,
    values: &impl Serialize,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), Exit> {
    match format {
        Format::Table => print_fitting(header, rows.into_iter().collect()),
        Format::Wide => print_table(header, rows),
        Format::Json => print_json(values),
        Format::Csv => print_csv(header, rows),
    }
}

/// Prints indented JSON to standard output.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Exit> {
    print(&json(value)?)
}

/// Indented JSON with escapes for all unsafe characters.
pub(super) fn json(value: &impl Serialize) -> Result<String, Exit> {
    Ok(escaped(&serde_json::to_string_pretty(value).map_err(Exit::usage)?))
}

/// JSON on one line with escapes for all unsafe characters.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, Exit> {
    Ok(escaped(&serde_json::to_string(value).map_err(Exit::usage)?))
}

/// JSON text as YAML, which has no surrogate pairs: with escapes for all unsafe characters.
pub(super) fn yaml_text(json: &str) -> String {
    let mut yaml = String::with_capacity(json.len());
    for c in json.chars() {
        match u32::from(c) {
            _ if !is_unsafe(c) => yaml.push(c),
            code @ 0..=0xffff => yaml.push_str(&format!("\\u{code:04x}")),
            code => yaml.push_str(&format!("\\U{code:08x}")),
        }
    }
    yaml
}

/// Prints JSON lines to standard output, with escapes for all unsafe characters.
pub(super) fn print_ndjson(lines: &str) -> Result<(), Exit> {
    write(&escaped(lines)).map(|_| ())
}

/// Escapes the unsafe characters of JSON text, which occur only in strings.
pub(super) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Prints a table to standard output, one line for each row.
pub(super) fn print_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Exit> {
    print(&table(header, rows))
}

/// Prints a table to standard output. On a terminal that is too narrow, the last columns are left out, with a note.
fn print_fitting(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Exit> {
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let columns = width.map_or(header.len(), |width| fitting_columns(header, &rows, width));
    let (shown, left_out) = header.split_at(columns);
    print_table(
        shown,
        rows.into_iter().map(|mut row| {
            row.truncate(columns);
            row
        }),
    )?;
    if !left_out.is_empty() {
        say(&format!(
            "left out, because the terminal is too narrow: {}; `-o wide` prints all columns",
            left_out.join(", ")
        ));
    }
    Ok(())
}

/// The number of columns, at least one, that fit into a width.
fn fitting_columns(header: &[&str], rows: &[Vec<String>], width: usize) -> usize {
    let width_of = |column: usize, name: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| clean(cell).width());
        cells.chain([name.width()]).max().unwrap_or_default()
    };
    let mut end = 0;
    let fits = |(column, name): &(usize, &&str)| {
        let start = if *column == 0 { 0 } else { end + GAP };
        end = start + width_of(*column, name);
        end <= width
    };
    header.iter().enumerate().take_while(fits).count().max(1)
}

/// The number of blanks between two columns.
const GAP: usize = 2;

/// Prints CSV to standard output.
pub(super) fn print_csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Exit> {
    write(&csv(header, rows).map_err(Exit::usage)?).map(|_| ())
}

/// A list of resources as CSV, with the same replacements as on standard output.
pub(super) fn csv_list<T: TableRow>(values: &[T]) -> Result<String, Exit> {
    let text = csv(T::HEADER, values.iter().map(|value| value.cells(Format::Csv))).map_err(Exit::usage)?;
    Ok(printable(&text))
}

/// CSV as text; the header `USER ID` becomes `user_id`.
fn csv(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let names = header.iter().map(|name| name.to_lowercase().replace(' ', "_"));
    let names: Vec<String> = names.collect();
    Ok(csv_text([names])? + &csv_text(rows)?)
}

/// A table as text.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    let clean_row = |row: Vec<String>| row.iter().map(|cell| clean(cell)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).map(clean_row).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (cell, width) in row.iter().zip(&mut widths) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
        }
        text.push_str(line.trim_end());
    }
    text
}

/// Whether a character could control the terminal or spoof a name.
fn is_unsafe(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Makes a text one line: replaces control and invisible characters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Replaces control and invisible characters other than tabs and line ends.
fn printable(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut printable = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        let is_line_end = c == '\n' || (c == '\r' && chars.peek() == Some(&'\n'));
        let is_printed = is_line_end || c == '\t' || !is_unsafe(c);
        printable.push(if is_printed { c } else { char::REPLACEMENT_CHARACTER });
    }
    printable
}

/// A time in RFC 3339, in whole seconds.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Parses a duration such as `90d`, `12h` or `30m`.
pub(super) fn parse_duration(text: &str) -> Result<chrono::Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .and_then(|span| chrono::Duration::from_std(span).ok())
        .ok_or_else(|| "expected a number with a unit, such as 90d, 12h or 30m".to_owned())
}

/// Whether the terminal can't show colors and progress bars.
pub(super) fn is_dumb_terminal() -> bool {
    crate::config::environment("TERM").is_some_and(|term| term == "dumb")
}

/// A number of seconds, rounded up to minutes from two minutes on: `40 s`, `12 min`.
pub(super) fn seconds(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// `1 user`, `2 users`.
pub(super) fn users(count: usize) -> String {
    self::count(count, "user")
}

/// A number with a noun, whose plural ends in `s`.
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `this user`, `these 2 users`.
pub(super) fn these_users(count: usize) -> String {
    if count == 1 { "this user".to_owned() } else { format!("these {}", users(count)) }
}

/// Quotes a command-line argument for a POSIX shell if necessary, and makes it one line.
pub(super) fn shell_quote(word: &str) -> String {
    shell::quote(&clean(word))
}

/// First and last name, separated by a space.
pub(super) fn full_name(name: &str, lastname: Option<&str>) -> String {
    match lastname {
        None | Some("") => name.to_owned(),
        Some(lastname) => format!("{name} {lastname}"),
    }
}

/// Fails if there is no terminal to ask for confirmation on; `otherwise` are the flags that make the question unnecessary.
pub(super) fn require_terminal(otherwise: &str) -> Result<(), Exit> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Exit::Usage(format!("can't ask for confirmation without a terminal; add {otherwise}")))
}

/// Asks a question on the terminal; anything but `y` or `yes` is a no.
pub(super) fn confirm(question: &str) -> bool {
    let mut err = std::io::stderr();
    let mut answer = String::new();
    err.write_all(printable(question).as_bytes()).and_then(|()| err.flush()).is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Vec<String>; 2] {
        [["a@x.org", "Ada, \"the\" first"], ["b@x.org", "two\nlines"]].map(|row| row.map(str::to_owned).to_vec())
    }

    #[test]
    fn csv_follows_rfc_4180() {
        assert_eq!(
            csv(&["EMAIL", "USER ID"], rows()).unwrap(),
            "email,user_id\r\na@x.org,\"Ada, \"\"the\"\" first\"\r\nb@x.org,\"two\nlines\"\r\n"
        );
        assert_eq!(csv(&["EMAIL"], []).unwrap(), "email\r\n");
    }

    #[test]
    fn formulas_in_csv_cells_are_escaped() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=cmd|' /C calc'!A0,\"x\"", "\"'=cmd|' /C calc'!A0,\"\"x\"\"\""),
            ("'=1", "''=1"),
            ("'quoted'", "'quoted'"),
            ("a=b", "a=b"),
            ("", "\"\""),
        ] {
            assert_eq!(csv(&["NAME"], [vec![cell.to_owned()]]).unwrap(), format!("name\r\n{written}\r\n"));
        }
    }

    #[test]
    fn json_text_is_valid_yaml() {
        assert_eq!(yaml_text(r#""a\n\u{1f468}""#), r#""a\n\u{1f468}""#);
        assert_eq!(yaml_text("\"\u{200d}\u{e0041}👨\""), "\"\\u200d\\U000e0041👨\"");
    }

    #[test]
    fn bidirectional_and_invisible_characters_are_replaced() {
        assert_eq!(
            clean("a\u{202e}b\u{200b}c\u{2066}d\u{ad}e\u{1b}f"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(clean("Åsa 🧑 密"), "Åsa 🧑 密");
    }

    #[test]
    fn line_ends_and_tabs_are_printed_and_json_is_exact() {
        assert_eq!(printable("a\tb\r\nc\rd\x1b[31me\u{9b}f"), "a\tb\r\nc\u{fffd}d\u{fffd}[31me\u{fffd}f");
        let text = "\x1b]0;x\x07 \u{9b}31m \u{7f} \u{202e} \u{200b} \u{e0041} \r\n é 🧑";
        let shown = json(&[text]).unwrap();
        assert!(!shown.chars().any(|c| c != '\n' && is_unsafe(c)), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text]);
    }

    #[test]
    fn a_table_has_one_line_per_row_even_if_a_name_has_line_breaks() {
        assert_eq!(
            table(&["EMAIL", "NAME"], rows()),
            "EMAIL    NAME\na@x.org  Ada, \"the\" first\nb@x.org  two\u{fffd}lines"
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out_from_the_end() {
        let header = ["EMAIL", "NAME", "ID"];
        let rows = [vec!["ada@x.org".to_owned(), "密密".to_owned(), "usr_1".to_owned()]];
        for (width, columns) in [(1, 1), (9, 1), (14, 1), (15, 2), (21, 2), (22, 3), (200, 3)] {
            assert_eq!(fitting_columns(&header, &rows, width), columns, "{width}");
        }
    }

    #[test]
    fn durations_and_counts_are_readable() {
        assert_eq!([1, 119, 120, 121].map(seconds), ["1 s", "119 s", "2 min", "3 min"]);
        assert_eq!([0, 1, 2].map(users), ["0 users", "1 user", "2 users"]);
        assert_eq!([1, 2].map(these_users), ["this user", "these 2 users"]);
    }

    #[test]
    fn shell_arguments_are_quoted_where_necessary() {
        assert_eq!(shell_quote("dir/users-2.yaml"), "dir/users-2.yaml");
        assert_eq!(shell_quote("my users.yaml"), "'my users.yaml'");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
        assert_eq!(shell_quote(""), "''");
    }
}
