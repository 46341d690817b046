//! What somebody wants a user to be: reading and judging it. Pure.

use serde_json::Value;

use super::named::Named;
use super::{EmailAddress, Line, Name};
use crate::report::Finding;
use crate::rows::{Field, Fields, Shape};

/// What is to be different about a user: each part is valid by itself. What is `None` stays.
#[derive(Debug, Default)]
pub(super) struct Edit {
    pub(super) name: Option<Name>,
    pub(super) email: Option<EmailAddress>,
    /// `Some(None)` takes it away.
    pub(super) lastname: Option<Option<Line>>,
    /// The same.
    pub(super) title: Option<Option<Line>>,
}

impl Edit {
    /// The fields that only a person's account can be given another value of.
    pub(super) fn personal(&self) -> impl Iterator<Item = &'static str> {
        let given =
            [("name", self.name.is_some()), ("email", self.email.is_some()), ("lastname", self.lastname.is_some())];
        given.into_iter().filter_map(|(field, is_given)| is_given.then_some(field))
    }
}

/// The fields of an edit as they were sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    name: Field<String>,
    email: Field<String>,
    lastname: Option<Field<String>>,
    title: Option<Field<String>>,
}

impl Sent {
    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        match field {
            // There is no user without one.
            "name" | "email" if value.is_null() => {
                fields.wrong::<()>(field, "text", &value);
            }
            "name" => self.name = fields.text(field, value),
            "email" => self.email = fields.text(field, value),
            "lastname" => self.lastname = Some(fields.text(field, value)),
            _ => self.title = Some(fields.text(field, value)),
        }
    }

    /// Checks all fields. What is wrong joins the findings, and is not in the edit.
    pub(super) fn check(self, index: usize, findings: &mut Vec<Finding>) -> Edit {
        let mut line = |field: &str, sent: Option<Field<String>>| match sent? {
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
        let (lastname, title) = (line("lastname", self.lastname), line("title", self.title));
        let name = self.name.into_option().and_then(|name| {
            let name = Name::parse(name);
            name.map_err(|why| findings.push(Finding::field(index, "name", why.code(), why.message()))).ok()
        });
        let email = self.email.into_option().and_then(|email| {
            let email = EmailAddress::parse(&email);
            email.map_err(|why| findings.push(Finding::field(index, "email", why.code(), why.message()))).ok()
        });
        Edit { name, email, lastname, title }
    }
}

/// The body of a change of one user.
#[derive(Debug, Default)]
pub(super) struct One(pub(super) Sent);

impl Shape for One {
    const FIELDS: &'static [&'static str] = &["name", "email", "lastname", "title"];
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        self.0.set(fields, field, value);
    }
}

/// The beginning of each row: who, and which revision of them.
#[derive(Debug, Default)]
pub(super) struct Who {
    user: Field<String>,
    if_match: Field<i64>,
}

impl Who {
    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        match field {
            "user" => self.user = fields.text(field, value),
            _ => self.if_match = revision(fields, field, value),
        }
    }

    /// Who, if that can be known, and the revision.
    pub(super) fn check(self, index: usize, findings: &mut Vec<Finding>) -> Option<(Named, Option<i64>)> {
        let named = Named::check(self.user, index, findings);
        named.map(|named| (named, self.if_match.into_option()))
    }
}

/// A revision: a number, or as it stands in an `ETag`. Files of text have it as text.
fn revision(fields: &mut Fields<'_>, field: &'static str, value: Value) -> Field<i64> {
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

/// A row of a list of those who are changed.
#[derive(Debug, Default)]
pub(super) struct EditRow {
    who: Who,
    sent: Sent,
}

impl Shape for EditRow {
    const FIELDS: &'static [&'static str] = &["user", "name", "email", "lastname", "title", "if_match"];
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        match field {
            "user" | "if_match" => self.who.set(fields, field, value),
            _ => self.sent.set(fields, field, value),
        }
    }
}

/// A row of a list of those to whom something is done that needs no more words.
#[derive(Debug, Default)]
pub(super) struct WhoRow(Who);

impl Shape for WhoRow {
    const FIELDS: &'static [&'static str] = &["user", "if_match"];
    const PURPOSE: &'static str = "change";

    fn set(&mut self, fields: &mut Fields<'_>, field: &'static str, value: Value) {
        self.0.set(fields, field, value);
    }
}

/// Either of them.
pub(super) trait Row: Shape {
    /// Who, and what is to be different about them.
    fn parts(self) -> (Who, Sent);
}

impl Row for EditRow {
    fn parts(self) -> (Who, Sent) {
        (self.who, self.sent)
    }
}

impl Row for WhoRow {
    fn parts(self) -> (Who, Sent) {
        (self.0, Sent::default())
    }
}
