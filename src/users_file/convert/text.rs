//! The text of an export: UTF-8, or UTF-16 with a byte order mark, as PowerShell and `ldifde -u` write it.

use super::{Broken, Read};

/// Decodes an export and removes the byte order mark.
pub(super) fn decode(bytes: Vec<u8>) -> Read<String> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [b'P', b'K', 3, 4, ..] => {
            return Err(Broken::new("a workbook or another ZIP archive; save the list as CSV in UTF-8"));
        }
        _ => {
            let mut text = String::from_utf8(bytes).map_err(|error| {
                let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
                let line = 1 + valid.filter(|byte| **byte == b'\n').count();
                Broken::line(line, "invalid UTF-8; save the file as UTF-8")
            })?;
            crate::users_file::strip_bom(&mut text);
            text
        }
    };
    match text.find('\0') {
        Some(at) => {
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            Err(Broken::line(line, "contains a NUL character; save the file as UTF-8"))
        }
        None => Ok(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Read<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let decoded: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
    match decoded {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(Broken::new("invalid UTF-16; save the file as UTF-8")),
    }
}
