//! Typed IDs: a UUIDv7 with a Rust type for each kind of object, so that IDs of different kinds can't be swapped.
//!
//! The text form is a [TypeID](https://github.com/jetify-com/typeid): the prefix of the kind, `_`, and the 128 bits as
//! 26 characters of Crockford's base 32 in lowercase, such as `usr_01k9h6m3x0e8wbz1v5n7q2r4t6`. IDs of one kind sort by
//! their time of creation, both as text and as UUID.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::{ContextV7, Timestamp, Uuid};

/// A kind of object with an ID. Prefixes are the vendor's where it has one.
pub trait Kind: Copy + Ord + Hash + 'static {
    /// The part of the text form before the `_`.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {}
        impl Kind for $name {
            const PREFIX: &'static str = $prefix;
        }
    )*};
}

kinds! {
    /// A tenant.
    Organization = "org";
    /// A user: a person or a service account.
    User = "usr";
    /// A user's membership in an organization. The vendor calls it an identity, hence the prefix.
    Membership = "ide";
    /// An API key.
    ApiKey = "key";
    /// A session: a browser, or a program with a cookie, that has authenticated as a user.
    Session = "ses";
    /// A one-time link with which a user sets a password.
    PasswordLink = "lnk";
    /// A message that muster sends.
    Mail = "mail";
    /// An invitation to become a user.
    Invitation = "orginv";
    /// A group of users.
    Group = "ug";
    /// A batch of users created together.
    Batch = "bat";
    /// An identity provider of an organization.
    SsoProvider = "idp";
    /// An identity at a provider, bound to a user.
    SsoIdentity = "sid";
    /// An event of the audit log.
    Event = "evt";
    /// Unfinished work of the pages.
    Draft = "draft";
    /// An HTTP request.
    Request = "req";
}

/// The ID of a `K`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// The counter of the process, which orders IDs of the same millisecond.
static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());

impl<K: Kind> Id<K> {
    /// The nil UUID, which is lower than every generated ID: a page that starts after it is the first page.
    pub const MIN: Self = Self::from_uuid(Uuid::nil());

    /// The highest UUID.
    pub const MAX: Self = Self::from_uuid(Uuid::max());

    /// Creates an ID that starts with the time `now`, in milliseconds.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let timestamp = Timestamp::from_unix(&CONTEXT, seconds, now.timestamp_subsec_nanos());
        Self::from_uuid(Uuid::new_v7(timestamp))
    }

    /// Types a UUID that is known to be the ID of a `K`.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }
}

impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.uuid
    }
}

/// The alphabet of Crockford's base 32, in lowercase.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The number of characters of 128 bits in base 32.
pub const ENCODED_LEN: usize = 26;

/// Encodes 128 bits as 26 characters.
#[must_use]
pub fn encode(id: impl Into<Uuid>) -> String {
    let bits = id.into().as_u128();
    (0..ENCODED_LEN)
        .rev()
        .map(|place| {
            let five = usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
            char::from(ALPHABET.get(five).copied().unwrap_or(b'0'))
        })
        .collect()
}

/// Decodes the output of [`encode`]. `None` for any other text.
#[must_use]
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != ENCODED_LEN || text.as_bytes().first().is_none_or(|first| *first > b'7') {
        return None;
    }
    let mut bits = 0_u128;
    for byte in text.bytes() {
        let five = ALPHABET.iter().position(|known| *known == byte)?;
        bits = (bits << 5) | u128::try_from(five).ok()?;
    }
    Some(Uuid::from_u128(bits))
}

/// The text is not the ID of a `K`.
#[derive(Debug, thiserror::Error)]
#[error("not an ID; expected `{prefix}_` and {ENCODED_LEN} characters")]
pub struct ParseIdError {
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(decode)
            .map(Self::from_uuid)
            .ok_or(ParseIdError { prefix: K::PREFIX })
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, encode(self.uuid))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<K> Type<Postgres> for Id<K> {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl<K> PgHasArrayType for Id<K> {
    fn array_type_info() -> PgTypeInfo {
        <Uuid as PgHasArrayType>::array_type_info()
    }
}

impl<K> Encode<'_, Postgres> for Id<K> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<'_, Postgres>>::encode_by_ref(&self.uuid, buffer)
    }
}

impl<'r, K> Decode<'r, Postgres> for Id<K> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <Uuid as Decode<'r, Postgres>>::decode(value).map(|uuid| Self { uuid, kind: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_of_an_id_has_the_prefix_of_its_kind() {
        let id: Id<User> = Id::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string(), "usr_01j0000000e008000000000001");
        assert_eq!(id.to_string().parse::<Id<User>>().unwrap(), id);
    }

    #[test]
    fn an_id_of_another_kind_is_rejected() {
        let id: Id<User> = Id::from_uuid(Uuid::from_u128(7));
        let error = id.to_string().parse::<Id<Organization>>().unwrap_err();
        assert_eq!(error.to_string(), "not an ID; expected `org_` and 26 characters");
    }

    #[test]
    fn ids_of_one_millisecond_are_ordered() {
        let now = DateTime::from_timestamp(1_800_000_000, 5_000_000).unwrap();
        let ids: Vec<Id<User>> = (0..10_000).map(|_| Id::new(now)).collect();
        assert!(ids.is_sorted());
    }

    proptest! {
        #[test]
        fn every_uuid_round_trips(bits: u128) {
            let uuid = Uuid::from_u128(bits);
            prop_assert_eq!(decode(&encode(uuid)), Some(uuid));
        }

        #[test]
        fn text_order_is_uuid_order(a: u128, b: u128) {
            let (a, b) = (Uuid::from_u128(a), Uuid::from_u128(b));
            prop_assert_eq!(encode(a).cmp(&encode(b)), a.cmp(&b));
        }

        #[test]
        fn decoded_text_encodes_to_the_same_text(text in "\\PC{0,30}") {
            if let Some(uuid) = decode(&text) {
                prop_assert_eq!(encode(uuid), text);
            }
        }
    }
}
