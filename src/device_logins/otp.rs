//! One-time passwords: `otp_<random><issued><duration><signature>`.
//!
//! - random: 128 bits, 26 characters ([`crate::id::encode`]).
//! - issued: the time of creation in seconds since 1970, 8 hexadecimal digits.
//! - duration: the requested lifetime of the key in seconds, 8 hexadecimal digits; 0 for the maximum.
//! - signature: the first 128 bits of an HMAC of everything before it, 26 characters. It makes one-time passwords
//!   unforgeable, and the random part makes them unguessable.
//!
//! All characters are valid in a URL, and a double click selects the whole password.

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::fingerprint::Fingerprints;
use crate::id;

/// How long a one-time password can be approved and fetched.
pub(super) const LIFETIME: Duration = Duration::minutes(10);

const PURPOSE: &str = "one-time password";
pub(super) const PREFIX: &str = "otp_";
const NUMBER_LEN: usize = 8;

/// A one-time password with a valid signature.
#[derive(Debug)]
pub struct Otp {
    text: String,
    /// The SHA-256 of the text, as the database stores it.
    pub(super) sha256: [u8; 32],
    /// The requested lifetime of the key in seconds; 0 for the maximum.
    pub duration_seconds: u32,
    /// The end of the time in which it can be approved and fetched.
    pub expires_at: DateTime<Utc>,
}

/// Why a text is not a usable one-time password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidOtp {
    /// The text is malformed or not signed by muster.
    Unknown,
    /// The one-time password has expired.
    Expired,
}

impl Otp {
    /// Creates a one-time password.
    pub(super) fn new(fingerprints: &Fingerprints, now: DateTime<Utc>, duration_seconds: u32) -> Self {
        let issued = u32::try_from(now.timestamp()).unwrap_or_default();
        let random = id::encode(Uuid::from_bytes(rand::random()));
        let body = format!("{PREFIX}{random}{issued:08x}{duration_seconds:08x}");
        let signature = Uuid::from_bytes(fingerprints.sign(PURPOSE, body.as_bytes()));
        Self::of(body + &id::encode(signature), issued, duration_seconds)
    }

    /// Parses a one-time password and verifies its signature.
    ///
    /// # Errors
    /// See [`InvalidOtp`].
    pub(super) fn parse(fingerprints: &Fingerprints, now: DateTime<Utc>, text: &str) -> Result<Self, InvalidOtp> {
        let parts = || {
            let (body, signature) = text.split_at_checked(PREFIX.len() + id::ENCODED_LEN + 2 * NUMBER_LEN)?;
            let (numbers, duration) = body.split_at_checked(body.len() - NUMBER_LEN)?;
            let (_, issued) = numbers.split_at_checked(numbers.len() - NUMBER_LEN)?;
            let number = |digits| u32::from_str_radix(digits, 16).ok();
            Some((body, number(issued)?, number(duration)?, id::decode(signature)?))
        };
        let (body, issued, duration_seconds, signature) = parts().ok_or(InvalidOtp::Unknown)?;
        if !fingerprints.has_signed(PURPOSE, body.as_bytes(), signature.as_bytes()) {
            return Err(InvalidOtp::Unknown);
        }
        let otp = Self::of(text.to_owned(), issued, duration_seconds);
        if otp.expires_at <= now { Err(InvalidOtp::Expired) } else { Ok(otp) }
    }

    fn of(text: String, issued: u32, duration_seconds: u32) -> Self {
        let expires_at = DateTime::from_timestamp(i64::from(issued), 0).unwrap_or_default() + LIFETIME;
        Self { sha256: Sha256::digest(&text).into(), text, duration_seconds, expires_at }
    }

    /// The text of the one-time password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::secret::Secret;

    fn fingerprints(keys: &str) -> Fingerprints {
        let mut config = Config::built_in().unwrap();
        config.secrets.server_key = Secret::new(keys);
        Fingerprints::new(&config).unwrap()
    }

    const KEY: &str = "a key that has been in use for very long";
    const OTHER: &str = "another key, which came in its place today";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn a_one_time_password_is_valid_for_ten_minutes_and_in_a_url() {
        let made = Otp::new(&fingerprints(KEY), now(), 604_800);
        assert_eq!(made.as_str().len(), 72);
        assert!(made.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        let parse = |at| Otp::parse(&fingerprints(KEY), at, made.as_str());
        assert_eq!(parse(now()).unwrap().duration_seconds, 604_800);
        assert!(parse(now() + LIFETIME - Duration::milliseconds(1)).is_ok());
        assert_eq!(parse(now() + LIFETIME).err(), Some(InvalidOtp::Expired));
        assert_ne!(made.as_str(), Otp::new(&fingerprints(KEY), now(), 604_800).as_str());
    }

    #[test]
    fn a_one_time_password_is_recognized_by_current_and_previous_keys() {
        let made = Otp::new(&fingerprints(KEY), now(), 0);
        let both = fingerprints(&format!("{OTHER}\n{KEY}"));
        assert_eq!(Otp::parse(&both, now(), made.as_str()).unwrap().duration_seconds, 0);
        assert_eq!(Otp::parse(&fingerprints(OTHER), now(), made.as_str()).err(), Some(InvalidOtp::Unknown));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_detected(place in 0_usize..72, replacement in "[0-9a-z_]") {
            let made = Otp::new(&fingerprints(KEY), now(), 60);
            let mut wrong = made.as_str().to_owned();
            wrong.replace_range(place..=place, &replacement);
            prop_assert_eq!(Otp::parse(&fingerprints(KEY), now(), &wrong).is_ok(), wrong == made.as_str());
        }

        #[test]
        fn no_other_text_parses(text in "(otp_)?\\PC{0,80}") {
            prop_assert_eq!(Otp::parse(&fingerprints(KEY), now(), &text).err(), Some(InvalidOtp::Unknown));
        }
    }
}
