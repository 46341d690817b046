//! Taking the text of a hash apart, within bounds.

use std::fmt;

use argon2::{Algorithm, Version};
use base64::Engine;
use base64::alphabet::{BCRYPT, STANDARD};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::bad_hash::BadHash;

/// The longest text that is looked at, in bytes.
const LONGEST: usize = 512;

/// Bounds of what one hash may cost and of how long its salt and tag may be. Whoever brings hashes
/// from elsewhere chooses these numbers, so they are checked when a hash is brought and again
/// before one is verified. The module's documentation says how long the dearest takes.
const MOST_MEMORY_KIB: u64 = 256 * 1024;
const MOST_ARGON2_ITERATIONS: u64 = 10;
const MOST_LANES: u64 = 16;
const MOST_PBKDF2_ITERATIONS: u64 = 10_000_000;
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// scrypt's block, in units of 128 bytes: 8 everywhere; the memory beside the table grows with it.
const MOST_SCRYPT_BLOCK: u64 = 1024;

/// PHC strings write bits that are left over as zeros.
const PHC_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD);

/// Old versions of widespread libraries left chance bits at the end of bcrypt's salt; every
/// implementation ignores them.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// A hash, taken apart. What it costs is within the bounds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) scheme: Scheme,
    pub(super) salt: Vec<u8>,
    /// What the password has to give.
    pub(super) tag: Vec<u8>,
}

/// How a hash was made, and its costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Argon2 { algorithm: Algorithm, version: Version, memory_kib: u32, iterations: u32, lanes: u32 },
    Scrypt { log_n: u8, r: u32, p: u32 },
    Pbkdf2 { digest: Digest, iterations: u32 },
    Bcrypt { cost: u32 },
}

/// PBKDF2's hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Parts {
    /// Takes a text apart. The work and the memory for it are bounded by [`LONGEST`].
    pub(super) fn of(text: &str) -> Result<Self, BadHash> {
        if text.len() > LONGEST {
            return Err(BadHash::Malformed("longer than 512 bytes, which no password hash is"));
        }
        if text.is_empty() {
            return Err(BadHash::Malformed("empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadHash::Malformed("has white space or characters beyond ASCII, which no password hash has"));
        }
        let Some(rest) = text.strip_prefix('$') else { return Err(not_a_hash(text)) };
        let (name, rest) = rest.split_once('$').ok_or(BadHash::UnknownScheme)?;
        match name {
            "argon2id" => argon2(Algorithm::Argon2id, rest),
            "argon2i" => argon2(Algorithm::Argon2i, rest),
            "argon2d" => argon2(Algorithm::Argon2d, rest),
            "scrypt" => scrypt(rest),
            "pbkdf2-sha256" => pbkdf2(Digest::Sha256, rest),
            "pbkdf2-sha512" => pbkdf2(Digest::Sha512, rest),
            "2a" | "2b" | "2y" => bcrypt(rest),
            _ => Err(BadHash::UnknownScheme),
        }
    }
}

fn not_a_hash(text: &str) -> BadHash {
    if text.starts_with('{') {
        return BadHash::UnknownScheme;
    }
    BadHash::Malformed("not a password hash: those start with `$` and the name of their scheme, such as `$argon2id$`")
}

fn argon2(algorithm: Algorithm, rest: &str) -> Result<Parts, BadHash> {
    const FORM: BadHash = BadHash::Malformed("not in argon2's form, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`");
    let (version, rest) = match rest.strip_prefix("v=") {
        Some(rest) => rest.split_once('$').ok_or(FORM)?,
        // Written before there were versions.
        None => ("16", rest),
    };
    let version = match version {
        "19" => Version::V0x13,
        "16" => Version::V0x10,
        _ => return Err(BadHash::Malformed("of a version of argon2 that is neither 19 nor 16")),
    };
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    if numbers.contains("keyid=") || numbers.contains("data=") {
        return Err(BadHash::Malformed("made with a secret key or with data beside the password, which muster hasn't"));
    }
    let [Some(memory), Some(iterations), Some(lanes)] = named(numbers, ["m", "t", "p"]).ok_or(FORM)? else {
        return Err(FORM);
    };
    at_most(memory, MOST_MEMORY_KIB, "argon2's memory (m) may be 262144 KiB, which is 256 MiB, at most")?;
    at_most(iterations, MOST_ARGON2_ITERATIONS, "argon2's iterations (t) may be 10 at most")?;
    at_most(lanes, MOST_LANES, "argon2's lanes (p) may be 16 at most")?;
    if iterations == 0 || lanes == 0 || memory < 8 * lanes {
        return Err(BadHash::Malformed("argon2 with less than one iteration, one lane, or 8 KiB for each lane"));
    }
    let (memory_kib, iterations, lanes) = (small(memory)?, small(iterations)?, small(lanes)?);
    with_salt_and_tag(Scheme::Argon2 { algorithm, version, memory_kib, iterations, lanes }, salt, tag)
}

fn scrypt(rest: &str) -> Result<Parts, BadHash> {
    const FORM: BadHash = BadHash::Malformed("not in scrypt's form, `$scrypt$ln=…,r=…,p=…$salt$hash`");
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    let [Some(log_n), Some(r), Some(p)] = named(numbers, ["ln", "r", "p"]).ok_or(FORM)? else { return Err(FORM) };
    let memory = "scrypt's memory (128 bytes times N times r, where ln is N's logarithm) may be 256 MiB at most";
    at_most(log_n, 31, memory)?;
    at_most(r, MOST_SCRYPT_BLOCK, "scrypt's block size (r) may be 1024 at most")?;
    at_most(p, MOST_LANES, "scrypt's parallelism (p) may be 16 at most")?;
    if log_n == 0 || r == 0 || p == 0 {
        return Err(BadHash::Malformed("scrypt with ln, r or p below 1"));
    }
    at_most((128 * r) << log_n, MOST_MEMORY_KIB * 1024, memory)?;
    let log_n = u8::try_from(log_n).map_err(|_| FORM)?;
    with_salt_and_tag(Scheme::Scrypt { log_n, r: small(r)?, p: small(p)? }, salt, tag)
}

fn pbkdf2(digest: Digest, rest: &str) -> Result<Parts, BadHash> {
    const FORM: BadHash = BadHash::Malformed("not in PBKDF2's PHC form, `$pbkdf2-sha256$i=…,l=…$salt$hash`");
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    let [Some(iterations), length] = named(numbers, ["i", "l"]).ok_or(FORM)? else { return Err(FORM) };
    at_most(iterations, MOST_PBKDF2_ITERATIONS, "PBKDF2's iterations (i) may be 10000000 at most")?;
    if iterations == 0 {
        return Err(BadHash::Malformed("PBKDF2 with no iteration"));
    }
    let parts = with_salt_and_tag(Scheme::Pbkdf2 { digest, iterations: small(iterations)? }, salt, tag)?;
    if length.is_some_and(|length| usize::try_from(length) != Ok(parts.tag.len())) {
        return Err(BadHash::Malformed("cut off, or of another length than its `l=` says"));
    }
    Ok(parts)
}

fn bcrypt(rest: &str) -> Result<Parts, BadHash> {
    const FORM: BadHash =
        BadHash::Malformed("not in bcrypt's form: `$2b$`, a cost of two digits, `$`, and 53 characters");
    let (cost, encoded) = rest.split_once('$').ok_or(FORM)?;
    let (salt, tag) = encoded.split_at_checked(22).filter(|(_, tag)| tag.len() == 31).ok_or(FORM)?;
    if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM);
    }
    let cost: u32 = cost.parse().map_err(|_| FORM)?;
    if cost > *BCRYPT_COSTS.end() {
        return Err(BadHash::TooCostly("bcrypt's cost may be 16 at most"));
    }
    if cost < *BCRYPT_COSTS.start() {
        return Err(BadHash::Malformed("bcrypt with a cost below 4"));
    }
    let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| FORM);
    Ok(Parts { scheme: Scheme::Bcrypt { cost }, salt: decode(salt)?, tag: decode(tag)? })
}

/// Exactly three fields.
fn three(rest: &str) -> Option<(&str, &str, &str)> {
    let (numbers, rest) = rest.split_once('$')?;
    let (salt, tag) = rest.split_once('$')?;
    (!tag.contains('$')).then_some((numbers, salt, tag))
}

/// The numbers of these names, in any order, each at most once; `None` for any other text. A number
/// that doesn't fit becomes the greatest, which is above every bound.
fn named<const N: usize>(text: &str, names: [&str; N]) -> Option<[Option<u64>; N]> {
    let mut numbers = [None; N];
    for pair in text.split(',') {
        let (name, digits) = pair.split_once('=')?;
        let place = numbers.get_mut(names.iter().position(|known| *known == name)?)?;
        let is_plain = digits == "0" || !digits.starts_with('0');
        if place.is_some() || digits.is_empty() || !is_plain || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *place = Some(digits.parse().unwrap_or(u64::MAX));
    }
    Some(numbers)
}

fn at_most(number: u64, most: u64, sentence: &'static str) -> Result<(), BadHash> {
    if number > most { Err(BadHash::TooCostly(sentence)) } else { Ok(()) }
}

/// After its bound has been checked.
fn small(number: u64) -> Result<u32, BadHash> {
    u32::try_from(number).map_err(|_| BadHash::TooCostly("its costs may be 10000000 at most"))
}

fn with_salt_and_tag(scheme: Scheme, salt: &str, tag: &str) -> Result<Parts, BadHash> {
    let salt = PHC_BASE64.decode(salt).map_err(|_| {
        BadHash::Malformed("cut off or changed: its salt is not base64 (the standard alphabet, without `=`)")
    })?;
    if !LENGTHS.contains(&salt.len()) {
        return Err(BadHash::SaltLength(salt.len()));
    }
    let tag = PHC_BASE64.decode(tag).map_err(|_| {
        BadHash::Malformed("cut off or changed: its last field is not base64 (the standard alphabet, without `=`)")
    })?;
    if !LENGTHS.contains(&tag.len()) {
        return Err(BadHash::OutputLength(tag.len()));
    }
    Ok(Parts { scheme, salt, tag })
}
