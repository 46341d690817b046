//! Findings with their places in the file, one by one, for programs and spreadsheets.

use muster_client::RowFinding;
use serde::Serialize;
use serde_json::Value;

use super::document::Places;
use super::{FileField, FormError, UsersFile, slice};

/// Maximum length of a value in characters.
const MAX_VALUE_LENGTH: usize = 500;

/// The code of an error in the form of a file.
pub const INVALID_FILE: &str = "invalid_file";

/// A finding with its place in the file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LocatedFinding {
    /// Line or row, from 1; `None` if the finding is about no place in the file.
    pub line: Option<usize>,
    /// Column, from 1: in characters, or in cells.
    pub column: Option<usize>,
    /// The cell of a workbook, such as `Sheet1!C17`.
    pub cell: Option<String>,
    /// The field; `None` if the finding is about the row, or if the name may be a password.
    pub field: Option<String>,
    /// The value of the field; `None` if there is none, or if excerpts don't show it.
    pub value: Option<String>,
    /// Stable code.
    pub code: String,
    /// Message for people.
    pub message: String,
}

impl LocatedFinding {
    /// A finding about no place in the file.
    #[must_use]
    pub fn general(code: &str, message: String) -> Self {
        Self { line: None, column: None, cell: None, field: None, value: None, code: code.to_owned(), message }
    }

    /// The finding with its place.
    fn at(self, places: &Places<'_>, offset: usize) -> Self {
        let place = places.find(offset);
        Self { line: Some(place.line), column: Some(place.column), cell: places.cell_of(&place), ..self }
    }
}

impl UsersFile {
    /// All findings in file order.
    #[must_use]
    pub fn locate(&self, findings: &[RowFinding]) -> Vec<LocatedFinding> {
        let places = self.document.places();
        let mut located: Vec<LocatedFinding> = findings
            .iter()
            .map(|finding| {
                let mut message = self.message(finding, &places);
                if let Some(help) = self.help(finding) {
                    message = format!("{message}; {help}");
                }
                let is_shown = |name: &&String| self.is_shown(finding, name);
                let field = finding.field.as_ref().filter(is_shown).cloned();
                let value = self.field(finding.index, finding).and_then(|field| self.shown_value(finding.index, field));
                let located = LocatedFinding { field, value, ..LocatedFinding::general(&finding.code, message) };
                match self.place(finding.index, finding) {
                    Some(place) => located.at(&places, place.start),
                    None => located,
                }
            })
            .collect();
        located.sort_by_key(|finding| finding.line.map_or((usize::MAX, 0), |line| (line, finding.column.unwrap_or(0))));
        located
    }

    /// The message, with the line of another row instead of its index.
    pub(super) fn message(&self, finding: &RowFinding, places: &Places<'_>) -> String {
        match finding.other_index.and_then(|index| Some((index, self.place(index, finding)?.start))) {
            Some((index, at)) => {
                let line = format!("{} {}", places.line(), places.find(at).line);
                finding.message.replace(&format!("users[{index}]"), &line)
            }
            None => finding.message.clone(),
        }
    }

    /// The value of a field, unless a part of it is hidden in excerpts.
    fn shown_value(&self, index: usize, field: &FileField) -> Option<String> {
        let span = field.value.clone();
        let hidden = self.document.hidden.partition_point(|piece| piece.span.end <= span.start);
        let is_hidden = self.document.hidden.get(hidden).is_some_and(|piece| piece.span.start < span.end);
        if span.is_empty() || is_hidden || !field.is_shown {
            return None;
        }
        let source = slice(&self.document.text, span);
        let text = match self.rows.get(index)?.value.get(field.name.as_ref()) {
            // The alias of a hidden value is not hidden, its text is.
            Some(Value::String(text)) if !source.starts_with('*') => text,
            _ => source,
        };
        Some(text.chars().take(MAX_VALUE_LENGTH).collect())
    }
}

impl FormError {
    /// All errors in file order.
    #[must_use]
    pub fn locate(&self) -> Vec<LocatedFinding> {
        let places = self.document.places();
        let located = self.errors.iter().map(|error| {
            let help = error.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            let finding = LocatedFinding::general(INVALID_FILE, format!("{}{help}", error.message));
            finding.at(&places, self.document.text.floor_char_boundary(error.span.start))
        });
        located.collect()
    }
}
