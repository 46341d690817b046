//! Seals: secrets that muster stores and has to read again, such as the client secrets of identity providers.
//!
//! A sealed text is encrypted with ChaCha20-Poly1305 under a key that is derived (HKDF-SHA256) from the setting
//! `secrets.seal_key` for one purpose. Its layout: the ID of the key (8 bytes), the nonce (12 bytes), the ciphertext with its
//! tag. The associated data binds it to its purpose and to its row, so that it can't be moved to another one.
//!
//! # Decisions
//!
//! *Not the server key.* That one may be dropped after a day, and its default is derived from the database's password;
//! either would make the stored secrets unreadable. With the embedded PostgreSQL, the seal key is a file in its
//! data directory; with another database, it must be set before the first secret is stored (`seal_key_missing`).
//!
//! *The ID of the key is part of the text*, so that every column with sealed texts has it, and one query finds the keys that
//! are still needed.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError};
use crate::error::{Code, Error, Result};
use crate::secret::{self, Secret};

/// The name of the key file in the data directory of the embedded PostgreSQL.
pub(crate) const FILE_NAME: &str = "seal.key";

/// The length of a [`KeyId`].
pub(crate) const KEY_ID_LEN: usize = 8;

/// Identifies a seal key, without revealing anything about it.
pub type KeyId = [u8; KEY_ID_LEN];

/// What a derived key is for. Keys of different purposes are unrelated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The client secrets of identity providers.
    SsoClientSecret,
    /// The secrets of links that are sent by mail: [`SealKeys::derive`].
    MailedLink,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SsoClientSecret => "muster sso client secret",
            Self::MailedLink => "muster mailed link",
        }
    }
}

/// The configured seal keys: the first one seals, all of them open.
pub struct SealKeys(Vec<Key>);

struct Key {
    id: KeyId,
    prk: Prk,
}

/// A sealed text can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key that sealed it is not configured.
    #[error("the seal key {} is not configured", hex::encode(.0))]
    UnknownKey(KeyId),
    /// It was changed, or belongs to another row or purpose.
    #[error("the sealed text is damaged or belongs to another row")]
    Damaged,
}

impl SealKeys {
    /// Reads the keys from the settings. There may be none.
    ///
    /// # Errors
    /// If a key is too short or its file can't be read.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        config.seal_keys()?.iter().map(Key::new).collect::<Option<_>>().map(Self).ok_or_else(|| {
            ConfigError::starting(format!(
                "`secrets.seal_key` must have at least {} characters; generate a key with `openssl rand -hex 32`",
                secret::SHORTEST_KEY
            ))
        })
    }

    /// The key that seals and derives.
    ///
    /// # Errors
    /// `seal_key_missing`.
    fn current(&self) -> Result<&Key> {
        self.0.first().ok_or_else(|| {
            let message = "`secrets.seal_key` is not set, so secrets can't be stored; set `secrets.seal_key_file` to a file \
                           with the output of `openssl rand -hex 32`, the same for all instances";
            Error::new(Code::SealKeyMissing, message)
        })
    }

    /// The ID of the key that seals.
    ///
    /// # Errors
    /// `seal_key_missing`.
    pub fn current_id(&self) -> Result<KeyId> {
        self.current().map(|key| key.id)
    }

    /// Whether a sealed text can be opened with the configured keys, judged by the ID of its key.
    #[must_use]
    pub fn has(&self, id: &[u8]) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Seals a text. `row` is what it belongs to, such as the IDs of the organization and the row.
    ///
    /// # Errors
    /// `seal_key_missing`.
    pub fn seal(&self, purpose: Purpose, row: &[&[u8]], text: &Secret) -> Result<Vec<u8>> {
        let key = self.current()?;
        let sealed = encrypt(key.for_sealing(purpose), &associated(purpose, row), text.expose().as_bytes())?;
        Ok([key.id.as_slice(), &sealed].concat())
    }

    /// Opens a sealed text.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, purpose: Purpose, row: &[&[u8]], sealed: &[u8]) -> Result<Secret, OpenError> {
        let (id, sealed) = sealed.split_first_chunk::<KEY_ID_LEN>().ok_or(OpenError::Damaged)?;
        let key = self.0.iter().find(|key| key.id == *id).ok_or(OpenError::UnknownKey(*id))?;
        let text = decrypt(key.for_sealing(purpose), &associated(purpose, row), sealed).ok_or(OpenError::Damaged)?;
        std::str::from_utf8(&text).map(Secret::new).map_err(|_| OpenError::Damaged)
    }

    /// Derives a key of 256 bits from the seal key with this ID; `None` if it is not configured. Derived from
    /// [`Self::current_id`] at first, and later from the ID that was stored.
    #[must_use]
    pub fn derive(&self, id: &[u8], purpose: Purpose) -> Option<Zeroizing<[u8; 32]>> {
        let key = self.0.iter().find(|key| key.id == id)?;
        key.derive(purpose.as_str())
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKeys").field("keys", &self.0.len()).finish()
    }
}

impl Key {
    /// `None` if the secret is too short.
    fn new(secret: &Secret) -> Option<Self> {
        let secret = Some(secret.expose().as_bytes()).filter(|secret| secret.len() >= secret::SHORTEST_KEY)?;
        let mut key = Self { id: [0; KEY_ID_LEN], prk: Salt::new(HKDF_SHA256, b"muster seal key").extract(secret) };
        let id = key.derive("muster seal key id")?;
        key.id.iter_mut().zip(id.iter()).for_each(|(place, byte)| *place = *byte);
        Some(key)
    }

    fn for_sealing(&self, purpose: Purpose) -> Option<UnboundKey> {
        self.prk.expand(&[purpose.as_str().as_bytes()], &CHACHA20_POLY1305).ok().map(UnboundKey::from)
    }

    /// `None` never occurs: 32 bytes are less than HKDF can derive.
    fn derive(&self, purpose: &str) -> Option<Zeroizing<[u8; 32]>> {
        let mut derived = Zeroizing::new([0; 32]);
        self.prk.expand(&[purpose.as_bytes()], Bits256).ok()?.fill(derived.as_mut_slice()).ok()?;
        Some(derived)
    }
}

struct Bits256;

impl KeyType for Bits256 {
    fn len(&self) -> usize {
        32
    }
}

/// The associated data: each part with its length, so that parts can't run into each other.
fn associated(purpose: Purpose, row: &[&[u8]]) -> Vec<u8> {
    let parts = std::iter::once(purpose.as_str().as_bytes()).chain(row.iter().copied());
    parts.flat_map(|part| [&part.len().to_be_bytes(), part].concat()).collect()
}

/// Encrypts with ChaCha20-Poly1305 and a random nonce, which precedes the ciphertext.
pub(crate) fn encrypt(key: Option<UnboundKey>, associated: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let nonce = rand::random::<[u8; NONCE_LEN]>();
    let mut sealed = text.to_vec();
    let encrypted = key.and_then(|key| {
        let key = LessSafeKey::new(key);
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(associated), &mut sealed).ok()
    });
    encrypted.ok_or_else(|| Error::internal("ChaCha20-Poly1305 can't encrypt"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Decrypts the output of [`encrypt`]; `None` if the text, the key or the associated data is not what it was.
pub(crate) fn decrypt(key: Option<UnboundKey>, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let key = LessSafeKey::new(key?);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(associated), sealed.as_mut_slice()).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old key that has been in use for long";
    const NEW: &str = "a new key that came in its place today..";

    fn with_keys(keys: &[&str]) -> SealKeys {
        let mut config = Config::built_in().unwrap();
        config.secrets.seal_key = Secret::new(keys.join("\n"));
        SealKeys::new(&config).unwrap()
    }

    const ROW: &[&[u8]] = &[b"organization", b"provider"];

    #[test]
    fn s_83_a_sealed_text_is_opened_by_its_key_purpose_and_row_only() {
        let keys = with_keys(&[OLD]);
        let sealed = keys.seal(Purpose::SsoClientSecret, ROW, &Secret::new("hunter2")).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        let open = |purpose, row, sealed: &[u8]| keys.open(purpose, row, sealed).map(|text| text.expose().to_owned());
        assert_eq!(open(Purpose::SsoClientSecret, ROW, &sealed).as_deref(), Ok("hunter2"));
        assert_eq!(open(Purpose::MailedLink, ROW, &sealed), Err(OpenError::Damaged));
        let others: [&[&[u8]]; 3] = [&[b"organization", b"other"], &[b"organizationprovider"], &[]];
        for other in others {
            assert_eq!(open(Purpose::SsoClientSecret, other, &sealed), Err(OpenError::Damaged));
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(Purpose::SsoClientSecret, ROW, &changed).is_err(), "byte {at}");
            assert!(open(Purpose::SsoClientSecret, ROW, &sealed[..at]).is_err(), "the first {at} bytes");
        }
    }

    #[test]
    fn s_83_the_first_key_seals_and_all_keys_open() {
        let old = with_keys(&[OLD]);
        let sealed = old.seal(Purpose::SsoClientSecret, ROW, &Secret::new("hunter2")).unwrap();
        let both = with_keys(&[NEW, OLD]);
        assert_eq!(both.open(Purpose::SsoClientSecret, ROW, &sealed).unwrap().expose(), "hunter2");
        assert!(both.has(&sealed[..KEY_ID_LEN]));
        let renewed = both.seal(Purpose::SsoClientSecret, ROW, &Secret::new("hunter2")).unwrap();
        let id = old.current_id().unwrap();
        let new = with_keys(&[NEW]);
        assert_eq!(new.open(Purpose::SsoClientSecret, ROW, &renewed).unwrap().expose(), "hunter2");
        assert_eq!(new.open(Purpose::SsoClientSecret, ROW, &sealed).unwrap_err(), OpenError::UnknownKey(id));
        assert!(!new.has(&sealed[..KEY_ID_LEN]));
    }

    #[test]
    fn s_37_a_key_is_derived_for_each_purpose_and_again_from_a_replaced_key() {
        let old = with_keys(&[OLD]);
        let id = old.current_id().unwrap();
        let derived = old.derive(&id, Purpose::MailedLink).unwrap();
        assert_eq!(with_keys(&[NEW, OLD]).derive(&id, Purpose::MailedLink), Some(derived.clone()));
        assert_ne!(old.derive(&id, Purpose::SsoClientSecret), Some(derived));
        assert_eq!(with_keys(&[NEW]).derive(&id, Purpose::MailedLink), None);
    }

    #[test]
    fn s_37_a_derived_key_is_hkdf_sha256() {
        // python3: hmac(hmac(b"muster seal key", OLD), b"muster mailed link\x01").hexdigest(), both SHA-256
        let keys = with_keys(&[OLD]);
        let derived = keys.derive(&keys.current_id().unwrap(), Purpose::MailedLink).unwrap();
        assert_eq!(hex::encode(*derived), "0d1ff93e9cfb4b2f9be3b69b5322dc893ed8a26d37f69cc9a6187aec67fcb78b");
    }

    #[test]
    fn s_83_without_a_key_nothing_is_sealed() {
        let error = with_keys(&[]).seal(Purpose::SsoClientSecret, ROW, &Secret::new("hunter2")).unwrap_err();
        assert_eq!(error.code(), Code::SealKeyMissing);
        assert!(with_keys(&[]).current_id().is_err());
    }

    #[test]
    fn a_short_key_is_rejected_and_no_key_is_in_debug_output() {
        let mut config = Config::built_in().unwrap();
        config.secrets.seal_key = Secret::new("short");
        let error = SealKeys::new(&config).unwrap_err().to_string();
        assert!(error.starts_with("`secrets.seal_key` must have at least 32 characters"), "{error}");
        assert_eq!(format!("{:?}", with_keys(&[OLD])), "SealKeys { keys: 1 }");
    }
}
