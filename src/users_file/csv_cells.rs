//! Takes CSV apart (RFC 4180): rows of cells that know their places. Knows no users.
//!
//! Lines end with LF, CRLF or CR. Lines without anything on them are no rows.

use std::borrow::Cow;
use std::ops::Range;

/// The most cells of a row that are kept. No list of users has so many columns.
pub(super) const MAX_CELLS: usize = 256;

/// One cell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell<'t> {
    /// What it says, without the quotes around it.
    pub text: Cow<'t, str>,
    /// Where it stands, quotes included.
    pub span: Range<usize>,
}

/// What is wrong with the quotes of a row; the place is that of the row's first such quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuoteError {
    /// The quote that opens here is never closed.
    Unclosed(usize),
    /// A quote inside of a cell that has none around it.
    Inside(usize),
    /// The quote that opens at the first place closes before the second, where the cell goes on.
    Behind(usize, usize),
}

/// The rows of a text, one after the other.
#[derive(Clone)]
pub(super) struct Cells<'t> {
    text: &'t str,
    at: usize,
    delimiter: u8,
}

impl<'t> Cells<'t> {
    pub fn new(text: &'t str, at: usize, delimiter: u8) -> Self {
        Self { text, at, delimiter }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Reads the next row into `cells`, or the first [`MAX_CELLS`] of them; `None` behind the last row.
    pub fn next(&mut self, cells: &mut Vec<Cell<'t>>) -> Option<Result<(), QuoteError>> {
        cells.clear();
        while let Some(b'\n' | b'\r') = self.byte(self.at) {
            self.at += 1;
        }
        self.byte(self.at)?;
        let mut error = None;
        loop {
            let (cell, wrong) = if self.byte(self.at) == Some(b'"') { self.quoted() } else { self.bare() };
            if cells.len() < MAX_CELLS {
                cells.push(cell);
            }
            error = error.or(wrong);
            if self.byte(self.at) != Some(self.delimiter) {
                return Some(error.map_or(Ok(()), Err));
            }
            self.at += 1;
        }
    }

    /// Where the cell ends whose rest begins at `at`.
    fn end(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r') || *byte == self.delimiter);
        at + length.unwrap_or(rest.len())
    }

    fn bare(&mut self) -> (Cell<'t>, Option<QuoteError>) {
        let span = self.at..self.end(self.at);
        self.at = span.end;
        let text = self.text.get(span.clone()).unwrap_or_default();
        let error = text.find('"').map(|quote| QuoteError::Inside(span.start + quote));
        (Cell { text: Cow::Borrowed(text), span }, error)
    }

    fn quoted(&mut self) -> (Cell<'t>, Option<QuoteError>) {
        let start = self.at;
        let mut end = start + 1;
        let mut doubled = false;
        let closed = loop {
            let rest = self.text.as_bytes().get(end..).unwrap_or_default();
            let Some(quote) = rest.iter().position(|byte| *byte == b'"') else {
                end = self.text.len();
                break false;
            };
            end += quote;
            if self.byte(end + 1) != Some(b'"') {
                break true;
            }
            doubled = true;
            end += 2;
        };
        let text = self.text.get(start + 1..end).unwrap_or_default();
        let text = if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) };
        let behind = if closed { end + 1 } else { end };
        self.at = self.end(behind);
        let error = if !closed {
            Some(QuoteError::Unclosed(start))
        } else if self.at > behind {
            Some(QuoteError::Behind(start, behind))
        } else {
            None
        };
        (Cell { text, span: start..self.at }, error)
    }
}
