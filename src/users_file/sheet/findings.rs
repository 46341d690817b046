//! What is wrong with a sheet, at its cells, and repairs that are certain.

use serde::{Deserialize, Serialize};

use super::{Meaning, Sheet};
use crate::field::UserField;
use crate::report::Finding;
use crate::users::{EmailAddress, is_trimmed, trim};

/// A finding or a warning about a cell, or about a row as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SheetFinding {
    /// The index of the row.
    pub(crate) row: usize,
    /// The name of the field; `None` for the row as a whole.
    pub(crate) field: Option<String>,
    pub(crate) code: String,
    /// A message for people, which names other rows by their lines.
    pub(crate) message: String,
    /// The index of the other row, for a duplicate.
    pub(crate) other: Option<usize>,
}

/// A repair that nobody needs to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Leave the row out.
    LeaveOut,
    /// Remove the password, so that the person gets a link.
    DropPassword,
    /// Remove the value.
    Clear,
    /// Use another value.
    Use(String),
}

impl Sheet {
    /// Maps findings of the server to cells. `rows` are those of [`SheetList`](super::rows::SheetList). Of a duplicate, both rows are named.
    pub(crate) fn place<'f>(
        &self,
        rows: &[usize],
        findings: impl IntoIterator<Item = &'f Finding>,
    ) -> Vec<SheetFinding> {
        let mut placed = Vec::new();
        for finding in findings {
            let Some(row) = rows.get(finding.index).copied() else { continue };
            let other = finding.other_index.and_then(|index| Some((index, *rows.get(index)?)));
            let named = |text: &str, index: usize, row: usize| {
                text.replace(&format!("users[{index}]"), &format!("{} {}", self.line_word(), self.line(row)))
            };
            let field = finding.field.as_deref().map(|field| self.cell_of(field));
            let found = SheetFinding {
                row,
                field,
                code: finding.code.to_owned(),
                message: other
                    .map_or_else(|| finding.message.clone(), |(index, row)| named(&finding.message, index, row)),
                other: other.map(|(_, row)| row),
            };
            if let Some((index, other)) = other {
                let message = named(&finding.message, index, row);
                placed.push(SheetFinding { row: other, other: Some(row), message, ..found.clone() });
            }
            placed.push(found);
        }
        self.sort(&mut placed);
        placed
    }

    /// Sorts findings by row and column.
    pub(crate) fn sort(&self, findings: &mut Vec<SheetFinding>) {
        let column = |finding: &SheetFinding| finding.field.as_deref().and_then(|field| self.column_of(field));
        findings.sort_by_cached_key(|finding| (finding.row, column(finding), finding.code.clone()));
        findings.dedup();
    }

    /// The line of a row.
    pub(crate) fn line(&self, row: usize) -> usize {
        self.rows.get(row).map_or(0, |row| row.line)
    }

    /// The field under which a page shows a finding.
    fn cell_of(&self, field: &str) -> String {
        let is_part = field == UserField::Lastname.as_str() && self.column_of(field).is_none();
        let has_full_name = || self.columns.iter().any(|column| column.meaning == Meaning::FullName);
        if is_part && has_full_name() { UserField::Name.as_str().to_owned() } else { field.to_owned() }
    }

    /// The repair of a finding, if there is one that is certain.
    pub(crate) fn repair(&self, finding: &SheetFinding) -> Option<Repair> {
        let field = finding.field.as_deref();
        let value = || {
            let column = self.column_of(field?)?;
            self.cell_text(finding.row, column)
        };
        let is_password = field == Some(UserField::Password.as_str());
        match finding.code.as_str() {
            "email_taken" | "email_duplicate" | "row_malformed" => Some(Repair::LeaveOut),
            "password_for_sso_user" | "password_and_hash" => Some(Repair::DropPassword),
            code if is_password && code.starts_with("password_") => Some(Repair::DropPassword),
            "email_invalid" => repaired_address(&value()?).map(Repair::Use),
            "domain_misspelled" => with_domain(&value()?, &finding.message).map(Repair::Use),
            "permission_level_unknown" | "permission_level_forbidden" | "owner" => {
                Some(Repair::Use("collaborator".to_owned()))
            }
            "expires_at_past" => Some(Repair::Clear),
            "invisible_character" => {
                let value: String = value()?.chars().filter(|c| c.is_whitespace() || !is_trimmed(*c)).collect();
                Some(Repair::Use(value))
            }
            _ => None,
        }
    }

    /// Repairs a finding.
    pub(crate) fn apply(&mut self, finding: &SheetFinding, repair: &Repair) {
        let field = finding.field.as_deref().unwrap_or_default();
        match repair {
            Repair::LeaveOut => {
                self.left_out.insert(finding.row);
            }
            Repair::DropPassword => {
                for field in [UserField::Password, UserField::PasswordHash, UserField::MustChangePassword] {
                    if self.has(field) {
                        self.fix(finding.row, field.as_str(), String::new());
                    }
                }
            }
            Repair::Clear => self.fix(finding.row, field, String::new()),
            Repair::Use(value) => self.fix(finding.row, field, value.clone()),
        }
    }

    /// Corrects a cell. The text of the file itself is no correction.
    pub(crate) fn fix(&mut self, row: usize, field: &str, text: String) {
        let Some(column) = self.column_of(field) else { return };
        let Some(cell) = self.rows.get(row).and_then(|row| row.cells.get(column)) else { return };
        let is_same = match cell {
            serde_json::Value::Null => text.is_empty(),
            serde_json::Value::String(cell) => *cell == text,
            cell => text == format!("{cell}"),
        };
        let fixes = self.fixes.entry(row).or_default();
        if is_same {
            fixes.remove(field);
        } else {
            fixes.insert(field.to_owned(), text);
        }
        if fixes.is_empty() {
            self.fixes.remove(&row);
        }
    }
}

/// The address that was meant, if a usual slip explains it: a comma for a dot, spaces, `mailto:`, or a name around it.
fn repaired_address(text: &str) -> Option<String> {
    let bare = trim(text);
    let bare = bare.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(bare);
    let bare = bare.strip_prefix("mailto:").unwrap_or(bare);
    let bare = bare.trim_end_matches([',', ';', '.']);
    let spaceless: String = bare.chars().filter(|c| !is_trimmed(*c)).collect();
    let straight = spaceless.replace(['\u{2018}', '\u{2019}'], "'");
    let dotted = straight.replace(',', ".").replace("..", ".");
    let is_better = |candidate: &&String| **candidate != text && EmailAddress::parse(candidate).is_ok();
    [spaceless, straight, dotted].iter().find(is_better).cloned()
}

/// The address with the domain that a warning suggests, which is the last one that it quotes.
fn with_domain(address: &str, message: &str) -> Option<String> {
    let (local, _) = trim(address).rsplit_once('@')?;
    let domain = message.split('`').nth(3)?;
    let repaired = format!("{local}@{domain}");
    EmailAddress::parse(&repaired).is_ok().then_some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u_58_slips_in_addresses_are_repaired_if_an_address_results() {
        for (text, repaired) in [
            ("ada@example,com", Some("ada@example.com")),
            ("ada @example.com", Some("ada@example.com")),
            ("mailto:ada@example.com", Some("ada@example.com")),
            ("Ada Lovelace <ada@example.com>", Some("ada@example.com")),
            ("o\u{2019}brien@example.com", Some("o'brien@example.com")),
            ("ada@example.com;", Some("ada@example.com")),
            ("ada", None),
            ("ada@@example.com", None),
        ] {
            assert_eq!(repaired_address(text).as_deref(), repaired, "{text}");
        }
    }

    #[test]
    fn u_58_the_suggested_domain_replaces_the_misspelled_one() {
        let message = "the domain `gmial.com` is one edit away from `gmail.com`";
        assert_eq!(with_domain("Ada@gmial.com", message).as_deref(), Some("Ada@gmail.com"));
        assert_eq!(with_domain("ada", message), None);
    }
}
