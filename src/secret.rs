//! Secret text: without `Display` and `Serialize`, redacted by `Debug`, and zeroed in memory when dropped.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The minimum length of the keys in the settings, in bytes: 128 bits as hexadecimal text.
pub(crate) const SHORTEST_KEY: usize = 32;

/// Secret text. [`Secret::expose`] is the only access, and easy to search for.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Generates 256 random bits, as hexadecimal text.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer).map(Self::new)
    }
}

/// Creates a file with a random key in the data directory of the embedded PostgreSQL, unless it exists.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn create_key_file(data_dir: &Path, name: &str) -> io::Result<()> {
    let path = data_dir.join(name);
    if path.exists() {
        return Ok(());
    }
    // Linking the complete file is atomic, and fails if another instance has created the key in the meantime.
    let unfinished = data_dir.join(format!("{name}.{}", hex::encode(rand::random::<[u8; 8]>())));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(Secret::generate().expose().as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, &path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_created_once_and_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        create_key_file(dir.path(), "seal.key").unwrap();
        let path = dir.path().join("seal.key");
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        create_key_file(dir.path(), "seal.key").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
