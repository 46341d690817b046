//! One-time passwords: `otp_<random><issued><duration><signature>`.
//!
//! - random: 128 bits, 26 characters ([`crate::id::encode`]).
//! - issued: when it was made, in seconds since 1970, as 8 hexadecimal digits.
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
use crate::id;

/// How long one can be approved and fetched.
const LIFETIME: Duration = Duration::minutes(10);

const PURPOSE: &str = "one-time password";
const PREFIX: &str = "otp_";
const NUMBER_LEN: usize = 8;

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
        let issued = u32::try_from(now.timestamp()).unwrap_or_default();
        let random = id::encode(Uuid::from_bytes(rand::random()));
        let body = format!("{PREFIX}{random}{issued:08x}{duration_seconds:08x}");
        let signature = Uuid::from_bytes(first_half(&fingerprints.of(PURPOSE, body.as_bytes()).mac));
        Self::of(body + &id::encode(signature), issued, duration_seconds)
    }

    /// Recognises one.
    ///
    /// # Errors
    /// See [`BadOtp`].
    pub(super) fn parse(fingerprints: &Fingerprints, now: DateTime<Utc>, text: &str) -> Result<Self, BadOtp> {
        let parts = || {
            let (body, signature) = text.split_at_checked(PREFIX.len() + id::ENCODED_LEN + 2 * NUMBER_LEN)?;
            let (numbers, duration) = body.split_at_checked(body.len() - NUMBER_LEN)?;
            let (_, issued) = numbers.split_at_checked(numbers.len() - NUMBER_LEN)?;
            let number = |digits| u32::from_str_radix(digits, 16).ok();
            Some((body, number(issued)?, number(duration)?, id::decode(signature)?))
        };
        let (body, issued, duration_seconds, signature) = parts().ok_or(BadOtp::Unknown)?;
        let signatures = fingerprints.all_of(PURPOSE, body.as_bytes());
        if !signatures.iter().any(|due| first_half(due).ct_eq(signature.as_bytes()).into()) {
            return Err(BadOtp::Unknown);
        }
        let otp = Self::of(text.to_owned(), issued, duration_seconds);
        if otp.expires_at <= now { Err(BadOtp::Expired) } else { Ok(otp) }
    }

    fn of(text: String, issued: u32, duration_seconds: u32) -> Self {
        let expires_at = DateTime::from_timestamp(i64::from(issued), 0).unwrap_or_default() + LIFETIME;
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
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn it_reads_back_for_ten_minutes_and_can_stand_in_a_url() {
        let made = Otp::new(&fingerprints(KEY), now(), 604_800);
        assert_eq!(made.as_str().len(), 72);
        assert!(made.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        let parse = |at| Otp::parse(&fingerprints(KEY), at, made.as_str());
        assert_eq!(parse(now()).unwrap().duration_seconds, 604_800);
        assert!(parse(now() + LIFETIME - Duration::milliseconds(1)).is_ok());
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
        fn one_changed_character_is_noticed(place in 0_usize..72, replacement in "[0-9a-z_]") {
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
