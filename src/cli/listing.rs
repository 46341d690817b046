//! Lists that come in pages: how much of them is shown, and that there is more.

use muster_client::{Error, Page};
use serde::Serialize;

use super::Exit;
use super::output::{self, Format};

/// Rows asked for at a time.
const PAGE_SIZE: u8 = 50;

/// As much of a list as was asked for.
pub(super) struct Listed<T> {
    pub(super) rows: Vec<T>,
    /// Whether the list goes on.
    is_cut: bool,
}

/// Asks for one page after the other, by count and token: until there are `most` rows, or all.
pub(super) async fn collect<T>(
    most: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, Error>,
) -> Result<Listed<T>, Exit> {
    collect_by(PAGE_SIZE, most, next).await
}

/// The same with so many rows at a time.
pub(super) async fn collect_by<T>(
    page_size: u8,
    most: Option<u32>,
    mut next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, Error>,
) -> Result<Listed<T>, Exit> {
    let mut rows = Vec::new();
    let mut token = None;
    loop {
        let count =
            rest(most, rows.len()).map_or(page_size, |rest| u8::try_from(rest).unwrap_or(page_size).min(page_size));
        if count == 0 {
            return Ok(Listed { rows, is_cut: true });
        }
        let page = next(count, token).await?;
        rows.extend(page.results);
        token = page.metadata.next_paging_token;
        if token.is_none() {
            return Ok(Listed { rows, is_cut: false });
        }
    }
}

/// How many rows are still to come; `None`: all there are.
pub(super) fn rest(most: Option<u32>, listed: usize) -> Option<usize> {
    most.map(|most| usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(listed))
}

impl<T: Serialize> Listed<T> {
    /// Prints the rows, and says whether there are more.
    pub(super) fn print(&self, format: Format, header: &[&str], row: impl Fn(&T) -> Vec<String>) -> Result<(), Exit> {
        output::print_list(format, &self.rows, header, self.rows.iter().map(row))?;
        if self.is_cut {
            say_more(self.rows.len());
        }
        Ok(())
    }
}

/// Says that a list goes on after so many rows.
pub(super) fn say_more(listed: usize) {
    output::say(&match listed {
        1 => "this is the first one; there are more (--max-items)".to_owned(),
        _ => format!("these are the first {listed}; there are more (--max-items)"),
    });
}

/// Rows that are printed as they come, as JSON or CSV: of a list that is longer than memory should be.
pub(super) struct Stream {
    format: Format,
    /// How many were printed.
    pub(super) count: usize,
}

impl Stream {
    pub(super) fn begin(format: Format, header: &[&str]) -> Result<Self, Exit> {
        if format == Format::Csv {
            output::print_csv(header, [])?;
        }
        Ok(Self { format, count: 0 })
    }

    /// Prints some: `values` as JSON, else the `rows`. Says whether somebody still reads.
    pub(super) fn push<V: Serialize>(&mut self, values: &[V], rows: Vec<Vec<String>>) -> Result<bool, Exit> {
        let mut text = String::new();
        if self.format == Format::Csv {
            text = output::csv_rows(rows).map_err(Exit::usage)?;
            self.count += values.len();
        } else {
            for value in values {
                let value = serde_json::to_string_pretty(value).map_err(Exit::usage)?;
                text.push_str(if self.count == 0 { "[\n  " } else { ",\n  " });
                text.push_str(&value.replace('\n', "\n  "));
                self.count += 1;
            }
        }
        output::write(&text)
    }

    pub(super) fn end(self) -> Result<(), Exit> {
        match self.format {
            Format::Csv => Ok(()),
            _ => output::print(if self.count == 0 { "[]" } else { "\n]" }),
        }
    }
}
