//! Bounds what a workbook decompresses to: a few kilobytes can become gigabytes, and the sizes that an archive states may
//! be wrong.

use std::io::{self, Cursor, Read};

use zip::ZipArchive;

use super::WorkbookError;

/// Maximum size of all parts. A million formatted rows without values are some 300 MiB.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Maximum size of a part that is not a sheet: such parts are held in memory.
const MAX_PART_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Whether the bytes contain a name.
pub(super) fn mentions(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

/// Decompresses all parts that may be read, and keeps none.
pub(super) fn check(bytes: &[u8]) -> Result<(), WorkbookError> {
    let damaged = |_| WorkbookError::Damaged;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| WorkbookError::Damaged)?;
    let is_workbook = |name: &str| name.to_ascii_lowercase().starts_with("xl/workbook");
    if !archive.file_names().flatten().any(|name| is_workbook(&name)) {
        return Err(WorkbookError::NoWorkbook);
    }
    let mut left = MAX_BYTES;
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|_| WorkbookError::Damaged)?;
        let name = part.name().map_err(|_| WorkbookError::Damaged)?.to_ascii_lowercase();
        if name.starts_with("xl/media/") {
            continue;
        }
        let limit = if name.starts_with("xl/worksheets/") { left } else { left.min(MAX_PART_BYTES) };
        let mut limited = (&mut part).take(limit + 1);
        let size = if name.ends_with("sharedstrings.xml") {
            let mut text = Vec::new();
            limited.read_to_end(&mut text).map_err(damaged)?;
            check_count(&text)?;
            u64::try_from(text.len()).unwrap_or(u64::MAX)
        } else {
            io::copy(&mut limited, &mut io::sink()).map_err(damaged)?
        };
        if size > limit {
            return Err(WorkbookError::TooLarge);
        }
        left -= size;
    }
    Ok(())
}

/// Checks the stated number of shared strings, since memory for so many is reserved at once.
fn check_count(part: &[u8]) -> Result<(), WorkbookError> {
    let text = std::str::from_utf8(part).map_err(|_| WorkbookError::Damaged)?;
    for (at, name) in text.match_indices("uniqueCount") {
        let value = text.get(at + name.len()..).unwrap_or_default();
        let digits = value.trim_start_matches(|c: char| c.is_whitespace() || "=\"'+".contains(c));
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        // A number that does not fit is not reserved.
        let count = digits.get(..length).and_then(|digits| digits.parse::<usize>().ok());
        if count.is_some_and(|count| count > part.len()) {
            return Err(WorkbookError::Damaged);
        }
    }
    Ok(())
}
