//! Paginated lists: fetching pages up to a limit, and reporting that the list was truncated.

use muster_client::{Page, PageMetadata};
use serde::Serialize;

use super::Exit;
use super::output::{self, Format, TableRow};
use crate::page;
use crate::users_file::csv_text;

/// Rows per page.
pub(super) const PAGE_SIZE: u8 = 50;

/// The rows of a list, up to a limit.
pub(super) struct Listed<T> {
    rows: Vec<T>,
    /// Whether the server has more rows.
    is_truncated: bool,
}

impl<T> Listed<T> {
    pub(super) fn into_rows(self) -> Vec<T> {
        self.rows
    }

    pub(super) fn map<U>(self, convert: impl FnMut(T) -> U) -> Listed<U> {
        Listed { rows: self.rows.into_iter().map(convert).collect(), is_truncated: self.is_truncated }
    }
}

/// Fetches page after page, by count and paging token, until there are `limit` rows or no more pages.
pub(super) async fn collect<T, E: Into<Exit>>(
    limit: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, E>,
) -> Result<Listed<T>, Exit> {
    collect_by(PAGE_SIZE, limit, next).await
}

/// [`collect`] with another page size.
pub(super) async fn collect_by<T, E: Into<Exit>>(
    page_size: u8,
    limit: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, E>,
) -> Result<Listed<T>, Exit> {
    let mut rows = Vec::new();
    let is_truncated = each_page(page_size, limit, next, |page| {
        rows.extend(page);
        Ok(true)
    });
    Ok(Listed { is_truncated: is_truncated.await?, rows })
}

/// Passes page after page to `take`, up to `limit` rows or until `take` returns `false`. Returns whether the limit was
/// reached before the last page.
pub(super) async fn each_page<T, E: Into<Exit>>(
    page_size: u8,
    limit: Option<u32>,
    mut next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, E>,
    mut take: impl FnMut(Vec<T>) -> Result<bool, Exit>,
) -> Result<bool, Exit> {
    let mut left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut token = None;
    while left > 0 {
        let page = next(u8::try_from(left).unwrap_or(page_size).min(page_size), token).await.map_err(Into::into)?;
        left = left.saturating_sub(page.results.len());
        token = page.metadata.next_paging_token;
        if !take(page.results)? || token.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Converts a page of an operation on the database to that of a server.
pub(super) fn page<R, T>(page: page::Page<R>, convert: impl FnMut(R) -> T) -> Page<T> {
    let metadata = PageMetadata { total: None, next_paging_token: page.next };
    Page { results: page.rows.into_iter().map(convert).collect(), metadata }
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

/// Prints the rows of a list. JSON and CSV are printed while the pages arrive, so that a long list is never in memory as a
/// whole.
pub(super) async fn stream<T: TableRow, E: Into<Exit>>(
    format: Format,
    limit: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, E>,
) -> Result<(), Exit> {
    match format {
        Format::Table | Format::Wide => return collect(limit, next).await?.print(format),
        Format::Csv => output::print_csv(T::HEADER, [])?,
        Format::Json => (),
    }
    let mut count = 0;
    let is_truncated = each_page(PAGE_SIZE, limit, next, |rows| {
        let mut text = String::new();
        if format == Format::Csv {
            text = csv_text(rows.iter().map(|row| row.cells(format))).map_err(Exit::usage)?;
        } else {
            for (index, row) in rows.iter().enumerate() {
                let row = output::json(row)?;
                text.push_str(if count + index == 0 { "[\n  " } else { ",\n  " });
                text.push_str(&row.replace('\n', "\n  "));
            }
        }
        count += rows.len();
        output::write(&text)
    });
    let is_truncated = is_truncated.await?;
    if format == Format::Json {
        output::print(if count == 0 { "[]" } else { "\n]" })?;
    }
    if is_truncated {
        say_truncated(count);
    }
    Ok(())
}

/// Prints the rows of a list as JSON lines while the pages arrive.
pub(super) async fn stream_lines<T: Serialize, E: Into<Exit>>(
    limit: Option<u32>,
    next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<T>, E>,
) -> Result<(), Exit> {
    let mut count = 0;
    let is_truncated = each_page(PAGE_SIZE, limit, next, |rows| {
        let mut text = String::new();
        for row in &rows {
            text.push_str(&serde_json::to_string(row).map_err(Exit::usage)?);
            text.push('\n');
        }
        count += rows.len();
        output::write(&output::escaped(&text))
    });
    if is_truncated.await? {
        say_truncated(count);
    }
    Ok(())
}

/// Reports that the list has more rows than the `listed` ones.
fn say_truncated(listed: usize) {
    output::say(&match listed {
        1 => "only the first result is shown; use `--max-items` to see more".to_owned(),
        _ => format!("only the first {listed} results are shown; use `--max-items` to see more"),
    });
}
