//! Keyset pagination: a page starts after the last row of the previous page. The thousandth page costs as much as the
//! first, and rows that are added or deleted in between do not shift the others.

use crate::error::{Error, Result};
use crate::id::{Id, Kind};

/// The default number of rows on a page.
pub const DEFAULT_COUNT: u16 = 50;

/// The maximum number of rows on a page, as in the vendor's API.
pub const MAX_COUNT: u16 = 50;

/// A request for a page.
#[derive(Debug)]
pub struct PageRequest<K: Kind> {
    /// The maximum number of rows.
    pub count: u16,
    /// The ID of the last row of the previous page; `None` for the first page.
    pub after: Option<Id<K>>,
}

impl<K: Kind> PageRequest<K> {
    /// Parses the parameters `count` and `paging_token` of a query.
    ///
    /// # Errors
    /// `invalid_request` if the count is not a number from 1 to 50 or the token is malformed.
    pub fn parse(count: Option<&str>, paging_token: Option<&str>) -> Result<Self> {
        // 0, like anything that is not a number, is out of range.
        Self::new(count.map(|text| text.parse().unwrap_or_default()), paging_token)
    }

    /// As [`PageRequest::parse`], with a parsed count.
    ///
    /// # Errors
    /// As [`PageRequest::parse`].
    pub fn new(count: Option<u16>, paging_token: Option<&str>) -> Result<Self> {
        let count = match count {
            None => DEFAULT_COUNT,
            Some(count @ 1..=MAX_COUNT) => count,
            Some(_) => return Err(Error::invalid(format!("`count` must be a number from 1 to {MAX_COUNT}"))),
        };
        let after =
            match paging_token {
                None => None,
                Some(token) => Some(token.parse().map_err(|_| {
                    Error::invalid("`paging_token` must be the `next_paging_token` of the previous page")
                })?),
            };
        Ok(Self { count, after })
    }

    /// The number of rows to query: the row after the page shows whether there is a next page.
    pub(crate) fn limit(&self) -> i64 {
        i64::from(self.count) + 1
    }
}

/// A page of rows.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The paging token of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from the rows that were queried with [`PageRequest::limit`].
    pub(crate) fn new<K: Kind>(request: &PageRequest<K>, mut rows: Vec<T>, id: impl Fn(&T) -> Id<K>) -> Self {
        let count = usize::from(request.count);
        let more = rows.len() > count;
        rows.truncate(count);
        let next = rows.last().filter(|_| more).map(|row| id(row).to_string());
        Self { rows, next }
    }
}
