//! Reads a file up to a size limit, and hashes it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::MAX_BYTES;

/// Size of the read buffer in bytes.
const CHUNK: usize = 64 * 1024;

/// The content of a file.
pub(super) struct Input {
    pub bytes: Vec<u8>,
    /// SHA-256 in lower-case hex digits.
    pub sha256: String,
}

/// Reads a file, or standard input for `-`. Returns `None` if it is larger than [`MAX_BYTES`]: a regular file is not
/// read at all then, a stream only up to the limit.
pub(super) fn read(path: &Path) -> io::Result<Option<Input>> {
    if path == Path::new("-") {
        return read_from(io::stdin().lock());
    }
    let file = File::open(path)?;
    // The length of a pipe is 0.
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
        reserve(&mut bytes, read.len());
        bytes.extend_from_slice(read);
    }
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES);
    Ok(fits.then(|| Input { bytes, sha256: hex(&hash.finalize()) }))
}

/// Doubles the capacity, but not beyond the size limit.
fn reserve(bytes: &mut Vec<u8>, more: usize) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX).saturating_add(1);
        bytes.reserve_exact((2 * needed).min(most).max(needed) - bytes.len());
    }
}

/// The SHA-256 of a text in lower-case hex digits.
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
