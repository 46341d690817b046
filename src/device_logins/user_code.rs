//! User codes: what a person types to approve a login, `BDWP-HQPK`.
//!
//! # Decisions
//!
//! *Eight of twenty letters*, as in RFC 8628, section 6.1: no vowels, so that no words appear, and no digits, which look like
//! letters. That is 34 bits. A code is no credential: approving a login by a guessed code gives its client a key of the guesser, and
//! an organization has only [`WRONG_CODES`] guesses a minute.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use rand::seq::IndexedRandom;

use crate::error::{Error, Result};
use crate::id::{Id, Organization};

const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

const LENGTH: usize = 8;

/// Wrong codes of one organization in a minute before it gets 429.
const WRONG_CODES: u32 = 30;

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// A code of eight letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    pub(super) fn generate() -> Self {
        let mut rng = rand::rng();
        Self((0..LENGTH).filter_map(|_| ALPHABET.choose(&mut rng)).map(|letter| char::from(*letter)).collect())
    }

    /// Parses a code in either case, with or without separators.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let code: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
        let is_valid = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
        is_valid.then_some(Self(code))
    }

    /// The code without separators, as the database stores it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for UserCode {
    fn from(stored: String) -> Self {
        Self(stored)
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at_checked(LENGTH / 2).unwrap_or((&self.0, ""));
        write!(f, "{first}-{second}")
    }
}

/// Counts the wrong codes of each organization, on this instance.
#[derive(Debug, Default)]
pub(crate) struct WrongCodes(Mutex<HashMap<Id<Organization>, Count>>);

/// The number of wrong codes since the first of them, within a minute.
#[derive(Debug)]
struct Count {
    since: DateTime<Utc>,
    wrong: u32,
}

impl WrongCodes {
    /// # Errors
    /// `rate_limited` after too many wrong codes.
    pub(super) fn check(&self, organization_id: Id<Organization>, now: DateTime<Utc>) -> Result<()> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get(&organization_id) {
            Some(count) if count.wrong >= WRONG_CODES && now < count.since + MINUTE => {
                let left = (count.since + MINUTE - now).to_std().unwrap_or_default();
                Err(Error::rate_limited("too many wrong login codes; retry later", left))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn note(&self, organization_id: Id<Organization>, now: DateTime<Utc>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| now < count.since + MINUTE);
        counts.entry(organization_id).or_insert(Count { since: now, wrong: 0 }).wrong += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_in_either_case_and_with_any_separators() {
        let code = UserCode::generate();
        let shown = code.to_string();
        assert_eq!((shown.len(), shown.find('-')), (9, Some(4)));
        for text in [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), shown.replace('-', " ")] {
            assert_eq!(UserCode::parse(&text).as_ref(), Some(&code), "{text}");
        }
        assert_ne!(UserCode::generate(), code);
        for text in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "otp_x", "ÄÖÜß-ÄÖÜß"] {
            assert_eq!(UserCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn wrong_codes_of_an_organization_are_limited_for_a_minute() {
        let (codes, now) = (WrongCodes::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let [one, other] = [1, 2].map(|n| Id::from_uuid(uuid::Uuid::from_u128(n)));
        for _ in 0..WRONG_CODES {
            assert!(codes.check(one, now).is_ok());
            codes.note(one, now);
        }
        assert!(codes.check(one, now + MINUTE - TimeDelta::seconds(1)).is_err());
        assert!(codes.check(other, now).is_ok());
        assert!(codes.check(one, now + MINUTE).is_ok());
    }
}
