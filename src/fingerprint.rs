//! Fingerprints: what a text was, for whoever has the key, and nothing for anybody else.
//!
//! A request that creates users, or the file that it came from, may hold passwords. A bare digest
//! of one, kept in the database, would let whoever gets hold of the database guess them at the
//! speed of SHA-256, around argon2. So what is kept is an HMAC-SHA256 (RFC 2104) under a key that
//! is not in the database: setting `secrets.fingerprint_key`.
//!
//! # Decisions
//!
//! With nothing configured there is a key all the same, so that safe retries need no set-up: beside
//! the private PostgreSQL it lies in the data directory; with a database of one's own it is derived
//! from the password in the database's URL, which all instances share and the database doesn't
//! have. Where there is neither, each start draws one, and the log says what that costs.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Config, ConfigError};
use crate::secret::Secret;

/// The shortest key, in bytes: half of what OWASP asks for as text of base 64.
const SHORTEST_KEY: usize = 32;

/// What of the private database's data directory holds its key.
pub(crate) const FILE_NAME: &str = "fingerprint.key";

/// Which key made a fingerprint: tells nothing of the key.
pub type KeyId = [u8; 8];

/// The keys: the first makes new fingerprints, all recognise theirs.
pub struct Fingerprints {
    keys: Vec<Key>,
    /// Whether a restart, or another instance, has other keys.
    is_passing: bool,
}

struct Key {
    id: KeyId,
    secret: Secret,
}

/// What a text was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Which key made it.
    pub key_id: KeyId,
    /// 256 bits.
    pub mac: [u8; 32],
}

impl Fingerprints {
    /// Takes the keys of the settings, or finds one as the decisions above say.
    ///
    /// # Errors
    /// A key that is too short, or a file that can't be read.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let (texts, is_passing) = match config.fingerprint_keys()? {
            Some(texts) => (texts, false),
            None => match config.database_password()? {
                Some(password) => (vec![derived(&password)], false),
                None => (vec![drawn()], true),
            },
        };
        if texts.iter().any(|text| text.expose().len() < SHORTEST_KEY) {
            return Err(ConfigError::starting(format!(
                "secrets.fingerprint_key has to have {SHORTEST_KEY} characters at least, such as `openssl rand -hex 32` prints"
            )));
        }
        let keys = texts.into_iter().map(Key::new).collect();
        Ok(Self { keys, is_passing })
    }

    /// Whether a restart, or another instance, will not recognise what this one makes.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// The fingerprint of a text. `purpose` keeps fingerprints for different uses apart.
    #[must_use]
    pub fn of(&self, purpose: &str, text: &[u8]) -> Fingerprint {
        // `new` made sure that there is one.
        self.keys.first().map_or(Fingerprint { key_id: [0; 8], mac: [0; 32] }, |key| Fingerprint {
            key_id: key.id,
            mac: key.mac(purpose, text),
        })
    }

    /// The fingerprints that each of the keys makes of a text: for looking one up.
    #[must_use]
    pub fn all_of(&self, purpose: &str, text: &[u8]) -> Vec<Vec<u8>> {
        self.keys.iter().map(|key| key.mac(purpose, text).to_vec()).collect()
    }

    /// Whether a fingerprint, of which only the first bytes may be known, is of this text.
    /// `None`: the key that made it is not known here. Takes the same time wherever they differ.
    #[must_use]
    pub fn recognise(&self, key_id: &[u8], mac: &[u8], purpose: &str, text: &[u8]) -> Option<bool> {
        let key = self.keys.iter().find(|key| key.id == key_id)?;
        let due = key.mac(purpose, text);
        Some(due.get(..mac.len()).is_some_and(|due| !mac.is_empty() && bool::from(due.ct_eq(mac))))
    }
}

impl fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprints").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Key {
    fn new(secret: Secret) -> Self {
        let mut key = Self { id: [0; 8], secret };
        let id = key.mac("key id", b"");
        key.id.iter_mut().zip(id).for_each(|(place, byte)| *place = byte);
        key
    }

    fn mac(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length: longer ones than a block are hashed first.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes()) else {
            return [0; 32];
        };
        mac.update(b"muster ");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

/// Text of 256 bits drawn at random.
fn drawn() -> Secret {
    Secret::new(hex::encode(rand::random::<[u8; 32]>()))
}

fn derived(password: &Secret) -> Secret {
    let mut digest = Sha256::new();
    digest.update(b"muster fingerprint key of a database password\0");
    digest.update(password.expose().as_bytes());
    Secret::new(hex::encode(digest.finalize()))
}

/// Makes the key of a private database, unless it is there.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn make_file(data_dir: &Path) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = data_dir.join(FILE_NAME);
    if path.exists() {
        return Ok(());
    }
    // Whole or not there, whoever else is starting: a link fails if the name is taken.
    let unfinished = data_dir.join(format!("{FILE_NAME}.{}", hex::encode(rand::random::<[u8; 8]>())));
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(drawn().expose().as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&unfinished, &path);
    std::fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_keys(keys: &[&str]) -> Fingerprints {
        let mut config = Config::built_in().unwrap();
        config.secrets.fingerprint_key = Secret::new(keys.join("\n"));
        Fingerprints::new(&config).unwrap()
    }

    const OLD: &str = "an old key that has been in use for long";
    const NEW: &str = "a new key that came in its place today..";

    #[test]
    fn a_fingerprint_is_recognised_by_its_key_purpose_and_text_only() {
        let all = with_keys(&[OLD]);
        let made = all.of("list", b"text");
        let recognise = |purpose, text| all.recognise(&made.key_id, &made.mac, purpose, text);
        assert_eq!(recognise("list", b"text".as_slice()), Some(true));
        assert_eq!(recognise("list", b"texT"), Some(false));
        assert_eq!(recognise("file", b"text"), Some(false));
        assert_eq!(with_keys(&[NEW]).recognise(&made.key_id, &made.mac, "list", b"text"), None);
        assert_eq!(all.recognise(&made.key_id, &[], "list", b"text"), Some(false));
        assert_eq!(all.recognise(&made.key_id, &made.mac[..16], "list", b"text"), Some(true));
    }

    #[test]
    fn a_key_that_was_replaced_still_recognises_what_it_made() {
        let made = with_keys(&[OLD]).of("list", b"text");
        let both = with_keys(&[NEW, OLD]);
        assert_eq!(both.recognise(&made.key_id, &made.mac, "list", b"text"), Some(true));
        assert_ne!(both.of("list", b"text"), made);
    }

    #[test]
    fn it_is_hmac_sha256() {
        // python3: hmac.new(OLD, b"muster list\0text", "sha256").hexdigest()
        assert_eq!(
            hex::encode(with_keys(&[OLD]).of("list", b"text").mac),
            "a6c66d77bb785809b89854ca5fee9d64e1b91235586be0f2d9d501693fa0afd1"
        );
    }

    #[test]
    fn a_short_key_is_refused_and_none_is_shown() {
        let mut config = Config::built_in().unwrap();
        config.secrets.fingerprint_key = Secret::new("short");
        let error = Fingerprints::new(&config).unwrap_err().to_string();
        assert!(error.starts_with("secrets.fingerprint_key has to have 32 characters"), "{error}");
        assert_eq!(format!("{:?}", with_keys(&[OLD])), "Fingerprints { keys: 1, .. }");
    }

    #[test]
    fn the_password_of_the_databases_url_is_a_key_that_instances_share() {
        let mut config = Config::built_in().unwrap();
        config.database.url = Secret::new("postgres://muster:correct%20horse@db/muster");
        let (one, other) = (Fingerprints::new(&config).unwrap(), Fingerprints::new(&config).unwrap());
        assert_eq!(one.of("list", b"text"), other.of("list", b"text"));
        assert!(!one.is_passing());
        config.database.url = Secret::new("postgres://muster@db/muster");
        let (one, other) = (Fingerprints::new(&config).unwrap(), Fingerprints::new(&config).unwrap());
        assert_ne!(one.of("list", b"text"), other.of("list", b"text"));
        assert!(one.is_passing());
    }

    #[test]
    fn a_file_is_made_once_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        make_file(dir.path()).unwrap();
        let path = dir.path().join(FILE_NAME);
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        make_file(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
