//! Reads a file up to a size limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::MAX_BYTES;

/// Reads a file, or standard input for `-`. Returns `None` if it is larger than [`MAX_BYTES`]: a regular file is not
/// read at all then, a stream only up to the limit.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if path == Path::new("-") {
        return read_from(io::stdin().lock());
    }
    let file = File::open(path)?;
    // The length of a pipe is 0.
    if file.metadata()?.len() > MAX_BYTES { Ok(None) } else { read_from(file) }
}

fn read_from(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    // The limit is reserved at once, since a growing buffer would take up to twice the memory; unused pages cost nothing.
    let mut bytes = Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or(0));
    let length = source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(length).is_ok_and(|length| length <= MAX_BYTES).then_some(bytes))
}
