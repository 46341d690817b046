//! Findings with their places in the file, one by one, for programs and spreadsheets.

use muster_client::RowFinding;
use serde::Serialize;
use serde_json::Value;

use super::positions::Positions;
use super::{FileField, FormError, UsersFile, slice};

/// Maximum length of a value in characters.
const MAX_VALUE_LENGTH: usize = 500;

/// The code of an error in the form of a file.
pub const INVALID_FILE: &str = "invalid_file";

/// A finding with its place in the file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LocatedFinding {
    /// Line, from 1; `None` if the finding is about no place in the file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
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
        Self { line: None, column: None, field: None, value: None, code: code.to_owned(), message }
    }
}

impl UsersFile {
    /// All findings in file order.
    #[must_use]
    pub fn locate(&self, findings: &[RowFinding]) -> Vec<LocatedFinding> {
        let positions = Positions::new(&self.text);
        let find = |index, finding| Some(positions.find(&self.text, self.place(index, finding)?.start));
        let mut located: Vec<LocatedFinding> = findings
            .iter()
            .map(|finding| {
                let (line, column) = find(finding.index, finding).unzip();
                let other = finding.other_index.and_then(|index| Some((index, find(index, finding)?.0)));
                let message = match other {
                    Some((index, line)) => finding.message.replace(&format!("users[{index}]"), &format!("line {line}")),
                    None => finding.message.clone(),
                };
                let is_shown = |name: &&String| self.is_shown(finding, name);
                let field = finding.field.as_ref().filter(is_shown).cloned();
                let value = self.field(finding.index, finding).and_then(|field| self.shown_value(finding.index, field));
                LocatedFinding { line, column, field, value, code: finding.code.clone(), message }
            })
            .collect();
        located.sort_by_key(|finding| finding.line.map_or((usize::MAX, 0), |line| (line, finding.column.unwrap_or(0))));
        located
    }

    /// The value of a field, unless a part of it is hidden in excerpts.
    fn shown_value(&self, index: usize, field: &FileField) -> Option<String> {
        let span = field.value.clone();
        let hidden = self.hidden.partition_point(|piece| piece.span.end <= span.start);
        let is_hidden = self.hidden.get(hidden).is_some_and(|piece| piece.span.start < span.end);
        if span.is_empty() || is_hidden || !field.is_shown {
            return None;
        }
        let source = slice(&self.text, span);
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
        let positions = Positions::new(&self.text);
        let located = self.errors.iter().map(|error| {
            let (line, column) = positions.find(&self.text, self.text.floor_char_boundary(error.span.start));
            let help = error.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            let finding = LocatedFinding::general(INVALID_FILE, format!("{}{help}", error.message));
            LocatedFinding { line: Some(line), column: Some(column), ..finding }
        });
        located.collect()
    }
}
