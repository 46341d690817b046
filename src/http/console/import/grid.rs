//! The rows of a list as a page shows them.

use std::collections::{BTreeMap, BTreeSet};

use super::field_label;
use crate::imports::{Checked, Import};
use crate::users_file::{Meaning, Repair, Sheet, SheetFinding, Shown};

/// The most rows of a page.
pub(super) const PER_PAGE: usize = 50;

/// The most findings that the summary of a page names.
const MOST_NAMED: usize = 10;

/// Which rows a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Those with findings.
    Fix,
    /// Those with warnings.
    Check,
    All,
}

impl Show {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "fix" => Some(Self::Fix),
            "check" => Some(Self::Check),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Check => "check",
            Self::All => "all",
        }
    }
}

/// A page of rows.
pub(super) struct Grid {
    pub(super) labels: Vec<String>,
    pub(super) rows: Vec<GridRow>,
    /// The index of the row after which the next page begins.
    pub(super) next: Option<usize>,
    /// The first findings of the page: the ID of a cell, and a sentence.
    pub(super) summary: Vec<(String, String)>,
}

pub(super) struct GridRow {
    /// From 1, for names and IDs.
    pub(super) number: usize,
    pub(super) line: usize,
    pub(super) is_left_out: bool,
    pub(super) cells: Vec<GridCell>,
    /// What is said about the row as a whole.
    pub(super) whole: Vec<Said>,
}

pub(super) struct GridCell {
    pub(super) label: String,
    pub(super) field: String,
    /// The value; empty if there is none or it must not be shown.
    pub(super) value: String,
    pub(super) is_hidden: bool,
    pub(super) is_empty: bool,
    pub(super) is_wrong: bool,
    pub(super) said: Vec<Said>,
}

/// A finding or a warning.
pub(super) struct Said {
    pub(super) message: String,
    /// The button that repairs it.
    pub(super) repair: Option<String>,
    /// The address of a person who exists.
    pub(super) taken: Option<String>,
}

/// The rows with findings or warnings, ascending.
pub(super) fn rows_with(findings: &[SheetFinding], sheet: &Sheet) -> BTreeSet<usize> {
    findings.iter().map(|finding| finding.row).filter(|row| !sheet.left_out.contains(row)).collect()
}

impl Grid {
    /// The page after a row.
    pub(super) fn new(import: &Import, show: Show, after: Option<usize>) -> Self {
        let sheet = &import.sheet;
        let (findings, warnings) = said_of(import.checked.as_ref());
        let start = after.map_or(0, |after| after.saturating_add(1));
        let mut indexes: Vec<usize> = match show {
            Show::Fix => rows_with(findings, sheet).range(start..).take(PER_PAGE + 1).copied().collect(),
            Show::Check => rows_with(warnings, sheet).range(start..).take(PER_PAGE + 1).copied().collect(),
            Show::All => (start..sheet.rows.len()).take(PER_PAGE + 1).collect(),
        };
        let has_more = indexes.len() > PER_PAGE;
        indexes.truncate(PER_PAGE);
        let mut of_row: BTreeMap<usize, Vec<(&SheetFinding, bool)>> = BTreeMap::new();
        let both =
            findings.iter().map(|finding| (finding, true)).chain(warnings.iter().map(|warning| (warning, false)));
        for (finding, is_wrong) in both {
            of_row.entry(finding.row).or_default().push((finding, is_wrong));
        }
        let columns: Vec<(usize, String)> = sheet
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| Some((index, column.meaning.field()?)))
            .collect();
        let labels = columns.iter().map(|(index, field)| label(sheet, *index, field)).collect();
        let rows: Vec<GridRow> = indexes
            .iter()
            .map(|index| row(sheet, &columns, *index, of_row.get(index).map_or(&[][..], Vec::as_slice)))
            .collect();
        let summary = rows.iter().flat_map(summary_of).take(MOST_NAMED).collect();
        Self { labels, rows, next: indexes.last().copied().filter(|_| has_more), summary }
    }
}

fn said_of(checked: Option<&Checked>) -> (&[SheetFinding], &[SheetFinding]) {
    checked.map_or((&[], &[]), |checked| (&checked.findings, &checked.warnings))
}

fn label(sheet: &Sheet, column: usize, field: &str) -> String {
    match sheet.columns.get(column).map(|column| &column.meaning) {
        Some(Meaning::FullName) => "Full name".to_owned(),
        _ => field_label(field).to_owned(),
    }
}

fn row(sheet: &Sheet, columns: &[(usize, String)], index: usize, found: &[(&SheetFinding, bool)]) -> GridRow {
    let is_left_out = sheet.left_out.contains(&index);
    let found = if is_left_out { &[] } else { found };
    let has_cells = sheet.rows.get(index).is_some_and(|row| row.problem.is_none());
    let has_column = |field: &str| has_cells && columns.iter().any(|(_, other)| other == field);
    let cells = columns.iter().map(|(column, field)| {
        let here = found.iter().filter(|(finding, _)| finding.field.as_deref() == Some(field));
        let shown = sheet.shown(index, *column);
        let value = match &shown {
            Shown::Text(text) => text.clone(),
            Shown::Hidden | Shown::Nothing => String::new(),
        };
        GridCell {
            label: label(sheet, *column, field),
            field: field.clone(),
            is_hidden: shown == Shown::Hidden,
            is_empty: shown == Shown::Nothing,
            is_wrong: here.clone().any(|(_, is_wrong)| *is_wrong),
            said: here.map(|(finding, _)| said(sheet, finding, &value)).collect(),
            value,
        }
    });
    let cells = if has_cells { cells.collect() } else { Vec::new() };
    let whole = found.iter().filter(|(finding, _)| !finding.field.as_deref().is_some_and(has_column));
    let whole = whole.map(|(finding, _)| {
        let said = said(sheet, finding, "");
        match &finding.field {
            Some(field) => Said { message: format!("{}: {}", field_label(field).to_lowercase(), said.message), ..said },
            None => said,
        }
    });
    GridRow { number: index + 1, line: sheet.line(index), is_left_out, cells, whole: whole.collect() }
}

fn said(sheet: &Sheet, finding: &SheetFinding, value: &str) -> Said {
    let repair = sheet.repair(finding).map(|repair| match repair {
        Repair::LeaveOut => "Leave this row out".to_owned(),
        Repair::DropPassword if finding.code == "password_for_sso_user" => "Remove the password".to_owned(),
        Repair::DropPassword => "Make it a link".to_owned(),
        Repair::Clear => "Remove the value".to_owned(),
        Repair::Use(value) if finding.code.starts_with("permission_level") => format!("Make {value}"),
        Repair::Use(value) => format!("Use {value}"),
    });
    let taken = (finding.code == "email_taken" && !value.is_empty()).then(|| value.to_owned());
    Said { message: finding.message.clone(), repair, taken }
}

/// What the summary says about a row.
fn summary_of(row: &GridRow) -> Vec<(String, String)> {
    let number = row.number;
    let whole = row.whole.iter().map(|said| (format!("r{number}"), format!("Line {}: {}", row.line, said.message)));
    let cells = row.cells.iter().filter(|cell| cell.is_wrong).flat_map(|cell| {
        let place = format!("r{number}-{}", cell.field);
        let about = format!("Line {}, {}: ", row.line, cell.label.to_lowercase());
        cell.said.iter().map(move |said| (place.clone(), format!("{about}{}", said.message)))
    });
    whole.chain(cells).collect()
}
