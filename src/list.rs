//! Parsing JSON lists of bounded length. Pure.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

/// Why a text is not a list of at most so many items.
#[derive(Debug)]
pub(crate) enum ListError {
    /// The list has more items.
    TooLong,
    /// The text is not JSON, not a list, or has an invalid item.
    Invalid(serde_json::Error),
}

/// Parses a list of at most `max` items, each with `item`. Parsing stops at the first item over the limit.
///
/// # Errors
/// See [`ListError`].
pub(crate) fn parse<'de, S>(json: &'de [u8], max: usize, item: S) -> Result<Vec<S::Value>, ListError>
where
    S: DeserializeSeed<'de> + Clone,
{
    let mut is_too_long = false;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let list = List { max, is_too_long: &mut is_too_long, item }.deserialize(&mut deserializer);
    list.and_then(|list| deserializer.end().map(|()| list)).map_err(|error| match is_too_long {
        true => ListError::TooLong,
        false => ListError::Invalid(error),
    })
}

struct List<'a, S> {
    max: usize,
    is_too_long: &'a mut bool,
    item: S,
}

impl<'de, S: DeserializeSeed<'de> + Clone> DeserializeSeed<'de> for List<'_, S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Clone> Visitor<'de> for List<'_, S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.item.clone())? {
            if list.len() >= self.max {
                *self.is_too_long = true;
                return Err(A::Error::custom("too many items"));
            }
            list.push(item);
        }
        Ok(list)
    }
}
