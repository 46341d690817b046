//! Keyset pagination: a page starts after the last row of the previous page. The thousandth page costs as much as the
//! first, and rows that are added or deleted in between do not shift the others.
//!
//! [`PageRequest`] and [`Page`] are for lists in the order of IDs, which are read forward. [`Span`] and [`Slice`] are for lists with
//! orders and filters, which are read in both directions.
//!
//! # Decisions
//!
//! *The token of a [`Slice`] names its list* by a digest of the filters and the order: with others, its position would mean
//! something else, and rows would be missing without a sign. A token is not signed: it only says where to read.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

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

/// The numbers of rows that a page for people can have; the first one is the default.
pub const COUNTS: [u16; 3] = [50, 100, 200];

/// Identifies a list: what is listed, by which filters, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListKey([u8; 8]);

impl ListKey {
    /// The key of the list that these texts describe, such as the noun, the order and each filter.
    #[must_use]
    pub fn of<'a>(description: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        for text in description {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        let mut key = [0; 8];
        key.iter_mut().zip(digest.finalize()).for_each(|(place, byte)| *place = byte);
        Self(key)
    }
}

/// The place of a row in its list: the value that the list is ordered by, as text, and the ID, which decides between equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The value that the list is ordered by; empty if that is the ID.
    pub key: String,
    /// The ID of the row.
    pub id: Uuid,
}

impl Position {
    /// The position of a row.
    #[must_use]
    pub fn new(key: impl Into<String>, id: impl Into<Uuid>) -> Self {
        Self { key: key.into(), id: id.into() }
    }

    fn token(&self, list: ListKey) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([&list.0, self.id.as_bytes().as_slice(), self.key.as_bytes()].concat())
    }

    fn parse(token: &str, list: ListKey) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (digest, rest) = bytes.split_first_chunk::<8>()?;
        let (id, key) = rest.split_first_chunk::<16>()?;
        // PostgreSQL has no text with a NUL character.
        let key = str::from_utf8(key).ok().filter(|key| !key.contains('\0'))?;
        (*digest == list.0).then(|| Self::new(key, Uuid::from_bytes(*id)))
    }

    /// The position right after (`1`) or right before (`-1`) this one.
    fn beside(&self, step: i8) -> Self {
        let id = self.id.as_u128();
        let id = if step > 0 { id.saturating_add(1) } else { id.saturating_sub(1) };
        Self::new(self.key.as_str(), Uuid::from_u128(id))
    }
}

/// A request for the part of an ordered list before or after a position.
#[derive(Clone, Debug)]
pub struct Span {
    list: ListKey,
    count: u16,
    start: Option<Position>,
    is_backward: bool,
}

impl Span {
    /// Parses the parameters `count`, `after` and `before` of a page for people. Without a token, the list is read from its beginning.
    ///
    /// # Errors
    /// `invalid_request` if the count is none of [`COUNTS`], if both tokens are present, and for a token of another list.
    pub fn parse(list: ListKey, count: Option<&str>, after: Option<&str>, before: Option<&str>) -> Result<Self> {
        let [default, ..] = COUNTS;
        let count = match count {
            None => default,
            Some(text) => {
                let count = text.parse().ok().filter(|count| COUNTS.contains(count));
                count.ok_or_else(|| Error::invalid("`count` must be 50, 100 or 200"))?
            }
        };
        if after.is_some() && before.is_some() {
            return Err(Error::invalid("`after` and `before` exclude each other"));
        }
        Self::of(list, count, after.or(before), before.is_some())
    }

    /// Parses the parameters `count` and `paging_token` of the API: the list is read forward.
    ///
    /// # Errors
    /// `invalid_request` if the count is not a number from 1 to 50, and for a token of another list.
    pub fn forward(list: ListKey, count: Option<&str>, paging_token: Option<&str>) -> Result<Self> {
        let PageRequest { count, after: _ } = PageRequest::<crate::id::User>::parse(count, None)?;
        Self::of(list, count, paging_token, false)
    }

    fn of(list: ListKey, count: u16, token: Option<&str>, is_backward: bool) -> Result<Self> {
        let position = |token| {
            Position::parse(token, list)
                .ok_or_else(|| Error::invalid("the page belongs to another list; begin with the first page"))
        };
        Ok(Self { list, count, start: token.map(position).transpose()?, is_backward })
    }

    /// The position that the page begins after, in the direction of reading; `None` for the beginning of the list.
    #[must_use]
    pub const fn start(&self) -> Option<&Position> {
        self.start.as_ref()
    }

    /// Whether the list is read from its end to its beginning: the rows before [`Span::start`], the nearest first.
    #[must_use]
    pub const fn is_backward(&self) -> bool {
        self.is_backward
    }

    /// The number of rows to query, as for a [`PageRequest`].
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::from(self.count) + 1
    }
}

/// A part of an ordered list.
#[derive(Debug)]
pub struct Slice<T> {
    /// The rows, in the order of the list.
    pub rows: Vec<T>,
    /// The token of the rows before these, for `before`; `None` at the beginning of the list.
    pub previous: Option<String>,
    /// The token of the rows after these, for `after`; `None` at the end of the list.
    pub next: Option<String>,
}

impl<T> Slice<T> {
    /// Builds a slice from the rows that were queried with [`Span::limit`], in the direction of reading. If the query gave up
    /// before it found that many, `searched` is the last position that it read.
    pub fn new(span: &Span, mut rows: Vec<T>, searched: Option<Position>, position: impl Fn(&T) -> Position) -> Self {
        let count = usize::from(span.count);
        let is_full = rows.len() > count;
        rows.truncate(count);
        let ahead = if is_full { rows.last().map(&position) } else { searched };
        // The row at `start` is in the other direction, and a page without rows does not lose it.
        let step = if span.is_backward { -1 } else { 1 };
        let behind = span.start.as_ref().map(|start| rows.first().map_or_else(|| start.beside(step), &position));
        let [ahead, behind] = [ahead, behind].map(|position| position.map(|position| position.token(span.list)));
        if span.is_backward {
            rows.reverse();
            return Self { rows, previous: ahead, next: behind };
        }
        Self { rows, previous: behind, next: ahead }
    }

    /// The slice with other rows in place of these.
    pub(crate) fn with_rows<U>(self, rows: Vec<U>) -> Slice<U> {
        Slice { rows, previous: self.previous, next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (String, Uuid);

    fn list() -> ListKey {
        ListKey::of(["people", "name"])
    }

    fn position(row: &Row) -> Position {
        Position::new(row.0.as_str(), row.1)
    }

    /// What a statement returns that reads `most` rows at most, and wants those of `is_wanted`.
    fn query(rows: &[Row], span: &Span, most: usize, is_wanted: impl Fn(&Row) -> bool) -> Slice<Row> {
        let start = span.start().map(|start| (start.key.clone(), start.id));
        let mut read: Vec<&Row> = match span.is_backward() {
            false => rows.iter().filter(|row| start.as_ref().is_none_or(|start| *row > start)).collect(),
            true => rows.iter().rev().filter(|row| start.as_ref().is_none_or(|start| *row < start)).collect(),
        };
        let searched = read.get(most - 1).map(|last| position(last));
        read.truncate(most);
        let limit = usize::try_from(span.limit()).unwrap();
        let found = read.into_iter().filter(|row| is_wanted(row)).take(limit).cloned().collect();
        Slice::new(span, found, searched, position)
    }

    fn span(count: u16, token: Option<&str>, is_backward: bool) -> Span {
        Span::of(list(), count, token, is_backward).unwrap()
    }

    proptest! {
        #[test]
        fn walking_in_either_direction_gives_each_row_once_in_order(
            keys in proptest::collection::vec(0_u8..4, 0..60),
            count in 1_u16..9,
            most in 1_usize..30,
            wanted in 0_u128..5,
        ) {
            let mut rows: Vec<Row> =
                keys.iter().zip(1..).map(|(key, id)| (key.to_string(), Uuid::from_u128(id * 7))).collect();
            rows.sort();
            let is_wanted = |row: &Row| row.1.as_u128() % 5 >= wanted;
            let matching: Vec<Row> = rows.iter().filter(|row| is_wanted(row)).cloned().collect();

            let mut forward = Vec::new();
            let mut slice = query(&rows, &span(count, None, false), most, is_wanted);
            prop_assert_eq!(&slice.previous, &None);
            loop {
                prop_assert!(slice.rows.len() <= usize::from(count));
                forward.extend(slice.rows.clone());
                let Some(next) = &slice.next else { break };
                slice = query(&rows, &span(count, Some(next), false), most, is_wanted);
            }
            prop_assert_eq!(&forward, &matching);

            let mut backward = slice.rows.clone();
            while let Some(previous) = &slice.previous {
                slice = query(&rows, &span(count, Some(previous), true), most, is_wanted);
                backward.splice(0..0, slice.rows.clone());
            }
            prop_assert_eq!(&backward, &matching);

            // And forward again from the first page, which has no token before it.
            let mut again = slice.rows.clone();
            while let Some(next) = &slice.next {
                slice = query(&rows, &span(count, Some(next), false), most, is_wanted);
                again.extend(slice.rows.clone());
            }
            prop_assert_eq!(&again, &matching);
        }

        #[test]
        fn no_token_panics(token in ".*") {
            prop_assert!(Position::parse(&token, list()).is_none_or(|position| position.token(list()) == token));
        }
    }

    #[test]
    fn a_row_that_is_deleted_while_paging_hides_no_other() {
        let mut rows: Vec<Row> = (1..=4).map(|id| ("a".to_owned(), Uuid::from_u128(id))).collect();
        let first = query(&rows, &span(2, None, false), 9, |_| true);
        // All rows after the page vanish: the empty page leads back to all that is left, also to the last row of the first page.
        rows.truncate(2);
        let empty = query(&rows, &span(2, first.next.as_deref(), false), 9, |_| true);
        assert_eq!((empty.rows.len(), empty.next), (0, None));
        let back = query(&rows, &span(2, empty.previous.as_deref(), true), 9, |_| true);
        assert_eq!((back.rows, back.previous), (rows, None));
    }

    #[test]
    fn a_token_of_another_list_is_rejected() {
        let token = Position::new("ada", Uuid::from_u128(1)).token(list());
        let span = |list, token: &str| Span::parse(list, None, Some(token), None).map(|span| span.start().cloned());
        assert_eq!(span(list(), &token).unwrap(), Some(Position::new("ada", Uuid::from_u128(1))));
        let others =
            [ListKey::of(["people", "-name"]), ListKey::of(["peoplename"]), ListKey::of(["people", "name", ""])];
        for other in others {
            let error = span(other, &token).unwrap_err();
            assert_eq!(error.code(), crate::error::Code::InvalidRequest);
            assert_eq!(error.to_string(), "the page belongs to another list; begin with the first page");
        }
        let nul = Position::new("a\0", Uuid::nil()).token(list());
        for broken in ["", "x", &token[1..], "\u{e9}", &nul] {
            let error = span(list(), broken).unwrap_err();
            assert_eq!(error.to_string(), "the page belongs to another list; begin with the first page");
        }
    }

    #[test]
    fn a_page_for_people_has_50_100_or_200_rows() {
        let limit = |count| Span::parse(list(), count, None, None).map(|span| span.limit());
        assert_eq!([None, Some("50"), Some("100"), Some("200")].map(|count| limit(count).unwrap()), [51, 51, 101, 201]);
        for count in ["", "0", "51", "1000", "-50", "fifty"] {
            assert_eq!(limit(Some(count)).unwrap_err().to_string(), "`count` must be 50, 100 or 200");
        }
        let both = Span::parse(list(), None, Some("a"), Some("b")).unwrap_err();
        assert_eq!(both.to_string(), "`after` and `before` exclude each other");
    }
}
