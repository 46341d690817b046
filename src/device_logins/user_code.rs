//! User codes: what a person types to approve a login, `BDWP-HQPK`.
//!
//! # Decisions
//!
//! *Eight of twenty letters*, as in RFC 8628, section 6.1: no vowels, so that no words appear, and no digits, which look like
//! letters. That is 34 bits. A code is no credential: approving a login by a guessed code gives its client a key of the guesser, and
//! each user has only [`WRONG_CODES`] guesses a minute. Users are counted one by one, so that nobody can block the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use rand::seq::IndexedRandom;

use uuid::Uuid;

use crate::caller::{Caller, Principal};
use crate::error::{Error, Result};

const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

const LENGTH: usize = 8;

/// Wrong codes of one user in a minute before the user gets 429.
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

/// Counts the codes that each user has tried, on this instance. A key without a user and the local operator count on their own.
#[derive(Debug, Default)]
pub(crate) struct CodeAttempts(Mutex<HashMap<Option<Uuid>, Count>>);

/// The number of attempts with wrong or unanswered codes since the first of them, within a minute.
#[derive(Debug)]
struct Count {
    since: DateTime<Utc>,
    attempts: u32,
}

impl CodeAttempts {
    /// Counts an attempt before the code is looked up, so that concurrent attempts can't exceed the limit.
    ///
    /// # Errors
    /// `rate_limited` after too many wrong codes.
    pub(super) fn begin(&self, caller: &Caller, now: DateTime<Utc>) -> Result<()> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| now < count.since + MINUTE);
        let count = counts.entry(guesser(caller)).or_insert(Count { since: now, attempts: 0 });
        if count.attempts >= WRONG_CODES {
            let left = (count.since + MINUTE - now).to_std().unwrap_or_default();
            return Err(Error::rate_limited("too many wrong login codes; retry later", left));
        }
        count.attempts += 1;
        Ok(())
    }

    /// Uncounts an attempt whose code was right.
    pub(super) fn succeed(&self, caller: &Caller) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&guesser(caller)) {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }
}

fn guesser(caller: &Caller) -> Option<Uuid> {
    match caller.principal {
        Principal::ApiKey { id, user_id, .. } => Some(user_id.map_or_else(|| id.into(), Into::into)),
        Principal::Session { user_id, .. } => Some(user_id.into()),
        Principal::Invitation(_) | Principal::Operator | Principal::System => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{Origin, PermissionLevel, Scopes};
    use crate::id::Id;

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
    fn wrong_codes_of_a_user_are_limited_for_a_minute() {
        let (codes, now) = (CodeAttempts::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let [one, other] = [1, 2].map(|n| Caller {
            organization_id: Id::from_uuid(Uuid::nil()),
            principal: Principal::ApiKey {
                id: Id::from_uuid(Uuid::from_u128(n)),
                user_id: Some(Id::from_uuid(Uuid::from_u128(n + 10))),
                permission: PermissionLevel::Collaborator,
                scopes: Scopes::All,
                secret: None,
            },
            origin: Origin::default(),
        });
        for _ in 0..WRONG_CODES {
            assert!(codes.begin(&one, now).is_ok());
        }
        assert!(codes.begin(&one, now + MINUTE - TimeDelta::seconds(1)).is_err());
        assert!(codes.begin(&other, now).is_ok());
        assert!(codes.begin(&one, now + MINUTE).is_ok());
        // Right codes are not counted.
        for _ in 0..2 * WRONG_CODES {
            assert!(codes.begin(&other, now).is_ok());
            codes.succeed(&other);
        }
    }
}
