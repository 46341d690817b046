//! The list for the server that a sheet stands for.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Meaning, Sheet, SheetFinding};
use crate::field::UserField;
use crate::users::{attributes, trim};
use crate::users_file::formula;

/// A list for the server.
pub(crate) struct SheetList {
    /// The list in JSON, the same text for the same sheet.
    pub(crate) json: Zeroizing<Vec<u8>>,
    /// The row of the sheet for each row of the list.
    pub(crate) rows: Vec<usize>,
    /// What is wrong with rows that can't be in the list.
    pub(crate) findings: Vec<SheetFinding>,
}

impl Sheet {
    /// Makes the list of all rows that are not left out.
    pub(crate) fn list(&self) -> SheetList {
        let mut list = SheetList { json: Zeroizing::new(b"[".to_vec()), rows: Vec::new(), findings: Vec::new() };
        for (index, row) in self.rows.iter().enumerate() {
            if self.left_out.contains(&index) {
                continue;
            }
            if let Some(problem) = &row.problem {
                list.findings.push(SheetFinding {
                    row: index,
                    field: None,
                    code: "row_malformed".to_owned(),
                    message: problem.clone(),
                    other: None,
                });
                continue;
            }
            if !list.rows.is_empty() {
                list.json.push(b',');
            }
            // Writing to a vector does not fail.
            let _ = serde_json::to_writer(&mut *list.json, &Value::Object(self.row(index)));
            list.rows.push(index);
        }
        list.json.push(b']');
        list
    }

    fn row(&self, index: usize) -> Map<String, Value> {
        let mut map = Map::new();
        let mut custom = Map::new();
        for (column, described) in self.columns.iter().enumerate() {
            let Some(name) = described.meaning.field() else { continue };
            let fixed = self.fixes.get(&index).and_then(|fixes| fixes.get(&name));
            let cell = self.rows.get(index).and_then(|row| row.cells.get(column)).unwrap_or(&Value::Null);
            let text = match (fixed, cell) {
                (Some(text), _) => text,
                (None, Value::String(text)) if self.is_table() => text,
                (None, Value::Null) => continue,
                // JSON and YAML have types.
                (None, value) => {
                    map.insert(name, value.clone());
                    continue;
                }
            };
            let trimmed = formula::unescape(trim(text));
            match &described.meaning {
                _ if trimmed.is_empty() => {}
                Meaning::Attribute(key) => {
                    custom.insert(key.clone(), attributes::from_cell(trimmed));
                }
                Meaning::FullName => {
                    let (first, last) = trimmed.rsplit_once(char::is_whitespace).unwrap_or((trimmed, ""));
                    map.insert(name, trim(first).into());
                    if !last.is_empty() {
                        map.insert(UserField::Lastname.into(), last.into());
                    }
                }
                Meaning::Field(UserField::Password) => {
                    map.insert(name, text.as_str().into());
                }
                Meaning::Field(UserField::PermissionLevel) => {
                    map.insert(name, trimmed.to_lowercase().into());
                }
                Meaning::Field(field) if field.is_flag() => {
                    let value = self.flag(trimmed).map_or_else(|| Value::from(trimmed), Value::Bool);
                    map.insert(name, value);
                }
                _ => {
                    map.insert(name, trimmed.into());
                }
            }
        }
        if !custom.is_empty() {
            map.insert(UserField::Attributes.into(), Value::Object(custom));
        }
        if let Some(is_sso) = self.default_sso {
            map.entry(UserField::IsSsoUser.as_str()).or_insert(Value::Bool(is_sso));
        }
        map
    }
}
