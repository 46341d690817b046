//! Custom attributes of users: a flat JSON object of texts, numbers and booleans.
//!
//! # Decisions
//!
//! *A change merges* (RFC 7396, JSON Merge Patch): the keys that it has replace the values, null removes a key, and the others
//! stay. An empty text is rejected: it is most likely meant to remove the key, and a CSV file can't tell it from none.
//!
//! *A cell of a CSV file is a number or boolean if it is written exactly as JSON writes one*: `12`, `true`. `007`, `1e5` and
//! `TRUE` are text, whose digits and letters a conversion would change. A text that looks like one of them has quotes, as in JSON.
//!
//! *A number that may have been rounded is rejected*: an employee number of 23 digits must not come back with other digits.
//!
//! *Values are one line*, as names and titles are.
//!
//! *Keys are recorded in the audit log, values are not*: they are personal data, and are deleted with their user.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::text::{self, InvalidText};
use crate::report::{Finding, Findings};
use crate::rows::{Field, SentAttributes, SentValue};

/// The most attributes of a user.
pub const MOST_ATTRIBUTES: usize = 64;

/// The longest key, in characters.
pub const LONGEST_KEY: usize = 64;

/// The most bytes of the attributes of a user as JSON.
pub const MOST_BYTES: usize = 8 * 1024;

/// What precedes a key in the name of a field or column.
pub(crate) const PREFIX: &str = "attributes.";

/// The attributes of a user, each of them valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Attributes(Json<BTreeMap<String, Value>>);

/// A change of attributes, each of them valid.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttributesPatch {
    /// Whether all other attributes are removed.
    replaces: bool,
    /// `None` removes the attribute.
    values: BTreeMap<String, Option<Value>>,
}

impl Attributes {
    /// The attributes as a JSON object.
    #[must_use]
    pub fn to_object(&self) -> Map<String, Value> {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.to_object()).to_string()
    }

    /// Parses the JSON object of a search.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let values: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
        let is_valid = |(key, value): (&String, &Value)| {
            is_key(key)
                && match value {
                    // PostgreSQL stores no NUL character.
                    Value::String(text) => !text.contains('\0'),
                    Value::Number(_) | Value::Bool(_) => true,
                    Value::Null | Value::Array(_) | Value::Object(_) => false,
                }
        };
        let is_short = values.len() <= MOST_ATTRIBUTES && text.len() <= MOST_BYTES;
        (is_short && values.iter().all(is_valid)).then_some(Self(Json(values)))
    }

    /// The attributes after a change.
    pub(crate) fn with(&self, patch: &AttributesPatch) -> Self {
        let mut values = if patch.replaces { BTreeMap::new() } else { self.0.0.clone() };
        for (key, value) in &patch.values {
            match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
        }
        Self(Json(values))
    }

    /// The keys whose values differ, with the values before and after, as cells show them.
    pub(crate) fn changes<'a>(
        &'a self,
        after: &'a Self,
    ) -> impl Iterator<Item = (&'a str, Option<String>, Option<String>)> {
        let added = after.0.keys().filter(|key| !self.0.contains_key(*key));
        let keys = self.0.keys().chain(added);
        keys.filter(|key| self.0.get(*key) != after.0.get(*key)).map(|key| {
            let cell = |attributes: &Self| attributes.0.get(key).map(to_cell);
            (key.as_str(), cell(self), cell(after))
        })
    }

    /// The finding on too many or too long attributes.
    pub(crate) fn check_size(&self, index: usize) -> Option<Finding> {
        let (code, message) = if self.0.len() > MOST_ATTRIBUTES {
            ("too_many", format!("more than {MOST_ATTRIBUTES} attributes"))
        } else if self.to_json().len() > MOST_BYTES {
            ("too_long", format!("longer than {MOST_BYTES} bytes as JSON"))
        } else {
            return None;
        };
        Some(Finding::field(index, "attributes", code, message))
    }
}

impl AttributesPatch {
    /// Validates the attributes of a row. An invalid one becomes a finding. `None` if the row has none.
    pub(crate) fn check(sent: Field<SentAttributes>, index: usize, findings: &mut Findings) -> Option<Self> {
        let sent = match sent {
            Field::Missing | Field::Wrong => return None,
            Field::Null => return Some(Self { replaces: true, values: BTreeMap::new() }),
            Field::Is(sent) => sent,
        };
        let mut values = BTreeMap::new();
        for (key, value) in sent.0 {
            if !is_key(&key) {
                let message =
                    format!("has a key that is not 1 to {LONGEST_KEY} letters, digits, `_`, `.` or `-` of ASCII");
                findings.push(Finding::field(index, "attributes", "attribute_key_invalid", message));
                continue;
            }
            let mut invalid =
                |code, message: &str| findings.push(Finding::field(index, format!("{PREFIX}{key}"), code, message));
            let value = match value {
                SentValue::Null => None,
                SentValue::Scalar(Value::String(text)) => match text::one_line(text) {
                    Ok(text) if text.is_empty() => {
                        invalid(InvalidText::Empty.code(), "must not be empty; null removes the attribute");
                        continue;
                    }
                    Ok(text) => Some(Value::String(text)),
                    Err(why) => {
                        invalid(why.code(), &why.message());
                        continue;
                    }
                },
                SentValue::Scalar(value) if is_inexact(&value) => {
                    invalid("number_inexact", "is a number that can't be stored exactly; send it as text");
                    continue;
                }
                SentValue::Scalar(value) => Some(value),
                SentValue::Other(found) => {
                    invalid("wrong_type", &format!("must be text, a number, true, false or null, not {found}"));
                    continue;
                }
            };
            if values.insert(key.clone(), value).is_some() {
                invalid("duplicate_field", "occurs twice");
            }
        }
        Some(Self { replaces: false, values })
    }
}

/// Whether a number may have been rounded when it was parsed: JSON with more than 64 bits becomes floating point, which has
/// all whole numbers only up to 2⁵³.
fn is_inexact(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().is_some_and(|number| number.abs() >= EXACT_UP_TO),
        _ => false,
    }
}

/// 2⁵³.
const EXACT_UP_TO: f64 = 9_007_199_254_740_992.0;

/// Whether a text is the key of an attribute.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The value of an attribute as a cell of a CSV file.
pub(crate) fn to_cell(value: &Value) -> String {
    match value {
        Value::String(text) if matches!(from_cell(text), Value::String(same) if same == *text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value of a cell.
pub(crate) fn from_cell(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::String(quoted)) => Value::String(quoted),
        Ok(value @ (Value::Number(_) | Value::Bool(_))) if is_written_as(&value, text) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn is_written_as(value: &Value, text: &str) -> bool {
    serde_json::to_string(value).is_ok_and(|json| json == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_a_number_or_boolean_if_json_writes_it_so() {
        for (cell, value) in [
            ("Research", json!("Research")),
            ("12", json!(12)),
            ("-1.5", json!(-1.5)),
            ("true", json!(true)),
            ("007", json!("007")),
            ("1e5", json!("1e5")),
            ("1.50", json!("1.50")),
            ("TRUE", json!("TRUE")),
            ("null", json!("null")),
            ("\"12\"", json!("12")),
            ("\"true\"", json!("true")),
            ("\"", json!("\"")),
            ("12345678901234567890123", json!("12345678901234567890123")),
        ] {
            assert_eq!(from_cell(cell), value, "{cell}");
            assert_eq!(to_cell(&value), cell);
        }
    }

    proptest! {
        #[test]
        fn a_value_round_trips_through_a_cell(text in "\\PC{0,20}", number: i64, hundredths: i32) {
            for value in [json!(text), json!(number), json!(f64::from(hundredths) / 100.0), json!(number % 2 == 0)] {
                prop_assert_eq!(from_cell(&to_cell(&value)), value);
            }
        }
    }

    #[test]
    fn keys_are_short_ascii_words() {
        for key in ["a", "cost-center", "x.y_Z-9", &"k".repeat(64)] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "a b", "ä", "a\"b", "a\0", &"k".repeat(65)] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn a_patch_merges() {
        let patch = |values: &[(&str, Option<Value>)]| AttributesPatch {
            replaces: false,
            values: values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        };
        let before = Attributes::default().with(&patch(&[("a", Some(json!(1))), ("b", Some(json!("x")))]));
        let after = before.with(&patch(&[("a", None), ("c", Some(json!(true))), ("d", None)]));
        assert_eq!(after.to_json(), r#"{"b":"x","c":true}"#);
        let changes: Vec<_> = before.changes(&after).collect();
        assert_eq!(changes, [("a", Some("1".to_owned()), None), ("c", None, Some("true".to_owned()))]);
        let none = before.with(&AttributesPatch { replaces: true, ..AttributesPatch::default() });
        assert_eq!(none, Attributes::default());
    }

    #[test]
    fn attributes_are_bounded() {
        let many = |count: usize, length: usize| {
            let values = (0..count).map(|n| (n.to_string(), Some(json!("x".repeat(length)))));
            Attributes::default().with(&AttributesPatch { replaces: false, values: values.collect() })
        };
        assert_eq!(many(64, 100).check_size(0), None);
        assert_eq!(many(65, 1).check_size(0).unwrap().code, "too_many");
        assert_eq!(many(64, 128).check_size(0).unwrap().code, "too_long");
    }
}
