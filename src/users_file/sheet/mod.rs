//! A sheet: the rows of a file while a person corrects them on a page.
//!
//! Unlike [`UsersFile`](super::UsersFile), a sheet keeps every row and every column of the file, so that the person decides what a
//! column means ([`Meaning`]), corrects cells and leaves rows out. [`Sheet::list`] makes the list for the server from it, and
//! [`Sheet::place`] maps the server's findings back to cells.
//!
//! # Decisions
//!
//! - **What was typed stays apart from the file**: [`Sheet::fixes`] has the corrected cells, so that all of them can be undone.
//! - **Columns are guessed, and the guess is shown.** The command line only suggests, because nobody would look at its guess.
//! - **Values that may be secrets are never shown**, by the same rules as in excerpts on the command line: those of passwords and
//!   hashes, and whole rows whose cells may be shifted.
//! - **A row with too many or too few cells can only be left out**: nobody knows which of its cells is the password.

mod findings;
mod names;
mod read;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize;

pub(crate) use findings::{Repair, SheetFinding};
pub(crate) use read::SheetError;

use super::{FileFormat, table};
use crate::field::UserField;
use crate::users::{attributes, trim};

/// A file whose rows are being corrected.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sheet {
    /// The name of the file; `None` for a list that was pasted.
    pub(crate) file_name: Option<String>,
    /// The SHA-256 of the file in lower-case hex digits.
    pub(crate) sha256: String,
    pub(crate) format: FileFormat,
    /// What separates the columns of a CSV file.
    pub(crate) separator: Option<char>,
    pub(crate) encoding: Encoding,
    /// Whether the first row names the columns.
    pub(crate) has_header: bool,
    pub(crate) columns: Vec<SheetColumn>,
    /// Whether a person has decided what the columns are.
    pub(crate) is_confirmed: bool,
    pub(crate) rows: Vec<SheetRow>,
    /// The number of rows without a value, which are not among the rows.
    pub(crate) blank_rows: usize,
    /// Whether people sign in by SSO where the file does not say.
    pub(crate) default_sso: Option<bool>,
    /// What words in columns for yes and no mean, in lower case.
    pub(crate) words: BTreeMap<String, bool>,
    /// The corrected cells, by row and by the name of the field. An empty text removes the value.
    pub(crate) fixes: BTreeMap<usize, BTreeMap<String, String>>,
    /// The rows that are left out.
    pub(crate) left_out: BTreeSet<usize>,
}

/// The encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Encoding {
    Utf8,
    Utf8WithMark,
    Utf16,
    /// A workbook has no encoding.
    Workbook,
}

/// A column of the file.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SheetColumn {
    pub(crate) name: String,
    pub(crate) meaning: Meaning,
    pub(crate) recognized: Recognized,
}

/// How the meaning of a column is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Recognized {
    /// It has the name that muster uses.
    ByName,
    /// By a name that other systems or languages use.
    BySynonym,
    /// By its values.
    ByValues,
    /// The person said so.
    Chosen,
    /// It is not.
    Unknown,
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Meaning {
    Field(UserField),
    /// First and last name, which are separated at the last space.
    FullName,
    /// A custom attribute, with its key.
    Attribute(String),
    LeftOut,
}

/// The text of [`Meaning::FullName`].
const FULL_NAME: &str = "full_name";

impl Meaning {
    /// Parses the output of [`Meaning::text`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::LeftOut),
            FULL_NAME => Some(Self::FullName),
            text => match text.strip_prefix(attributes::PREFIX) {
                Some(key) => attributes::is_key(key).then(|| Self::Attribute(key.to_owned())),
                None => UserField::find(UserField::NEW_USER, text).map(Self::Field),
            },
        }
    }

    /// The name in forms.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::FullName => FULL_NAME.to_owned(),
            meaning => meaning.field().unwrap_or_default(),
        }
    }

    /// The name of the field as findings have it; `None` for a column that is left out.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Field(field) => Some(field.as_str().to_owned()),
            Self::FullName => Some(UserField::Name.as_str().to_owned()),
            Self::Attribute(key) => Some(format!("{}{key}", attributes::PREFIX)),
            Self::LeftOut => None,
        }
    }

    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Field(field) if field.is_secret())
    }

    pub(crate) const fn is_flag(&self) -> bool {
        matches!(self, Self::Field(field) if field.is_flag())
    }
}

impl TryFrom<String> for Meaning {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("an unknown field")
    }
}

impl From<Meaning> for String {
    fn from(meaning: Meaning) -> Self {
        meaning.text()
    }
}

/// A row of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct SheetRow {
    /// The line, or the row of a workbook, from 1.
    pub(crate) line: usize,
    /// A value for each column; null if there is none. The cells of a table are text.
    pub(crate) cells: Vec<Value>,
    /// Why the cells can't be used. Such a row has none.
    pub(crate) problem: Option<String>,
}

/// What a page shows of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The value.
    Text(String),
    /// There is a value that must not be shown.
    Hidden,
    /// There is none.
    Nothing,
}

impl Sheet {
    /// What a line is called.
    pub(crate) const fn line_word(&self) -> &'static str {
        if matches!(self.format, FileFormat::Xlsx) { "row" } else { "line" }
    }

    pub(crate) const fn is_table(&self) -> bool {
        matches!(self.format, FileFormat::Csv | FileFormat::Xlsx)
    }

    /// The column of a field.
    pub(crate) fn column_of(&self, field: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.meaning.field().as_deref() == Some(field))
    }

    /// Whether some column is this field.
    pub(crate) fn has(&self, field: UserField) -> bool {
        self.column_of(field.as_str()).is_some()
    }

    /// The text of a cell as it was typed, corrections included.
    fn cell_text(&self, row: usize, column: usize) -> Option<String> {
        let field = self.columns.get(column)?.meaning.field();
        if let Some(fixed) = field.and_then(|field| self.fixes.get(&row)?.get(&field)) {
            return Some(fixed.clone()).filter(|text| !text.is_empty());
        }
        match self.rows.get(row)?.cells.get(column)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        }
    }

    /// What a page shows of a cell of a column that is not left out.
    pub(crate) fn shown(&self, row: usize, column: usize) -> Shown {
        let Some(meaning) = self.columns.get(column).map(|column| &column.meaning) else { return Shown::Nothing };
        let Some(text) = self.cell_text(row, column).filter(|text| !trim(text).is_empty()) else {
            return Shown::Nothing;
        };
        // People write a new password into the column that says whether it must be changed.
        let may_be_password = *meaning == Meaning::Field(UserField::MustChangePassword) && self.flag(&text).is_none();
        if meaning.is_secret() || may_be_password || self.may_be_shifted(row) {
            return Shown::Hidden;
        }
        Shown::Text(text)
    }

    /// Whether the cells of a row may be in the wrong columns, while the file has a column for secrets.
    fn may_be_shifted(&self, row: usize) -> bool {
        let has_secret = || self.columns.iter().any(|column| column.meaning.is_secret());
        let is_odd = |(index, column): (usize, &SheetColumn)| {
            let text = self.rows.get(row).and_then(|row| row.cells.get(index)).and_then(Value::as_str);
            text.map(trim).filter(|text| !text.is_empty()).is_some_and(|text| {
                (column.meaning.is_flag() && self.flag(text).is_none())
                    || (!column.meaning.is_secret()
                        && column.meaning != Meaning::LeftOut
                        && text.contains(['\n', '\r']))
            })
        };
        self.is_table() && has_secret() && self.columns.iter().enumerate().any(is_odd)
    }

    /// The value of a word for yes or no.
    pub(crate) fn flag(&self, text: &str) -> Option<bool> {
        let word = trim(text).to_lowercase();
        table::flag(&word).or_else(|| self.words.get(&word).copied()).or_else(|| names::preset(&word))
    }

    /// The words in columns for yes and no, with the number of rows, and what they mean.
    pub(crate) fn flag_words(&self) -> Vec<(String, usize, Option<bool>)> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        // JSON and YAML have types.
        if !self.is_table() {
            return Vec::new();
        }
        let flags: Vec<usize> = (0..self.columns.len())
            .filter(|index| self.columns.get(*index).is_some_and(|c| c.meaning.is_flag()))
            .collect();
        for row in &self.rows {
            for text in flags.iter().filter_map(|index| row.cells.get(*index)?.as_str()) {
                let word = trim(text).to_lowercase();
                if !word.is_empty() {
                    *counts.entry(word).or_default() += 1;
                }
            }
        }
        counts.into_iter().map(|(word, count)| (word.clone(), count, self.flag(&word))).collect()
    }

    /// Whether a word for yes or no has a meaning in every file.
    pub(crate) fn is_usual_flag(word: &str) -> bool {
        table::flag(word).is_some()
    }

    /// Undoes all corrections.
    pub(crate) fn restore(&mut self) {
        for text in self.fixes.values_mut().flat_map(BTreeMap::values_mut) {
            text.zeroize();
        }
        self.fixes.clear();
        self.left_out.clear();
    }

    /// The number of rows that would be created if all of them are right.
    pub(crate) fn kept(&self) -> usize {
        self.rows.len() - self.left_out.len()
    }
}

/// Wipes what may be passwords.
impl Drop for Sheet {
    fn drop(&mut self) {
        for cell in self.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if let Value::String(text) = cell {
                text.zeroize();
            }
        }
        self.restore();
    }
}

/// Omits the values, which contain passwords.
impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sheet").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}
