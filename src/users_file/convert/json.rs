//! People in JSON: an array, one object on each line, or several arrays one after another, such as the pages of an API;
//! and an object with the array under a key. Only one person is in memory at a time.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::people::{People, Person};
use super::{Broken, Read};
use crate::users::trim;

/// The format of a source.
pub(super) struct JsonExport {
    /// The key of the array in an object around it.
    pub list: Option<&'static str>,
    /// The error if no item is a person, such as "not an export of Okta: no item has a `profile`".
    pub unrecognized: &'static str,
    /// Converts an item; `None` if it is not a person of this source.
    pub person: fn(&Value, &People) -> Option<Person>,
}

/// Reads the people of an export.
pub(super) fn read(text: &str, export: &JsonExport, people: &mut People) -> Read<()> {
    let mut items = Items { export, people, recognized: false, broken: None };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut start = 0;
    // The first pass finds the end of each value without building it.
    while let Some(value) = values.next() {
        value.map_err(|error| malformed(text, 0, &error))?;
        let end = values.byte_offset();
        let value = text.get(start..end).unwrap_or_default();
        let mut deserializer = serde_json::Deserializer::from_str(value);
        if let Err(error) = (ItemSeed { items: &mut items }).deserialize(&mut deserializer) {
            return Err(items.broken.take().unwrap_or_else(|| malformed(text, start, &error)));
        }
        start = end;
    }
    if items.recognized { Ok(()) } else { Err(Broken::new(export.unrecognized)) }
}

/// The error at a place of the text after `start`. The messages of syntax errors quote no value.
fn malformed(text: &str, start: usize, error: &serde_json::Error) -> Broken {
    let before = text.as_bytes().get(..start).unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let column = match error.line() {
        1 => before.iter().rev().take_while(|byte| **byte != b'\n').count() + error.column(),
        _ => error.column(),
    };
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let message = if error.is_eof() {
        "the JSON text is incomplete; is the export complete?".to_owned()
    } else {
        format!("malformed JSON: {message}")
    };
    Broken { place: format!(":{}:{column}", lines + error.line()), message }
}

/// Takes the items of an export one by one.
struct Items<'a> {
    export: &'a JsonExport,
    people: &'a mut People,
    recognized: bool,
    /// Why reading stopped.
    broken: Option<Broken>,
}

impl Items<'_> {
    fn take<E: serde::de::Error>(&mut self, value: &Value) -> Result<(), E> {
        let person = (self.export.person)(value, self.people);
        self.recognized |= person.is_some();
        let person = person.unwrap_or_else(|| Person {
            label: format!("item {}", self.people.seen() + 1),
            left_out: Some("not a user of this kind of export"),
            ..Person::default()
        });
        self.people.add(person).map_err(|broken| self.stop(broken))
    }

    fn stop<E: serde::de::Error>(&mut self, broken: Broken) -> E {
        self.broken = Some(broken);
        E::custom("stopped")
    }
}

/// A value that is a person, or a list of them.
struct ItemSeed<'s, 'a> {
    items: &'s mut Items<'a>,
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("people")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(ItemSeed { items: &mut *self.items })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut item = Map::new();
        let mut is_list = false;
        while let Some(key) = object.next_key::<String>()? {
            if self.items.export.list == Some(key.as_str()) {
                is_list = true;
                object.next_value_seed(ListSeed { items: &mut *self.items })?;
            } else if key == "users" && self.items.people.seen() == 0 {
                // A whole realm would be one value in memory.
                return Err(self.items.stop(Broken::new(self.items.export.unrecognized)));
            } else {
                item.insert(key, object.next_value()?);
            }
        }
        if is_list { Ok(()) } else { self.items.take(&Value::Object(item)) }
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.items.take(&Value::Null)
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.items.take(&Value::Null)
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.items.take(&Value::Null)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.items.take(&Value::Null)
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.items.take(&Value::Null)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.items.take(&Value::Null)
    }
}

/// The value of the list's key: items, or nothing.
struct ListSeed<'s, 'a> {
    items: &'s mut Items<'a>,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Value>()? {
            self.items.take::<A::Error>(&value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("the users must be a list"))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The text at a JSON pointer, without white space at its ends; empty for a missing value and another type.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).map_or("", trim)
}

/// The items of the list at a JSON pointer; none for a missing value and another type.
pub(super) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at a JSON pointer, or the texts of a list there.
pub(super) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let one = value.pointer(pointer).filter(|value| value.is_string());
    let several = list(value, pointer).iter();
    let found = one.into_iter().chain(several).filter_map(Value::as_str).map(trim);
    found.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}
