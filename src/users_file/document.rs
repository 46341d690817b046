//! The text of a users file, and how its places are named: line and column, or the cell of a workbook.

use super::positions::Positions;
use super::redact::Redaction;
use super::xlsx::SheetCells;

/// A file as excerpts show it.
pub(super) struct Document {
    /// The path as given.
    pub path: String,
    pub text: String,
    /// What excerpts don't show: [tidy](super::redact::tidy).
    pub hidden: Vec<Redaction>,
    /// The cells in the text, if the file is a workbook.
    pub sheet: Option<Box<SheetCells>>,
}

impl Document {
    /// An index of the places.
    pub fn places(&self) -> Places<'_> {
        match &self.sheet {
            Some(sheet) => Places::Sheet(sheet),
            None => Places::Text(&self.text, Positions::new(&self.text)),
        }
    }
}

pub(super) enum Places<'d> {
    Text(&'d str, Positions),
    Sheet(&'d SheetCells),
}

/// A place in a file, from 1. In a workbook, the line is the number of the row.
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    /// The reference of the cell without its sheet, such as `C17`.
    pub cell: Option<String>,
}

impl Places<'_> {
    pub fn find(&self, at: usize) -> Place {
        match self {
            Self::Text(text, positions) => {
                let (line, column) = positions.find(text, at);
                Place { line, column, cell: None }
            }
            Self::Sheet(sheet) => sheet.find(at),
        }
    }

    /// A place with its sheet, such as `Sheet1!C17`; `None` if the file is no workbook.
    pub fn cell_of(&self, place: &Place) -> Option<String> {
        match (self, &place.cell) {
            (Self::Sheet(sheet), Some(cell)) => Some(format!("{}!{cell}", sheet.quoted_name())),
            _ => None,
        }
    }

    /// What a line is called.
    pub const fn line(&self) -> &'static str {
        match self {
            Self::Text(..) => "line",
            Self::Sheet(_) => "row",
        }
    }
}
