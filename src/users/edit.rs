//! Edits of users: the fields of a request, and their validation. Pure.

use serde_json::Value;

use super::user_ref::UserRef;
use super::{EmailAddress, Line, Name};
use crate::field::UserField;
use crate::report::Finding;
use crate::rows::{Field, Fields, Shape};

/// The new values of a user's fields, each of them valid. `None` keeps the current value.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) name: Option<Name>,
    pub(super) email: Option<EmailAddress>,
    /// `Some(None)` clears the field.
    pub(super) lastname: Option<Option<Line>>,
    /// `Some(None)` clears the field.
    pub(super) title: Option<Option<Line>>,
}

impl Edit {
    /// The fields of this edit that can't be changed for a service account.
    pub(super) fn personal(&self) -> impl Iterator<Item = &'static str> {
        let given =
            [("name", self.name.is_some()), ("email", self.email.is_some()), ("lastname", self.lastname.is_some())];
        given.into_iter().filter_map(|(field, is_given)| is_given.then_some(field))
    }
}

/// The fields of an edit as they were sent.
#[derive(Debug, Default)]
pub(super) struct EditFields {
    name: Field<String>,
    email: Field<String>,
    lastname: Option<Field<String>>,
    title: Option<Field<String>>,
}

impl EditFields {
    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        match field {
            // Both are required.
            UserField::Name | UserField::Email if value.is_null() => {
                fields.wrong::<()>(field, "text", &value);
            }
            UserField::Name => self.name = fields.text(field, value),
            UserField::Email => self.email = fields.text(field, value),
            UserField::Lastname => self.lastname = Some(fields.text(field, value)),
            UserField::Title => self.title = Some(fields.text(field, value)),
            // Not fields of an edit.
            UserField::Password
            | UserField::PasswordHash
            | UserField::MustChangePassword
            | UserField::IsSsoUser
            | UserField::PermissionLevel
            | UserField::User
            | UserField::IfMatch => {}
        }
    }

    /// Validates all fields. An invalid field becomes a finding and is left out of the edit.
    pub(super) fn check(self, index: usize, findings: &mut Vec<Finding>) -> Edit {
        let mut line = |field: UserField, sent: Option<Field<String>>| match sent? {
            Field::Missing => Some(None),
            Field::Wrong => None,
            Field::Is(text) => match Line::parse(text) {
                Ok(line) => Some(Some(line)),
                Err(why) => {
                    findings.push(Finding::field(index, field, why.code(), why.message()));
                    None
                }
            },
        };
        let (lastname, title) = (line(UserField::Lastname, self.lastname), line(UserField::Title, self.title));
        let name = self.name.into_option().and_then(|name| {
            let name = Name::parse(name);
            name.map_err(|why| findings.push(Finding::field(index, UserField::Name, why.code(), why.message()))).ok()
        });
        let email = self.email.into_option().and_then(|email| {
            let email = EmailAddress::parse(&email);
            email.map_err(|why| findings.push(Finding::field(index, UserField::Email, why.code(), why.message()))).ok()
        });
        Edit { name, email, lastname, title }
    }
}

/// The body of a change of one user.
#[derive(Debug, Default)]
pub(super) struct EditBody(pub(super) EditFields);

impl Shape for EditBody {
    const FIELDS: &'static [UserField] = UserField::EDIT;
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        self.0.set(fields, field, value);
    }
}

/// The fields that identify the user of a row, and optionally the revision the user must have.
#[derive(Debug, Default)]
pub(super) struct TargetFields {
    user: Field<String>,
    if_match: Field<i64>,
}

impl TargetFields {
    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        match field {
            UserField::User => self.user = fields.text(field, value),
            UserField::IfMatch => self.if_match = revision(fields, field, value),
            // Not fields that identify a user.
            UserField::Name
            | UserField::Email
            | UserField::Lastname
            | UserField::Title
            | UserField::Password
            | UserField::PasswordHash
            | UserField::MustChangePassword
            | UserField::IsSsoUser
            | UserField::PermissionLevel => {}
        }
    }

    /// Validates the reference; `None` if it is missing or malformed. Returns the revision beside it.
    pub(super) fn check(self, index: usize, findings: &mut Vec<Finding>) -> Option<(UserRef, Option<i64>)> {
        let user = UserRef::check(self.user, index, findings);
        user.map(|user| (user, self.if_match.into_option()))
    }
}

/// Reads a revision: a number, or the text of an `ETag`. CSV files contain text only.
fn revision(fields: &mut Fields<'_>, field: UserField, value: Value) -> Field<i64> {
    match &value {
        Value::Null => Field::Missing,
        Value::Number(number) if number.is_i64() => number.as_i64().map_or(Field::Wrong, Field::Is),
        Value::String(text) => match text.trim_matches('"').parse() {
            Ok(revision) => Field::Is(revision),
            Err(_) => fields.wrong(field, "a revision, as in the ETag", &value),
        },
        _ => fields.wrong(field, "a revision, as in the ETag", &value),
    }
}

/// A row of a list of edits.
#[derive(Debug, Default)]
pub(super) struct EditRow {
    target: TargetFields,
    edit: EditFields,
}

impl Shape for EditRow {
    const FIELDS: &'static [UserField] = UserField::EDIT_ROW;
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        match field {
            UserField::User | UserField::IfMatch => self.target.set(fields, field, value),
            _ => self.edit.set(fields, field, value),
        }
    }
}

/// A row of a list of users to suspend, reactivate or delete.
#[derive(Debug, Default)]
pub(super) struct TargetRow(TargetFields);

impl Shape for TargetRow {
    const FIELDS: &'static [UserField] = UserField::TARGET_ROW;
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        self.0.set(fields, field, value);
    }
}

/// A row of a list of users.
pub(super) trait ListRow: Shape {
    /// Splits the row into the user and the edit.
    fn parts(self) -> (TargetFields, EditFields);
}

impl ListRow for EditRow {
    fn parts(self) -> (TargetFields, EditFields) {
        (self.target, self.edit)
    }
}

impl ListRow for TargetRow {
    fn parts(self) -> (TargetFields, EditFields) {
        (self.0, EditFields::default())
    }
}
