//! Parsing JSON lists of bounded length. Pure.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use crate::error::Error;
use crate::failpoints;
use crate::request_body::BodyShare;

/// Why a text is not a list of the maximum length.
#[derive(Debug)]
pub(crate) enum ListError {
    /// The list has more items.
    TooLong,
    /// The memory budget of request bodies is used up.
    Overloaded(Error),
    /// The text is not JSON, or not such a list.
    Invalid(serde_json::Error),
}

/// Parses a JSON array of at most `max` items, each with the seed for its index. Takes the memory of its items from the
/// budget.
pub(crate) fn parse<'de, S: DeserializeSeed<'de>>(
    text: &'de [u8],
    max: usize,
    share: &mut BodyShare,
    item: impl FnMut(usize) -> S,
) -> Result<Vec<S::Value>, ListError> {
    failpoints::block("list::parsing");
    let mut stopped = None;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let stop = |why| {
        stopped = Some(why);
        String::new()
    };
    let list = Items { max, share: Some(share), item, stop }.deserialize(&mut deserializer);
    let list = list.and_then(|list| deserializer.end().map(|()| list));
    list.map_err(|error| stopped.unwrap_or(ListError::Invalid(error)))
}

/// Deserializes the field `name`, a list of at most `max` items.
pub(crate) fn field<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    name: &str,
    max: usize,
) -> Result<Vec<T>, D::Error> {
    let stop = |_| format!("`{name}` has more than {max} items");
    Items { max, share: None, item: |_| PhantomData::<T>, stop }.deserialize(deserializer)
}

/// As [`field`]; `null` is `None`.
pub(crate) fn optional_field<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    name: &str,
    max: usize,
) -> Result<Option<Vec<T>>, D::Error> {
    struct Optional<'a, T>(&'a str, usize, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Optional<'_, T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            field(deserializer, self.0, self.1).map(Some)
        }
    }

    deserializer.deserialize_option(Optional(name, max, PhantomData))
}

/// Deserializes a list; `stop` gets the reason why it does not continue, and returns the message.
struct Items<'a, F, E> {
    max: usize,
    share: Option<&'a mut BodyShare>,
    item: F,
    stop: E,
}

impl<'de, S, F, E> DeserializeSeed<'de> for Items<'_, F, E>
where
    S: DeserializeSeed<'de>,
    F: FnMut(usize) -> S,
    E: FnMut(ListError) -> String,
{
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S, F, E> Visitor<'de> for Items<'_, F, E>
where
    S: DeserializeSeed<'de>,
    F: FnMut(usize) -> S,
    E: FnMut(ListError) -> String,
{
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < self.max {
            if let Some(share) = &mut self.share
                && let Err(error) = share.take_row()
            {
                return Err(A::Error::custom((self.stop)(ListError::Overloaded(error))));
            }
            match items.next_element_seed((self.item)(list.len()))? {
                Some(item) => list.push(item),
                None => return Ok(list),
            }
        }
        match items.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::custom((self.stop)(ListError::TooLong))),
            None => Ok(list),
        }
    }
}
