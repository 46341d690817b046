//! Paginated lists: fetching pages up to a limit, and reporting that the list was truncated.

use muster_client::{Error, Page};
use serde::Serialize;

use super::Exit;
use super::output::{self, Format, TableRow};

/// Rows per page.
const PAGE_SIZE: u8 = 50;

/// The rows of a list, up to a limit.
pub(super) struct Listed<T> {
    pub(super) rows: Vec<T>,
    /// Whether the server has more rows.
    is_truncated: bool,
}

/// Fetches page after page, by count and paging token, until there are `limit` rows or no more pages.
pub(super) async fn collect<T>(
    limit: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, Error>,
) -> Result<Listed<T>, Exit> {
    collect_by(PAGE_SIZE, limit, next).await
}

/// [`collect`] with another page size.
pub(super) async fn collect_by<T>(
    page_size: u8,
    limit: Option<u32>,
    mut next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, Error>,
) -> Result<Listed<T>, Exit> {
    let mut rows = Vec::new();
    let mut token = None;
    loop {
        let count = remaining(limit, rows.len())
            .map_or(page_size, |left| u8::try_from(left).unwrap_or(page_size).min(page_size));
        if count == 0 {
            return Ok(Listed { rows, is_truncated: true });
        }
        let page = next(count, token).await?;
        rows.extend(page.results);
        token = page.metadata.next_paging_token;
        if token.is_none() {
            return Ok(Listed { rows, is_truncated: false });
        }
    }
}

/// The number of rows left up to `limit`; `None` without a limit.
pub(super) fn remaining(limit: Option<u32>, listed: usize) -> Option<usize> {
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(listed))
}

impl<T: TableRow> Listed<T> {
    /// Prints the rows, and a note if the list was truncated.
    pub(super) fn print(&self, format: Format) -> Result<(), Exit> {
        output::print_list(format, &self.rows)?;
        if self.is_truncated {
            say_truncated(self.rows.len());
        }
        Ok(())
    }
}

/// Reports that the list has more rows than the `listed` ones.
pub(super) fn say_truncated(listed: usize) {
    output::say(&match listed {
        1 => "only the first result is shown; use `--max-items` to see more".to_owned(),
        _ => format!("only the first {listed} results are shown; use `--max-items` to see more"),
    });
}

/// Prints rows as JSON or CSV while they arrive, so that a long list is never in memory as a whole.
pub(super) struct Stream {
    format: Format,
    /// Number of rows printed.
    pub(super) count: usize,
}

impl Stream {
    pub(super) fn begin(format: Format, header: &[&str]) -> Result<Self, Exit> {
        if format == Format::Csv {
            output::print_csv(header, [])?;
        }
        Ok(Self { format, count: 0 })
    }

    /// Prints `values` as JSON, or `rows` as CSV; `false` if the reader closed the pipe.
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
