//! Takes a file's bytes in, up to a bound.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::MAX_BYTES;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A file's content as it is.
pub(super) struct Input {
    pub bytes: Vec<u8>,
    /// Hex digits, in small letters.
    pub sha256: String,
}

/// Reads a file, or standard input for `-`. `None` if there are more than [`MAX_BYTES`]: a regular
/// file is then not read at all, anything else no further than that.
pub(super) fn read(path: &Path) -> io::Result<Option<Input>> {
    if path == Path::new("-") {
        return read_from(io::stdin().lock());
    }
    let file = File::open(path)?;
    // A pipe's length is 0.
    if file.metadata()?.len() > MAX_BYTES { Ok(None) } else { read_from(file) }
}

fn read_from(source: impl Read) -> io::Result<Option<Input>> {
    let mut source = source.take(MAX_BYTES + 1);
    let mut bytes = Vec::new();
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = chunk.get(..read).unwrap_or_default();
        hash.update(read);
        make_room(&mut bytes, read.len());
        bytes.extend_from_slice(read);
    }
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES);
    Ok(fits.then(|| Input { bytes, sha256: hex(&hash.finalize()) }))
}

/// Grows by doubling, but never far beyond what may be read.
fn make_room(bytes: &mut Vec<u8>, more: usize) {
    let due = bytes.len() + more;
    if due > bytes.capacity() {
        let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX).saturating_add(1);
        bytes.reserve_exact((2 * due).min(most).max(due) - bytes.len());
    }
}

/// The SHA-256 of a text, in hex digits.
#[cfg(test)]
pub(super) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
