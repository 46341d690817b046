//! The form of the rows: corrected cells, and one button.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::revision;
use crate::error::{Error, Result};
use crate::field::UserField;
use crate::imports::Import;
use crate::users_file::{Repair, Sheet, SheetFinding, Shown};

/// What a person has typed and pressed.
pub(super) struct Corrections {
    pub(super) revision: i64,
    /// What the page showed.
    pub(super) show: String,
    cells: Vec<(usize, String, String)>,
    button: Button,
}

/// The button that sent the form.
#[derive(Debug, PartialEq, Eq)]
enum Button {
    Check,
    Review,
    /// Repair a cell, or a row as a whole.
    Repair(usize, String),
    LeaveOut(usize),
    TakeBack(usize),
    /// Repair all rows with a finding of this code; `None`: leave them out.
    Many {
        code: String,
        leave_out: bool,
    },
    Restore,
}

impl Corrections {
    /// # Errors
    /// `invalid_request` for a form that is none of the page.
    pub(super) fn parse(form: Vec<(String, String)>) -> Result<Self> {
        let mut fields: BTreeMap<String, String> = form.into_iter().collect();
        let revision = revision(&mut fields)?;
        let mut take = |name: &str| fields.remove(name);
        let show = take("show").unwrap_or_default();
        let (code, leave_out) = (take("rows"), take("do").as_deref() != Some("repair"));
        let row = |text: Option<String>| text.map(|text| number(&text)).transpose();
        let buttons = [
            take("repair").map(|cell| cell_of(&cell)).transpose()?.map(|(row, field)| Button::Repair(row, field)),
            row(take("leave"))?.map(Button::LeaveOut),
            row(take("keep"))?.map(Button::TakeBack),
            take("many").map(|_| Button::Many { code: code.unwrap_or_default(), leave_out }),
            take("restore").map(|_| Button::Restore),
            take("review").map(|_| Button::Review),
            take("check").map(|_| Button::Check),
        ];
        let button = buttons.into_iter().flatten().next().unwrap_or(Button::Check);
        let cells = fields.into_iter().map(|(name, text)| {
            let (row, field) = cell_of(&name)?;
            Ok((row, field, text))
        });
        Ok(Self { revision, show, cells: cells.collect::<Result<_>>()?, button })
    }

    /// Whether the person wants to go on to the review.
    pub(super) fn goes_on(&self) -> bool {
        self.button == Button::Review
    }

    /// Applies what was typed, then the button.
    pub(super) fn apply(&self, import: &mut Import) {
        let checked = import.checked.take();
        let all: Vec<SheetFinding> =
            checked.into_iter().flat_map(|checked| checked.findings.into_iter().chain(checked.warnings)).collect();
        let sheet = &mut import.sheet;
        if self.button == Button::Restore {
            sheet.restore();
            return;
        }
        for (row, field, text) in &self.cells {
            // A value that is not shown is not in the form: empty means that nothing was typed.
            let is_hidden = sheet.column_of(field).is_some_and(|column| sheet.shown(*row, column) == Shown::Hidden);
            if !text.is_empty() || !(is_hidden || is_secret(field)) {
                sheet.fix(*row, field, text.clone());
            }
        }
        match &self.button {
            Button::Check | Button::Review | Button::Restore => {}
            Button::Repair(row, field) => {
                let is_here = |finding: &&SheetFinding| {
                    finding.row == *row && finding.field.as_deref().unwrap_or_default() == field
                };
                let found = all.iter().filter(is_here).find_map(|finding| Some((finding, sheet.repair(finding)?)));
                if let Some((finding, repair)) = found {
                    sheet.apply(finding, &repair);
                }
            }
            Button::LeaveOut(row) if *row < sheet.rows.len() => {
                sheet.left_out.insert(*row);
            }
            Button::LeaveOut(_) => {}
            Button::TakeBack(row) => {
                sheet.left_out.remove(row);
            }
            Button::Many { code, leave_out } => many(sheet, &all, code, *leave_out),
        }
    }
}

fn is_secret(field: &str) -> bool {
    UserField::find(UserField::NEW_USER, field).is_some_and(UserField::is_secret)
}

/// Repairs all findings of a code. Of two rows with the same address, the later one is left out.
fn many(sheet: &mut Sheet, all: &[SheetFinding], code: &str, leave_out: bool) {
    let mut kept = BTreeSet::new();
    for finding in all.iter().filter(|finding| finding.code == code) {
        let is_first = finding.other.is_some_and(|other| other > finding.row) && kept.insert(finding.row);
        if is_first {
            continue;
        }
        match sheet.repair(finding).filter(|_| !leave_out) {
            Some(repair) => sheet.apply(finding, &repair),
            None if leave_out => sheet.apply(finding, &Repair::LeaveOut),
            None => {}
        }
    }
}

/// The row, from 0, and the field of `17:email`.
fn cell_of(name: &str) -> Result<(usize, String)> {
    let (row, field) = name.split_once(':').ok_or_else(unknown)?;
    Ok((number(row)?, field.to_owned()))
}

fn number(row: &str) -> Result<usize> {
    row.parse().ok().and_then(|row: usize| row.checked_sub(1)).ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::invalid("invalid form: unknown field; open the page again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[(&str, &str)]) -> Result<Corrections> {
        Corrections::parse(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_has_cells_and_one_button() {
        let form = parse(&[("revision", "3"), ("17:email", "a@b.c"), ("repair", "17:email"), ("check", "")]).unwrap();
        assert_eq!(form.revision, 3);
        assert_eq!(form.cells, [(16, "email".to_owned(), "a@b.c".to_owned())]);
        assert_eq!(form.button, Button::Repair(16, "email".to_owned()));
        assert_eq!(parse(&[("revision", "3")]).unwrap().button, Button::Check);
        assert!(parse(&[("revision", "3"), ("review", "")]).unwrap().goes_on());
    }

    #[test]
    fn a_form_of_another_page_is_rejected() {
        for fields in [&[("check", "")][..], &[("revision", "x")], &[("revision", "1"), ("email", "x")]] {
            assert!(parse(fields).is_err(), "{fields:?}");
        }
        for name in ["0:email", "x:email", "-1:email", ":email"] {
            assert!(parse(&[("revision", "1"), (name, "x")]).is_err(), "{name}");
        }
    }
}
