//! Writing to the terminal, or to whatever stands in for it.
//!
//! # Decisions
//!
//! - **A CSV cell that a spreadsheet would run as a formula begins with a `'`** (OWASP, CSV injection:
//!   `=`, `+`, `-`, `@`, a tab or a carriage return first). Names and titles come from other people,
//!   and CSV is for spreadsheets; programs that need every character as it is take JSON.
//! - **Invisible characters are replaced in tables and sentences**, as control characters are: with
//!   them one name looks like another, or runs backwards.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::Exit;
use crate::users_file::is_invisible;

/// How data is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets: RFC 4180, the first line names the columns. A cell that would be a formula (=, +, -, @ or a
    /// tab first) gets a ' before it.
    Csv,
}

impl Format {
    /// What stands where there is nothing: for people a mark, for programs nothing.
    pub(super) const fn nothing(self) -> &'static str {
        match self {
            Self::Table => "-",
            Self::Json | Self::Csv => "",
        }
    }
}

/// Words, to standard error. Where they can't go (a closed terminal) nobody reads them.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Data, to standard output.
///
/// # Errors
/// When nobody takes it, except that a reader who has seen enough (`| head`) is fine.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    write(&format!("{}\n", text.trim_end_matches('\n'))).map(|_| ())
}

/// Text to standard output. Says whether somebody still reads.
pub(super) fn write(text: &str) -> Result<bool, Exit> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Exit::Usage(format!("standard output can't be written: {error}"))),
    }
}

/// A list in the format that was asked for: `values` whole as JSON, else the columns of `header`.
pub(super) fn print_list(
    format: Format,
    values: &impl Serialize,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), Exit> {
    match format {
        Format::Table => print_table(header, rows),
        Format::Json => print_json(values),
        Format::Csv => print_csv(header, rows),
    }
}

/// Data as JSON, to standard output.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Exit> {
    print(&serde_json::to_string_pretty(value).map_err(Exit::usage)?)
}

/// Data as a table, to standard output. On a terminal it fits the width; in a pipe each row is a line.
pub(super) fn print_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Exit> {
    print(&table(header, rows))
}

/// Data as CSV, to standard output.
pub(super) fn print_csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Exit> {
    write(&csv(header, rows).map_err(Exit::usage)?).map(|_| ())
}

/// CSV as text. `USER ID` is `user_id` there.
fn csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<String, Box<dyn std::error::Error>> {
    let names = header.iter().map(|name| name.to_lowercase().replace(' ', "_")).collect();
    Ok(csv_rows([names])? + &csv_rows(rows)?)
}

/// Rows of CSV as text.
pub(super) fn csv_rows(rows: impl IntoIterator<Item = Vec<String>>) -> Result<String, Box<dyn std::error::Error>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.into_iter().map(no_formula))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// A cell that no spreadsheet runs.
fn no_formula(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

/// A table as text.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(|cell| clean(&cell)).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    text.join("\n")
}

/// Without what could write over the terminal, turn it around or not be seen. Names come from other
/// people.
pub(super) fn clean(text: &str) -> String {
    let is_unseen = |c: char| c.is_control() || is_invisible(c);
    text.chars().map(|c| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A time for people.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A span of time as people write it: `90d`, `12h`, `30m`.
pub(super) fn parse_span(text: &str) -> Result<chrono::Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .and_then(|span| chrono::Duration::from_std(span).ok())
        .ok_or_else(|| "has to be a number with a unit, such as 90d, 12h or 30m".to_owned())
}

/// A span of seconds for people: `40 s`, `12 min`.
pub(super) fn seconds(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// `1 user`, `2 users`.
pub(super) fn users(count: usize) -> String {
    format!("{count} {}", if count == 1 { "user" } else { "users" })
}

/// `this user`, `these 2 users`.
pub(super) fn these_users(count: usize) -> String {
    if count == 1 { "this user".to_owned() } else { format!("these {}", users(count)) }
}

/// A word of a command for a shell, quoted if it has to be.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", clean(word).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Vec<String>; 2] {
        [["a@x.org", "Ada, \"the\" first"], ["b@x.org", "two\nlines"]].map(|row| row.map(str::to_owned).to_vec())
    }

    #[test]
    fn csv_is_quoted_and_ended_as_rfc_4180_says() {
        assert_eq!(
            csv(&["EMAIL", "USER ID"], rows()).unwrap(),
            "email,user_id\r\na@x.org,\"Ada, \"\"the\"\" first\"\r\nb@x.org,\"two\nlines\"\r\n"
        );
        assert_eq!(csv(&["EMAIL"], []).unwrap(), "email\r\n");
    }

    #[test]
    fn no_cell_of_csv_is_a_formula() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=cmd|' /C calc'!A0,\"x\"", "\"'=cmd|' /C calc'!A0,\"\"x\"\"\""),
            ("a=b", "a=b"),
            ("", "\"\""),
        ] {
            assert_eq!(csv(&["NAME"], [vec![cell.to_owned()]]).unwrap(), format!("name\r\n{written}\r\n"));
        }
    }

    #[test]
    fn what_turns_text_around_or_is_not_seen_is_replaced() {
        assert_eq!(
            clean("a\u{202e}b\u{200b}c\u{2066}d\u{ad}e\u{1b}f"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(clean("Åsa 🧑 密"), "Åsa 🧑 密");
    }

    #[test]
    fn a_table_has_a_line_for_each_row_whatever_a_name_holds() {
        assert_eq!(
            table(&["EMAIL", "NAME"], rows()),
            "EMAIL    NAME\na@x.org  Ada, \"the\" first\nb@x.org  two\u{fffd}lines"
        );
    }

    #[test]
    fn spans_and_counts_are_written_for_people() {
        assert_eq!([1, 119, 120, 121].map(seconds), ["1 s", "119 s", "2 min", "3 min"]);
        assert_eq!([0, 1, 2].map(users), ["0 users", "1 user", "2 users"]);
        assert_eq!([1, 2].map(these_users), ["this user", "these 2 users"]);
    }

    #[test]
    fn words_for_a_shell_are_quoted_where_they_need_it() {
        assert_eq!(shell_word("dir/users-2.yaml"), "dir/users-2.yaml");
        assert_eq!(shell_word("my users.yaml"), "'my users.yaml'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
