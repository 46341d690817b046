//! A CSV tokenizer (RFC 4180): rows of cells with their byte ranges.
//!
//! Lines end with LF, CRLF or CR. Empty lines are skipped.

use std::borrow::Cow;

use super::error::SyntaxError;
use super::parsed::Read;
use super::slice;
use super::table::{Cell, MAX_CELLS, Rows};
use crate::users::is_trimmed;

/// The separators, from the most to the least usual.
pub(super) const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Whether a row has no value: all its cells are blank, or it is one cell of another file's separators.
pub(super) fn is_empty_row(row: &[Cell<'_>]) -> bool {
    let is_separator = |c| row.len() == 1 && SEPARATORS.contains(&c);
    row.iter().all(|cell| cell.text.chars().all(|c| is_trimmed(c) || is_separator(c)))
}

/// The message about a row whose number of cells is not that of the header.
pub(super) fn wrong_length(cells: usize, header: usize) -> String {
    let cells = match cells {
        1 => "1 cell".to_owned(),
        MAX_CELLS => format!("{MAX_CELLS} cells or more"),
        count => format!("{count} cells"),
    };
    format!("this row has {cells}, but the header has {header}")
}

/// Iterates over the rows of a text.
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

    pub const fn delimiter(&self) -> u8 {
        self.delimiter
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The end of the cell that contains `at`.
    fn end(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r') || *byte == self.delimiter);
        at + length.unwrap_or(rest.len())
    }

    fn bare(&mut self) -> (Cell<'t>, Option<SyntaxError>) {
        let span = self.at..self.end(self.at);
        self.at = span.end;
        let text = slice(self.text, span.clone());
        let error = text.find('"').map(|quote| {
            let at = span.start + quote;
            SyntaxError::new("quote inside an unquoted cell", at..at + 1)
                .help("put the whole cell in double quotes, and write \"\" for a quote inside")
        });
        (Cell { text: Cow::Borrowed(text), span }, error)
    }

    fn quoted(&mut self) -> (Cell<'t>, Option<SyntaxError>) {
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
        let text = slice(self.text, start + 1..end);
        let text = if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) };
        let behind = if closed { end + 1 } else { end };
        self.at = self.end(behind);
        let error = if !closed {
            Some(SyntaxError::new("unclosed quote", start..start + 1))
        } else if self.at > behind {
            let error = SyntaxError::new("text after the closing quote of a cell", behind..behind);
            Some(error.other(start..start + 1, "opening quote").help("write \"\" for a quote inside a cell"))
        } else {
            None
        };
        (Cell { text, span: start..self.at }, error)
    }
}

impl<'t> Rows<'t> for Cells<'t> {
    fn next(&mut self, cells: &mut Vec<Cell<'t>>) -> Option<Read<()>> {
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
}
