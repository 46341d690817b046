//! Fingerprints: keyed digests that recognize a text without storing it.
//!
//! A request that creates users, or the file it came from, can contain passwords. With a plain digest in the database,
//! anyone who obtains the database could guess those passwords at the speed of SHA-256, bypassing argon2. So muster
//! stores an HMAC-SHA256 (RFC 2104) under a key that is not in the database: the setting `secrets.server_key`.
//!
//! # Decisions
//!
//! *Retries are safe without any configuration.* Without the setting, the key is in the data directory of the embedded
//! PostgreSQL, or derived from the password in the URL of an external database, which all instances share and the
//! database does not contain. If there is neither, each start generates a key, and the log names the consequences.

use std::fmt;
use std::iter;

use hmac::{Hmac, KeyInit, Mac};
use sha2::digest::typenum::U16;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Config, ConfigError};
use crate::secret::{SHORTEST_KEY, Secret};

/// The name of the key file in the data directory of the embedded PostgreSQL.
pub(crate) const FILE_NAME: &str = "fingerprint.key";

/// Identifies the key that created a fingerprint, without revealing anything about the key.
pub type KeyId = [u8; 8];

/// The configured keys.
pub struct Fingerprints {
    /// Creates new fingerprints.
    current: Key,
    /// Replaced keys, which still recognize their fingerprints.
    previous: Vec<Key>,
    is_ephemeral: bool,
}

struct Key {
    id: KeyId,
    hmac: Hmac<Sha256>,
}

/// The fingerprint of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The key that created the fingerprint.
    pub key_id: KeyId,
    /// The HMAC-SHA256.
    pub mac: [u8; 32],
}

impl Fingerprints {
    /// Reads the keys from the settings, or derives or generates a key.
    ///
    /// # Errors
    /// If a key is too short or its file can't be read.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let (texts, is_ephemeral) = match config.server_keys()? {
            Some(texts) => (texts, false),
            None => match config.database_password()? {
                Some(password) => (vec![derive(&password)], false),
                None => (vec![Secret::generate()], true),
            },
        };
        let mut keys = texts.iter().map(Key::new).collect::<Option<Vec<_>>>().unwrap_or_default().into_iter();
        let current = keys.next().ok_or_else(|| {
            ConfigError::starting(format!(
                "`secrets.server_key` must have at least {SHORTEST_KEY} characters; generate a key with \
                 `openssl rand -hex 32`"
            ))
        })?;
        Ok(Self { current, previous: keys.collect(), is_ephemeral })
    }

    /// Whether the key was generated at this start: other instances and later starts do not recognize its fingerprints.
    #[must_use]
    pub const fn is_ephemeral(&self) -> bool {
        self.is_ephemeral
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        iter::once(&self.current).chain(&self.previous)
    }

    /// Creates the fingerprint of a text. Fingerprints of different purposes are unrelated.
    #[must_use]
    pub fn of(&self, purpose: &str, text: &[u8]) -> Fingerprint {
        Fingerprint { key_id: self.current.id, mac: self.current.mac(purpose, text) }
    }

    /// The fingerprints of a text with each of the keys, to look a stored fingerprint up.
    #[must_use]
    pub fn all_of(&self, purpose: &str, text: &[u8]) -> Vec<Vec<u8>> {
        self.keys().map(|key| key.mac(purpose, text).to_vec()).collect()
    }

    /// Whether a fingerprint is of this text; `None` if the key that created it is not configured. `mac` can be truncated
    /// to its first bytes. Compares in constant time.
    #[must_use]
    pub fn recognize(&self, key_id: &[u8], mac: &[u8], purpose: &str, text: &[u8]) -> Option<bool> {
        let key = self.keys().find(|key| key.id == key_id)?;
        let expected = key.mac(purpose, text);
        Some(expected.get(..mac.len()).is_some_and(|expected| !mac.is_empty() && bool::from(expected.ct_eq(mac))))
    }

    /// Signs a text with the current key: the first 128 bits of its HMAC.
    pub(crate) fn sign(&self, purpose: &str, text: &[u8]) -> [u8; 16] {
        self.current.signature(purpose, text)
    }

    /// Whether any of the keys signed the text. Compares in constant time.
    pub(crate) fn has_signed(&self, purpose: &str, text: &[u8], signature: &[u8; 16]) -> bool {
        self.keys().any(|key| key.signature(purpose, text).ct_eq(signature).into())
    }
}

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprints").field("keys", &self.keys().count()).finish_non_exhaustive()
    }
}

impl Key {
    /// `None` if the secret is too short.
    fn new(secret: &Secret) -> Option<Self> {
        let secret = Some(secret.expose().as_bytes()).filter(|secret| secret.len() >= SHORTEST_KEY)?;
        let mut key = Self { id: [0; 8], hmac: Hmac::new_from_slice(secret).ok()? };
        let id = key.mac("key id", b"");
        key.id.iter_mut().zip(id).for_each(|(place, byte)| *place = byte);
        Some(key)
    }

    fn hmac(&self, purpose: &str, text: &[u8]) -> Hmac<Sha256> {
        let mut hmac = self.hmac.clone();
        hmac.update(b"muster ");
        hmac.update(purpose.as_bytes());
        hmac.update(b"\0");
        hmac.update(text);
        hmac
    }

    fn mac(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        self.hmac(purpose, text).finalize().into_bytes().into()
    }

    fn signature(&self, purpose: &str, text: &[u8]) -> [u8; 16] {
        self.hmac(purpose, text).finalize().into_bytes().split::<U16>().0.into()
    }
}

fn derive(password: &Secret) -> Secret {
    let mut digest = Sha256::new();
    digest.update(b"muster fingerprint key of a database password\0");
    digest.update(password.expose().as_bytes());
    Secret::new(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_keys(keys: &[&str]) -> Fingerprints {
        let mut config = Config::built_in().unwrap();
        config.secrets.server_key = Secret::new(keys.join("\n"));
        Fingerprints::new(&config).unwrap()
    }

    const OLD: &str = "an old key that has been in use for long";
    const NEW: &str = "a new key that came in its place today..";

    #[test]
    fn a_fingerprint_is_recognized_by_its_key_purpose_and_text_only() {
        let all = with_keys(&[OLD]);
        let made = all.of("list", b"text");
        let recognize = |purpose, text| all.recognize(&made.key_id, &made.mac, purpose, text);
        assert_eq!(recognize("list", b"text".as_slice()), Some(true));
        assert_eq!(recognize("list", b"texT"), Some(false));
        assert_eq!(recognize("file", b"text"), Some(false));
        assert_eq!(with_keys(&[NEW]).recognize(&made.key_id, &made.mac, "list", b"text"), None);
        assert_eq!(all.recognize(&made.key_id, &[], "list", b"text"), Some(false));
        assert_eq!(all.recognize(&made.key_id, &made.mac[..16], "list", b"text"), Some(true));
    }

    #[test]
    fn a_replaced_key_still_recognizes_its_fingerprints() {
        let made = with_keys(&[OLD]).of("list", b"text");
        let both = with_keys(&[NEW, OLD]);
        assert_eq!(both.recognize(&made.key_id, &made.mac, "list", b"text"), Some(true));
        assert_ne!(both.of("list", b"text"), made);
    }

    #[test]
    fn a_fingerprint_is_an_hmac_sha256() {
        // python3: hmac.new(OLD, b"muster list\0text", "sha256").hexdigest()
        assert_eq!(
            hex::encode(with_keys(&[OLD]).of("list", b"text").mac),
            "a6c66d77bb785809b89854ca5fee9d64e1b91235586be0f2d9d501693fa0afd1"
        );
    }

    #[test]
    fn a_short_key_is_rejected_and_no_key_is_in_debug_output() {
        let mut config = Config::built_in().unwrap();
        config.secrets.server_key = Secret::new("short");
        let error = Fingerprints::new(&config).unwrap_err().to_string();
        assert!(error.starts_with("`secrets.server_key` must have at least 32 characters"), "{error}");
        assert_eq!(format!("{:?}", with_keys(&[OLD])), "Fingerprints { keys: 1, .. }");
    }

    #[test]
    fn instances_share_a_key_derived_from_the_password_in_the_database_url() {
        let mut config = Config::built_in().unwrap();
        config.database.url = Secret::new("postgres://muster:correct%20horse@db/muster");
        let (one, other) = (Fingerprints::new(&config).unwrap(), Fingerprints::new(&config).unwrap());
        assert_eq!(one.of("list", b"text"), other.of("list", b"text"));
        assert!(!one.is_ephemeral());
        config.database.url = Secret::new("postgres://muster@db/muster");
        let (one, other) = (Fingerprints::new(&config).unwrap(), Fingerprints::new(&config).unwrap());
        assert_ne!(one.of("list", b"text"), other.of("list", b"text"));
        assert!(one.is_ephemeral());
    }
}
