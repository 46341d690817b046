//! Reading the JSON of a list: rows of fields, and what is wrong with their types. Pure.
//!
//! A value of the wrong type is a finding of its row, not the end of reading: only text that
//! is not JSON at all, or not a list, is refused as a whole.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::report::{FIELDS, Finding};
use crate::secret::Secret;

/// The longest unknown field name that is repeated in a finding, in characters.
const LONGEST_NAME_SHOWN: usize = 64;

/// How many unknown fields of one row are named. A mistake in a program is clear after a few, and
/// the answer to a body of nothing else stays bounded.
const MOST_UNKNOWN_NAMED: usize = 5;

/// One field, as far as reading it went.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// Not there, or null.
    #[default]
    Missing,
    /// There, of the wrong type; the finding has been made.
    Wrong,
    /// There.
    Is(T),
}

impl<T> Field<T> {
    pub(super) fn into_option(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Missing | Self::Wrong => None,
        }
    }
}

impl Field<String> {
    fn into_secret(self) -> Field<Secret> {
        match self {
            Self::Is(text) => Field::Is(Secret::new(text)),
            Self::Wrong => Field::Wrong,
            Self::Missing => Field::Missing,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) name: Field<String>,
    pub(super) email: Field<String>,
    pub(super) password: Field<Secret>,
    pub(super) is_sso_user: Field<bool>,
    pub(super) lastname: Field<String>,
    pub(super) title: Field<String>,
    pub(super) password_hash: Field<Secret>,
    pub(super) must_change_password: Field<bool>,
    pub(super) permission_level: Field<String>,
}

/// Rows (`None` for one that is not an object) and what is wrong with their types.
pub(super) type Rows = (Vec<Option<Row>>, Vec<Finding>);

pub(super) fn parse(body: &[u8], max_users: usize) -> Result<Rows> {
    let mut too_many = false;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let rows = ListSeed { max_users, too_many: &mut too_many }
        .deserialize(&mut deserializer)
        .and_then(|rows| deserializer.end().map(|()| rows));
    match rows {
        Ok((rows, _)) if rows.is_empty() => {
            Err(Error::new(Code::EmptyBatch, "the list is empty: there is nobody to create"))
        }
        Ok(rows) => Ok(rows),
        Err(_) if too_many => Err(Error::new(
            Code::TooLarge,
            format!("more than {max_users} users in one batch (setting `batch.max_users`): send several batches"),
        )),
        Err(error) if error.is_data() => {
            Err(Error::invalid("the body has to be a JSON array of users: [{\"name\": …, \"email\": …}, …]"))
        }
        Err(error) => Err(Error::new(Code::InvalidJson, format!("the body is not valid JSON: {error}"))),
    }
}

struct ListSeed<'a> {
    max_users: usize,
    too_many: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = Rows;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Rows, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Rows, A::Error> {
        let (mut rows, mut findings) = (Vec::new(), Vec::new());
        while let Some(row) = list.next_element_seed(RowSeed { index: rows.len(), findings: &mut findings })? {
            if rows.len() >= self.max_users {
                *self.too_many = true;
                return Err(serde::de::Error::custom("too many"));
            }
            rows.push(row);
        }
        Ok((rows, findings))
    }
}

struct RowSeed<'a> {
    index: usize,
    findings: &'a mut Vec<Finding>,
}

impl RowSeed<'_> {
    fn not_an_object<T>(self, found: &str) -> Option<T> {
        let message = format!("a user has to be an object with {}; this is {found}", FIELDS.join(", "));
        self.findings.push(Finding::row(self.index, "wrong_type", message));
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
        let mut fields = Fields { index: self.index, findings: self.findings, seen: Vec::new(), unknown: 0 };
        while let Some(key) = object.next_key::<String>()? {
            if !fields.is_new(&key) {
                let _: IgnoredAny = object.next_value()?;
                continue;
            }
            match key.as_str() {
                "name" => row.name = fields.text(&key, object.next_value()?),
                "email" => row.email = fields.text(&key, object.next_value()?),
                "lastname" => row.lastname = fields.text(&key, object.next_value()?),
                "title" => row.title = fields.text(&key, object.next_value()?),
                "permission_level" => row.permission_level = fields.text(&key, object.next_value()?),
                "password" => row.password = fields.text(&key, object.next_value()?).into_secret(),
                "password_hash" => row.password_hash = fields.text(&key, object.next_value()?).into_secret(),
                "must_change_password" => row.must_change_password = fields.flag(&key, object.next_value()?),
                _ => row.is_sso_user = fields.flag(&key, object.next_value()?),
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

/// Takes the values of one row's fields. However many there are, findings stay few.
struct Fields<'a> {
    index: usize,
    findings: &'a mut Vec<Finding>,
    /// Which known fields there have been, and whether more than once.
    seen: Vec<(&'static str, bool)>,
    /// How many unknown ones.
    unknown: usize,
}

impl Fields<'_> {
    /// Whether it is a known field, for the first time. JSON leaves open which of two values of one
    /// name counts, so a second one is a finding.
    fn is_new(&mut self, key: &str) -> bool {
        let Some(known) = FIELDS.iter().find(|known| **known == key) else {
            self.unknown(key);
            return false;
        };
        match self.seen.iter_mut().find(|(seen, _)| seen == known) {
            None => {
                self.seen.push((known, false));
                true
            }
            Some((_, told)) => {
                if !*told {
                    *told = true;
                    self.findings.push(Finding::field(self.index, *known, "duplicate_field", "is there twice"));
                }
                false
            }
        }
    }

    fn text(&mut self, key: &str, value: Value) -> Field<String> {
        match value {
            Value::String(text) => Field::Is(text),
            Value::Null => Field::Missing,
            other => self.wrong(key, "text", &other),
        }
    }

    fn flag(&mut self, key: &str, value: Value) -> Field<bool> {
        match value {
            Value::Bool(flag) => Field::Is(flag),
            Value::Null => Field::Missing,
            other => self.wrong(key, "true or false", &other),
        }
    }

    fn wrong<T>(&mut self, key: &str, due: &str, found: &Value) -> Field<T> {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.findings.push(Finding::field(self.index, key, "wrong_type", format!("has to be {due}, not {found}")));
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
        let message = format!("is unknown; a user has {}", FIELDS.join(", "));
        self.findings.push(Finding::field(self.index, shown, "unknown_field", message));
    }

    /// Says how many unknown fields were not named.
    fn finish(self) {
        let more = self.unknown.saturating_sub(MOST_UNKNOWN_NAMED);
        if more > 0 {
            self.findings.push(Finding::row(self.index, "unknown_field", format!("has {more} more unknown fields")));
        }
    }
}
