//! Files that settings name: secrets, certificates and private keys.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::ConfigError;
use crate::secret::Secret;

/// The longest file that a setting may name, in bytes.
const MAX_LENGTH: u64 = 1024 * 1024;

/// Reads the file that `setting` names. Only a regular file, after following links: reading a pipe could block forever.
///
/// # Errors
/// A message with the setting and the path.
pub(crate) fn read_file(setting: &str, file: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |why: String| ConfigError(format!("{setting} {} can't be read: {why}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("not a regular file".to_owned()));
    }
    let mut text = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_LENGTH + 1).read_to_end(&mut text))
        .map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_LENGTH) {
        return Ok(text);
    }
    Err(unreadable(format!("longer than {MAX_LENGTH} bytes")))
}

/// Reads the secret in the file that `setting` names. An empty file is an error: another program may be writing it.
///
/// # Errors
/// A message with the setting, and with its value only if the value looks like a path: the value may be the secret
/// itself, set by mistake.
pub(super) fn read_secret(setting: &str, file: &str) -> Result<Secret, ConfigError> {
    if (!file.contains('/') || file.contains("://")) && !Path::new(file).exists() {
        return Err(ConfigError(format!("{setting} must be the path of an existing file; its value is not shown")));
    }
    let text = String::from_utf8(read_file(setting, Path::new(file))?)
        .map(Secret::new)
        .map_err(|_| ConfigError(format!("{setting} {file} can't be read: not UTF-8 text")))?;
    if text.expose().trim().is_empty() {
        return Err(ConfigError(format!("{setting} {file} is empty")));
    }
    Ok(text)
}
