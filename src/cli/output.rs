//! Writing to the terminal, or to whatever stands in for it.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::Exit;

/// How data is written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
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
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Exit::Usage(format!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
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

/// Without what could write over the terminal. Names come from other people.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
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
