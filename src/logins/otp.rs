//! One-time passwords: `otp_<id><duration><signature>`.
//!
//! - id: when it was made and 74 bits drawn at random, 26 characters ([`crate::id`]).
//! - duration: for how many seconds the key is wanted, as 8 hexadecimal digits; 0: for as long as there may be.
//! - signature: the first 128 bits of an HMAC of all before, 26 characters. Nobody but muster makes one, and nobody
//!   guesses one that was made.
//!
//! All characters can stand in a URL as they are, and a double click selects the whole.

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::fingerprint::Fingerprints;
use crate::id::{self, Id, OneTimePassword};

/// How long one can be approved and fetched.
const LIFETIME: Duration = Duration::minutes(10);

const PURPOSE: &str = "one-time password";
const DURATION_LEN: usize = 8;

/// A one-time password of muster's.
#[derive(Debug)]
pub struct Otp {
    text: String,
    /// What is stored of it.
    pub(super) sha256: [u8; 32],
    /// For how many seconds the key is wanted; 0: for as long as there may be.
    pub duration_seconds: u32,
    /// Until when it can be approved and fetched.
    pub expires_at: DateTime<Utc>,
}

/// Why a text is no one-time password that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOtp {
    /// muster has not made it.
    Unknown,
    /// It is too old.
    Expired,
}

impl Otp {
    /// Makes one.
    pub(super) fn new(fingerprints: &Fingerprints, now: DateTime<Utc>, duration_seconds: u32) -> Self {
        let body = format!("{}{duration_seconds:08x}", Id::<OneTimePassword>::new(now));
        let signature = Uuid::from_bytes(first_half(&fingerprints.of(PURPOSE, body.as_bytes()).mac));
        Self::of(body + &id::encode(signature), duration_seconds, now + LIFETIME)
    }

    /// Recognises one.
    ///
    /// # Errors
    /// See [`BadOtp`].
    pub(super) fn parse(fingerprints: &Fingerprints, now: DateTime<Utc>, text: &str) -> Result<Self, BadOtp> {
        let parts = || {
            let (body, signature) = text.split_at_checked(text.len().checked_sub(id::ENCODED_LEN)?)?;
            let (id, duration) = body.split_at_checked(body.len().checked_sub(DURATION_LEN)?)?;
            let id: Id<OneTimePassword> = id.parse().ok()?;
            let (seconds, nanos) = id.uuid().get_timestamp()?.to_unix();
            let issued_at = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
            Some((body, issued_at, u32::from_str_radix(duration, 16).ok()?, id::decode(signature)?))
        };
        let (body, issued_at, duration_seconds, signature) = parts().ok_or(BadOtp::Unknown)?;
        let signatures = fingerprints.all_of(PURPOSE, body.as_bytes());
        if !signatures.iter().any(|due| first_half(due).ct_eq(signature.as_bytes()).into()) {
            return Err(BadOtp::Unknown);
        }
        let expires_at = issued_at + LIFETIME;
        if expires_at <= now {
            return Err(BadOtp::Expired);
        }
        Ok(Self::of(text.to_owned(), duration_seconds, expires_at))
    }

    fn of(text: String, duration_seconds: u32, expires_at: DateTime<Utc>) -> Self {
        Self { sha256: Sha256::digest(&text).into(), text, duration_seconds, expires_at }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The first 128 bits.
fn first_half(mac: &[u8]) -> [u8; 16] {
    mac.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::secret::Secret;

    fn fingerprints(keys: &str) -> Fingerprints {
        let mut config = Config::built_in().unwrap();
        config.secrets.fingerprint_key = Secret::new(keys);
        Fingerprints::new(&config).unwrap()
    }

    const KEY: &str = "a key that has been in use for very long";
    const OTHER: &str = "another key, which came in its place today";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap()
    }

    #[test]
    fn it_reads_back_for_ten_minutes_and_can_stand_in_a_url() {
        let made = Otp::new(&fingerprints(KEY), now(), 604_800);
        assert_eq!(made.as_str().len(), 64);
        assert!(made.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        let parse = |at| Otp::parse(&fingerprints(KEY), at, made.as_str());
        assert_eq!(parse(now()).unwrap().duration_seconds, 604_800);
        assert!(parse(now() + LIFETIME - Duration::milliseconds(2)).is_ok());
        assert_eq!(parse(now() + LIFETIME).err(), Some(BadOtp::Expired));
        assert_ne!(made.as_str(), Otp::new(&fingerprints(KEY), now(), 604_800).as_str());
    }

    #[test]
    fn it_is_recognised_by_the_keys_there_are() {
        let made = Otp::new(&fingerprints(KEY), now(), 0);
        let both = fingerprints(&format!("{OTHER}\n{KEY}"));
        assert_eq!(Otp::parse(&both, now(), made.as_str()).unwrap().duration_seconds, 0);
        assert_eq!(Otp::parse(&fingerprints(OTHER), now(), made.as_str()).err(), Some(BadOtp::Unknown));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(place in 0_usize..64, replacement in "[0-9a-z_]") {
            let made = Otp::new(&fingerprints(KEY), now(), 60);
            let mut wrong = made.as_str().to_owned();
            wrong.replace_range(place..=place, &replacement);
            prop_assert_eq!(Otp::parse(&fingerprints(KEY), now(), &wrong).is_ok(), wrong == made.as_str());
        }

        #[test]
        fn nothing_else_is_taken_for_one(text in "(otp_)?\\PC{0,80}") {
            prop_assert_eq!(Otp::parse(&fingerprints(KEY), now(), &text).err(), Some(BadOtp::Unknown));
        }
    }
}
