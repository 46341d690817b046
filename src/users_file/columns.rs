//! Columns of a table under other names than muster's: which field each one is, and which are left out.

use super::Contents;
use crate::field::UserField;
use crate::users::{attributes, is_trimmed};

/// What the command line says about a table: its columns, and its sheet in a workbook.
#[derive(Debug, Default)]
pub struct ColumnMap {
    columns: Vec<Mapped>,
    sheet: Option<String>,
}

#[derive(Debug)]
struct Mapped {
    name: String,
    /// `None` for a column that is left out.
    field: Option<UserField>,
    /// The key of an attribute.
    attribute: Option<String>,
    /// Whether a file can be without the column.
    is_optional: bool,
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Field(UserField),
    Ignored,
    Unknown,
}

impl Column {
    pub(super) const fn field(&self) -> Option<UserField> {
        match self {
            Self::Field(field) => Some(*field),
            Self::Ignored | Self::Unknown => None,
        }
    }
}

/// A column of a mapping that a file does not have.
pub(super) struct AbsentColumn<'a> {
    pub name: &'a str,
    pub field: Option<UserField>,
    /// Whether a file can be without it.
    pub is_optional: bool,
}

/// Why a mapping can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// Not of the form `COLUMN=FIELD`.
    #[error("`{0}` is not of the form COLUMN=FIELD")]
    Malformed(String),
    /// The file has no such field.
    #[error("unknown field `{field}`; the fields are {fields}")]
    UnknownField {
        /// The field as given.
        field: String,
        /// The fields that exist.
        fields: String,
    },
    /// A column is given twice.
    #[error("column `{0}` is given twice")]
    RepeatedColumn(String),
}

impl ColumnMap {
    /// Adds a mapping such as `Vorname=name`. A column name may contain `=`.
    ///
    /// # Errors
    /// [`MappingError`].
    pub fn map(&mut self, contents: &Contents, mapping: &str) -> Result<(), MappingError> {
        self.parse(contents, mapping, false)
    }

    /// Adds a mapping that is for several files, not all of which have the column.
    ///
    /// # Errors
    /// [`MappingError`].
    pub fn map_if_present(&mut self, contents: &Contents, mapping: &str) -> Result<(), MappingError> {
        self.parse(contents, mapping, true)
    }

    fn parse(&mut self, contents: &Contents, mapping: &str, is_optional: bool) -> Result<(), MappingError> {
        let malformed = || MappingError::Malformed(mapping.to_owned());
        let (name, field) = mapping.rsplit_once('=').ok_or_else(malformed)?;
        let (name, field) = (visible(name), visible(field));
        if name.is_empty() || field.is_empty() {
            return Err(malformed());
        }
        let attribute = contents.attribute(&field).map(str::to_owned);
        let known = if attribute.is_some() { Some(UserField::Attributes) } else { table_field(contents, &field) };
        let Some(known) = known else {
            return Err(MappingError::UnknownField { field, fields: table_names(contents) });
        };
        self.add(Mapped { name, field: Some(known), attribute, is_optional })
    }

    /// Leaves a column out.
    ///
    /// # Errors
    /// [`MappingError::RepeatedColumn`].
    pub fn ignore(&mut self, column: &str) -> Result<(), MappingError> {
        self.add(Mapped { name: visible(column), field: None, attribute: None, is_optional: false })
    }

    /// Selects the sheet of a workbook.
    pub fn select_sheet(&mut self, name: String) {
        self.sheet = Some(name);
    }

    pub(super) fn sheet(&self) -> Option<&str> {
        self.sheet.as_deref()
    }

    fn add(&mut self, column: Mapped) -> Result<(), MappingError> {
        if self.find(&column.name).is_some() {
            return Err(MappingError::RepeatedColumn(column.name));
        }
        self.columns.push(column);
        Ok(())
    }

    /// Whether the columns have muster's names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Mapped> {
        let name = name.to_lowercase();
        self.columns.iter().find(|column| column.name.to_lowercase() == name)
    }

    /// The meaning of a column, regardless of case.
    pub(super) fn column(&self, contents: &Contents, name: &str) -> Column {
        let field = match self.find(name) {
            Some(Mapped { field: None, .. }) => return Column::Ignored,
            Some(Mapped { field, .. }) => *field,
            None if contents.attribute(name).is_some() => Some(UserField::Attributes),
            None => table_field(contents, name),
        };
        field.map_or(Column::Unknown, Column::Field)
    }

    /// The key of a column that is an attribute.
    pub(super) fn attribute(&self, contents: &Contents, name: &str) -> Option<String> {
        match self.find(name) {
            Some(mapped) => mapped.attribute.clone(),
            None => contents.attribute(name).map(str::to_owned),
        }
    }

    /// The columns that a header with these names does not have.
    pub(super) fn absent(&self, names: &[String]) -> impl Iterator<Item = AbsentColumn<'_>> {
        let is_absent = |column: &&Mapped| {
            let name = column.name.to_lowercase();
            !names.iter().any(|other| other.to_lowercase() == name)
        };
        self.columns.iter().filter(is_absent).map(|Mapped { name, field, is_optional, .. }| AbsentColumn {
            name,
            field: *field,
            is_optional: *is_optional,
        })
    }
}

/// The field of this name. Attributes have a column each.
fn table_field(contents: &Contents, name: &str) -> Option<UserField> {
    contents.field(&name.to_lowercase()).filter(|field| *field != UserField::Attributes)
}

/// The names of the columns of a table.
pub(super) fn table_names(contents: &Contents) -> String {
    let name = |field: &UserField| match field {
        UserField::Attributes => format!("{}KEY", attributes::PREFIX),
        field => field.to_string(),
    };
    contents.fields.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The name of a column without invisible characters.
pub(super) fn visible(name: &str) -> String {
    let visible = name.chars().filter(|c| c.is_whitespace() || !is_trimmed(*c));
    let name: String = visible.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    name.trim().to_owned()
}
