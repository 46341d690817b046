//! Lists come in pages. The next page starts behind the last row of this one (keyset
//! paging), so that the thousandth costs what the first does, and rows that come or go
//! meanwhile shift nothing.

use crate::error::{Error, Result};
use crate::id::{Id, Kind};

/// Rows on a page when the client doesn't say; the vendor's client asks for 50.
pub const DEFAULT_COUNT: u16 = 50;

/// Rows on a page at most, as in the vendor's API.
pub const MAX_COUNT: u16 = 50;

/// Which page is asked for.
#[derive(Debug)]
pub struct PageRequest<K: Kind> {
    /// How many rows.
    pub count: u16,
    /// The id of the last row of the page before; `None` for the first page.
    pub after: Option<Id<K>>,
}

impl<K: Kind> PageRequest<K> {
    /// Reads `count` and `paging_token` of a query.
    ///
    /// # Errors
    /// `invalid_request` when the count is not 1 to 50 or the token is not one of muster's.
    pub fn parse(count: Option<&str>, paging_token: Option<&str>) -> Result<Self> {
        // What is no number is none that there can be.
        Self::new(count.map(|text| text.parse().unwrap_or_default()), paging_token)
    }

    /// The same with a count that is a number.
    ///
    /// # Errors
    /// As [`PageRequest::parse`].
    pub fn new(count: Option<u16>, paging_token: Option<&str>) -> Result<Self> {
        let count = match count {
            None => DEFAULT_COUNT,
            Some(count @ 1..=MAX_COUNT) => count,
            Some(_) => return Err(Error::invalid(format!("`count` has to be a number from 1 to {MAX_COUNT}"))),
        };
        let after =
            match paging_token {
                None => None,
                Some(token) => Some(token.parse().map_err(|_| {
                    Error::invalid("`paging_token` has to be the `next_paging_token` of the page before")
                })?),
            };
        Ok(Self { count, after })
    }

    /// One row more than the page holds: its presence tells that there is another page.
    pub(crate) fn limit(&self) -> i64 {
        i64::from(self.count) + 1
    }
}

/// One page.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Asks for the next page; `None` on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to `count + 1` rows, as fetched with [`PageRequest::limit`].
    pub(crate) fn new<K: Kind>(request: &PageRequest<K>, mut rows: Vec<T>, id: impl Fn(&T) -> Id<K>) -> Self {
        let count = usize::from(request.count);
        let more = rows.len() > count;
        rows.truncate(count);
        let next = rows.last().filter(|_| more).map(|row| id(row).to_string());
        Self { rows, next }
    }
}
