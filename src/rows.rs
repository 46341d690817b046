//! Parsing a JSON list into rows, with findings on types. Pure.
//!
//! Each kind of list has some of the fields of [`Row`]. A value of the wrong type is a finding on its row. Only text that
//! is not JSON, or not a list, is rejected as a whole.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::config;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::list::{self, ListError};
use crate::report::{Finding, Findings};
use crate::request_body::{BodyShare, why_not_json};
use crate::secret::Secret;

/// The maximum length, in characters, of an unknown field name in a finding.
const LONGEST_NAME_SHOWN: usize = 64;

/// The maximum number of unknown fields that are named for a row. A few show the mistake, and the response stays
/// bounded.
const MOST_UNKNOWN_NAMED: usize = 5;

/// The most attributes of a row that are read: twice as many as a user can have, for a row that replaces all of them.
const MOST_ATTRIBUTES_SENT: usize = 128;

/// A field of a row.
#[derive(Debug, Default)]
pub(crate) enum Field<T> {
    /// Absent.
    #[default]
    Missing,
    /// Present with the value null.
    Null,
    /// Of the wrong type; the finding was added.
    Wrong,
    /// Present.
    Is(T),
}

impl<T> Field<T> {
    pub(crate) fn into_option(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Missing | Self::Null | Self::Wrong => None,
        }
    }

    /// Whether the field has no value: absent or null.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }
}

/// A row as it was sent. The fields that its list does not have stay missing.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) user: Field<String>,
    pub(crate) if_match: Field<i64>,
    pub(crate) name: Field<String>,
    pub(crate) email: Field<String>,
    pub(crate) lastname: Field<String>,
    pub(crate) title: Field<String>,
    pub(crate) password: Field<Secret>,
    pub(crate) password_hash: Field<Secret>,
    pub(crate) must_change_password: Field<bool>,
    pub(crate) is_sso_user: Field<bool>,
    pub(crate) permission_level: Field<String>,
    pub(crate) attributes: Field<SentAttributes>,
    pub(crate) status: Field<String>,
    pub(crate) expires_at: Field<String>,
}

impl Row {
    fn set(&mut self, fields: &mut Fields<'_>, field: UserField, value: Value) {
        match field {
            UserField::User => self.user = fields.text(field, value),
            UserField::IfMatch => self.if_match = fields.revision(field, &value),
            UserField::Name => self.name = fields.text(field, value),
            UserField::Email => self.email = fields.text(field, value),
            UserField::Lastname => self.lastname = fields.text(field, value),
            UserField::Title => self.title = fields.text(field, value),
            UserField::Password => self.password = fields.text(field, value),
            UserField::PasswordHash => self.password_hash = fields.text(field, value),
            UserField::MustChangePassword => self.must_change_password = fields.flag(field, &value),
            UserField::IsSsoUser => self.is_sso_user = fields.flag(field, &value),
            UserField::PermissionLevel => self.permission_level = fields.text(field, value),
            // Read by `RowSeed::visit_map`.
            UserField::Attributes => {}
            UserField::Status => self.status = fields.text(field, value),
            UserField::ExpiresAt => self.expires_at = fields.text(field, value),
        }
    }
}

/// Rows, `None` for one that is not an object, and the findings on their types.
pub(crate) type Rows = (Vec<Option<Row>>, Findings);

/// The limits of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListLimits {
    pub(crate) users: usize,
    pub(crate) findings: usize,
}

impl From<&config::Batch> for ListLimits {
    fn from(config: &config::Batch) -> Self {
        Self { users: config.max_users, findings: config.max_findings }
    }
}

/// Parses a list whose rows have `fields`; `purpose` is the verb for messages: "no users to create".
///
/// # Errors
/// `invalid_json`, `invalid_request`, `empty_batch` or `too_large`, when there are no rows to report on; `overloaded`.
pub(crate) fn parse(
    text: &[u8],
    share: &mut BodyShare,
    limits: ListLimits,
    fields: &'static [UserField],
    purpose: &str,
) -> Result<Rows> {
    let findings = RefCell::new(Findings::new(limits.findings));
    let rows = list::parse(text, limits.users, share, |index| RowSeed { index, findings: &findings, fields });
    match rows {
        Ok(rows) if rows.is_empty() => {
            Err(Error::new(Code::EmptyBatch, format!("the list is empty; there are no users to {purpose}")))
        }
        Ok(rows) => Ok((rows, findings.into_inner())),
        Err(ListError::TooLong) => {
            let max = limits.users;
            let message =
                format!("more than {max} users in one batch (setting `batch.max_users`); send several batches");
            Err(Error::new(Code::TooLarge, message))
        }
        Err(ListError::Overloaded(error)) => Err(error),
        Err(ListError::Invalid(error)) if error.is_data() => {
            let fields: Vec<String> = fields.iter().take(2).map(|field| format!("\"{field}\": …")).collect();
            Err(Error::invalid(format!("the body must be a JSON array of users: [{{{}}}, …]", fields.join(", "))))
        }
        Err(ListError::Invalid(error)) => Err(not_json(text, &error)),
    }
}

/// Parses a single row with `fields`, which is not in a list.
///
/// # Errors
/// `invalid_json`.
pub(crate) fn parse_one(text: &[u8], fields: &'static [UserField]) -> Result<(Option<Row>, Findings)> {
    // A row has a few findings at most.
    let findings = RefCell::new(Findings::new(usize::MAX));
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let row = RowSeed { index: 0, findings: &findings, fields }
        .deserialize(&mut deserializer)
        .and_then(|row| deserializer.end().map(|()| row));
    match row {
        Ok(row) => Ok((row, findings.into_inner())),
        Err(error) => Err(not_json(text, &error)),
    }
}

fn not_json(text: &[u8], error: &serde_json::Error) -> Error {
    Error::new(Code::InvalidJson, format!("the body is not valid JSON: {}", why_not_json(text, error)))
}

struct RowSeed<'a> {
    index: usize,
    findings: &'a RefCell<Findings>,
    fields: &'static [UserField],
}

impl RowSeed<'_> {
    fn not_an_object(self, found: &str) -> Option<Row> {
        let message = format!("must be an object with {}, not {found}", UserField::names(self.fields));
        self.findings.borrow_mut().push(Finding::row(self.index, "wrong_type", message));
        None
    }
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Option<Row>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Option<Row>, A::Error> {
        let mut row = Row::default();
        let Self { index, findings, fields: known } = self;
        let mut fields = Fields { known, index, findings: &mut findings.borrow_mut(), seen: Vec::new(), unknown: 0 };
        while let Some(key) = object.next_key::<String>()? {
            match fields.new_field(&key) {
                Some(UserField::Attributes) => row.attributes = fields.attributes(object.next_value()?),
                Some(field) => row.set(&mut fields, field, object.next_value()?),
                None => {
                    let _: IgnoredAny = object.next_value()?;
                }
            }
        }
        fields.finish();
        Ok(Some(row))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Option<Row>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.not_an_object("a list"))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("text"))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_unit<E>(self) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("null"))
    }
}

/// The value of a field. What lists and objects contain is skipped: it would take many times the memory of its text.
enum Value {
    Null,
    Bool(bool),
    /// `None` if it is not an integer of 64 bits.
    Number(Option<i64>),
    Text(String),
    List,
    Object,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Value, E> {
        Ok(Value::Number(Some(number)))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Value, E> {
        Ok(Value::Number(i64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Value, E> {
        Ok(Value::Number(None))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object)
    }
}

/// The attributes of a row as they were sent.
#[derive(Debug)]
pub(crate) struct SentAttributes(pub(crate) Vec<(String, SentValue)>);

/// The value of an attribute as it was sent.
#[derive(Debug)]
pub(crate) enum SentValue {
    Null,
    /// Text, a number or a boolean.
    Scalar(serde_json::Value),
    /// The name of another type.
    Other(&'static str),
}

impl<'de> Deserialize<'de> for SentValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(SentValueVisitor)
    }
}

struct SentValueVisitor;

impl<'de> Visitor<'de> for SentValueVisitor {
    type Value = SentValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Scalar(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Scalar(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<SentValue, E> {
        Ok(SentValue::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> std::result::Result<SentValue, A::Error> {
        ValueVisitor.visit_seq(list).map(|_| SentValue::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> std::result::Result<SentValue, A::Error> {
        ValueVisitor.visit_map(object).map(|_| SentValue::Other("an object"))
    }
}

/// The value of the field `attributes`.
enum AttributesValue {
    /// The first [`MOST_ATTRIBUTES_SENT`], and whether there are more.
    Object(SentAttributes, bool),
    Other(Value),
}

impl<'de> Deserialize<'de> for AttributesValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(AttributesVisitor)
    }
}

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = AttributesValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Number(None)))
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Number(None)))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Number(None)))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<AttributesValue, E> {
        Ok(AttributesValue::Other(Value::Text(String::new())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> std::result::Result<AttributesValue, A::Error> {
        ValueVisitor.visit_seq(list).map(AttributesValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<AttributesValue, A::Error> {
        let mut sent = Vec::new();
        while sent.len() < MOST_ATTRIBUTES_SENT {
            match object.next_entry()? {
                Some(entry) => sent.push(entry),
                None => return Ok(AttributesValue::Object(SentAttributes(sent), false)),
            }
        }
        let mut has_more = false;
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            has_more = true;
        }
        Ok(AttributesValue::Object(SentAttributes(sent), has_more))
    }
}

/// Reads the fields of a row. The number of findings is bounded.
struct Fields<'a> {
    known: &'static [UserField],
    index: usize,
    findings: &'a mut Findings,
    /// The known fields read so far, and whether a duplicate was reported.
    seen: Vec<(UserField, bool)>,
    /// The number of unknown fields.
    unknown: usize,
}

impl Fields<'_> {
    /// The known field of this name, on its first occurrence. JSON does not define which of two values with the same
    /// name counts, so a second one is a finding.
    fn new_field(&mut self, key: &str) -> Option<UserField> {
        let Some(known) = UserField::find(self.known, key) else {
            self.unknown(key);
            return None;
        };
        match self.seen.iter_mut().find(|(seen, _)| *seen == known) {
            None => {
                self.seen.push((known, false));
                Some(known)
            }
            Some((_, is_reported)) => {
                if !*is_reported {
                    *is_reported = true;
                    self.findings.push(Finding::field(self.index, known, "duplicate_field", "occurs twice"));
                }
                None
            }
        }
    }

    fn text<T: From<String>>(&mut self, field: UserField, value: Value) -> Field<T> {
        match value {
            Value::Text(text) => Field::Is(text.into()),
            Value::Null => Field::Null,
            other => self.wrong(field, "text", &other),
        }
    }

    fn flag(&mut self, field: UserField, value: &Value) -> Field<bool> {
        match value {
            Value::Bool(flag) => Field::Is(*flag),
            Value::Null => Field::Null,
            other => self.wrong(field, "true or false", other),
        }
    }

    fn attributes(&mut self, value: AttributesValue) -> Field<SentAttributes> {
        match value {
            AttributesValue::Object(sent, false) => Field::Is(sent),
            AttributesValue::Object(_, true) => {
                let message = format!("more than {MOST_ATTRIBUTES_SENT} attributes");
                self.findings.push(Finding::field(self.index, UserField::Attributes, "too_many", message));
                Field::Wrong
            }
            AttributesValue::Other(Value::Null) => Field::Null,
            AttributesValue::Other(other) => {
                self.wrong(UserField::Attributes, "an object of texts, numbers and booleans", &other)
            }
        }
    }

    /// Reads a revision: a number, or the text of an `ETag`. CSV files contain text only.
    fn revision(&mut self, field: UserField, value: &Value) -> Field<i64> {
        let revision = match value {
            Value::Null => return Field::Null,
            Value::Number(number) => *number,
            Value::Text(text) => text.trim_matches('"').parse().ok(),
            _ => None,
        };
        revision.map_or_else(|| self.wrong(field, "a revision, as in the ETag", value), Field::Is)
    }

    fn wrong<T>(&mut self, field: UserField, expected: &str, found: &Value) -> Field<T> {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List => "a list",
            Value::Object => "an object",
        };
        self.findings.push(Finding::field(self.index, field, "wrong_type", format!("must be {expected}, not {found}")));
        Field::Wrong
    }

    fn unknown(&mut self, key: &str) {
        self.unknown += 1;
        if self.unknown > MOST_UNKNOWN_NAMED {
            return;
        }
        let shown: String = key
            .chars()
            .take(LONGEST_NAME_SHOWN)
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        let message = format!("is unknown; the known fields are {}", UserField::names(self.known));
        self.findings.push(Finding::field(self.index, shown, "unknown_field", message));
    }

    /// Adds a finding with the number of unknown fields that were not named.
    fn finish(self) {
        let more = self.unknown.saturating_sub(MOST_UNKNOWN_NAMED);
        if more > 0 {
            self.findings.push(Finding::row(self.index, "unknown_field", format!("has {more} more unknown fields")));
        }
    }
}
