//! Random numbers for idempotency keys and jitter.
//!
//! # Decisions
//!
//! Random numbers come from ring, which is a dependency for TLS anyway.

use crate::Error;

/// A random UUID (version 4, RFC 9562 section 5.4).
pub(crate) fn uuid() -> Result<String, Error> {
    let number = u128::from_be_bytes(bytes()?);
    let versioned = number & !(0xf << 76) | (0x4 << 76);
    let uuid = versioned & !(0b11 << 62) | (0b10 << 62);
    let hex = format!("{uuid:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

/// A number from 0 to 1, or 0.5 if the system has no random numbers: jitter is not worth an error.
pub(crate) fn fraction() -> f64 {
    bytes().map_or(0.5, |[byte]| f64::from(byte) / f64::from(u8::MAX))
}

fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::Config("the system provides no random numbers".to_owned()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_version_4_and_is_unique() {
        let uuids: Vec<String> = (0..100).map(|_| uuid().unwrap()).collect();
        for uuid in &uuids {
            assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
        assert_eq!(uuids.iter().collect::<std::collections::HashSet<_>>().len(), 100);
    }
}
