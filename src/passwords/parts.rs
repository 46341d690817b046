//! Parsing hashes, within limits.

use std::fmt;

use argon2::{Algorithm, Version};
use base64::Engine;
use base64::alphabet::{BCRYPT, STANDARD};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::invalid_hash::InvalidHash;

/// The maximum length of a hash, in bytes.
const LONGEST: usize = 512;

/// Limits of the costs of a hash and of the length of its salt and tag. See [`super::imported`] for the time that the
/// most expensive hash takes.
const MOST_MEMORY_KIB: u64 = 256 * 1024;
/// The memory that is filled in all: by argon2's iterations, or by scrypt's parallelism.
const MOST_ARGON2_WORK_KIB: u64 = 10 * MOST_MEMORY_KIB;
const MOST_SCRYPT_WORK: u64 = 16 * 1024 * MOST_MEMORY_KIB;
const MOST_PBKDF2_ITERATIONS: u64 = 10_000_000;
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
const SALT_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;
const TAG_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// The limit of scrypt's block size (8 in practice) times its parallelism, in units of 128 bytes: the memory in addition
/// to the table.
const MOST_SCRYPT_BLOCKS: u64 = 16 * 1024;

/// In PHC strings, unused trailing bits are zero.
const PHC_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD);

/// Old versions of common libraries left random trailing bits in bcrypt's salt. Every implementation ignores them.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// A parsed hash, with costs within the limits.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) scheme: Scheme,
    pub(super) salt: Vec<u8>,
    /// The expected output.
    pub(super) tag: Vec<u8>,
}

/// The scheme of a hash, with its costs.
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
    /// Parses a hash. Time and memory are limited by [`LONGEST`].
    pub(super) fn of(text: &str) -> Result<Self, InvalidHash> {
        if text.len() > LONGEST {
            return Err(InvalidHash::Malformed("longer than 512 bytes, which no password hash is"));
        }
        if text.is_empty() {
            return Err(InvalidHash::Malformed("empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidHash::Malformed(
                "contains white space or non-ASCII characters, which no password hash does",
            ));
        }
        let (name, rest) = scheme_of(text).ok_or_else(|| not_a_hash(text))?;
        match name {
            "argon2id" => argon2(Algorithm::Argon2id, rest),
            "argon2i" => argon2(Algorithm::Argon2i, rest),
            "argon2d" => argon2(Algorithm::Argon2d, rest),
            "scrypt" => scrypt(rest),
            "pbkdf2-sha256" => pbkdf2(Digest::Sha256, rest),
            "pbkdf2-sha512" => pbkdf2(Digest::Sha512, rest),
            _ => bcrypt(rest),
        }
    }
}

/// The supported schemes, as they are written in hashes.
const SCHEMES: [&str; 9] =
    ["argon2id", "argon2i", "argon2d", "scrypt", "pbkdf2-sha256", "pbkdf2-sha512", "2a", "2b", "2y"];

/// The supported scheme of a hash, and what follows.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('$')?.split_once('$').filter(|(name, _)| SCHEMES.contains(name))
}

/// The error of a text that does not start with a supported scheme. Directories, frameworks and configuration files wrap
/// hashes; then the error says what to remove.
fn not_a_hash(text: &str) -> InvalidHash {
    let unquoted = text.trim_matches(['\'', '"', '`']);
    let from_dollar = |(at, _)| text.get(at..).is_some_and(|rest| scheme_of(rest).is_some());
    if unquoted.len() < text.len() && scheme_of(unquoted).is_some() {
        return InvalidHash::Malformed("in quotation marks; remove them");
    }
    if scheme_of(&text.replace("$$", "$")).is_some() && text.starts_with("$$") {
        return InvalidHash::Malformed("written with `$$`; write each `$` once");
    }
    if text.match_indices('$').any(from_dollar) {
        return InvalidHash::Malformed(if text.starts_with('{') {
            "a hash with a prefix in braces; remove the `{…}` in front of the `$`"
        } else {
            "a hash with a prefix; remove what stands in front of `$` and the name of the scheme"
        });
    }
    if scheme_of(&format!("${text}")).is_some() {
        return InvalidHash::Malformed("a hash without the `$` at its start");
    }
    if text.starts_with(['$', '{']) {
        return InvalidHash::UnknownScheme;
    }
    InvalidHash::Malformed(
        "not a password hash; a hash starts with `$` and the name of its scheme, such as `$argon2id$`",
    )
}

fn argon2(algorithm: Algorithm, rest: &str) -> Result<Parts, InvalidHash> {
    const FORM: InvalidHash = InvalidHash::Malformed("not in argon2's form, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`");
    let (version, rest) = match rest.strip_prefix("v=") {
        Some(rest) => rest.split_once('$').ok_or(FORM)?,
        // Written before argon2 had versions.
        None => ("16", rest),
    };
    let version = match version {
        "19" => Version::V0x13,
        "16" => Version::V0x10,
        _ => return Err(InvalidHash::Malformed("argon2 version is neither 19 nor 16")),
    };
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    if numbers.contains("keyid=") || numbers.contains("data=") {
        return Err(InvalidHash::Malformed("made with a secret key or associated data, which muster does not have"));
    }
    let [Some(memory), Some(iterations), Some(lanes)] = named(numbers, ["m", "t", "p"]).ok_or(FORM)? else {
        return Err(FORM);
    };
    at_most(memory, MOST_MEMORY_KIB, "argon2's memory (m) must be at most 262144 KiB (256 MiB)")?;
    at_most(
        memory.saturating_mul(iterations),
        MOST_ARGON2_WORK_KIB,
        "argon2's memory times its iterations (m times t) must be at most 2621440 KiB",
    )?;
    if iterations == 0 || lanes == 0 || memory < lanes.saturating_mul(8) {
        return Err(InvalidHash::Malformed("argon2 with less than one iteration, one lane, or 8 KiB for each lane"));
    }
    let (memory_kib, iterations, lanes) = (small(memory)?, small(iterations)?, small(lanes)?);
    with_salt_and_tag(Scheme::Argon2 { algorithm, version, memory_kib, iterations, lanes }, salt, tag)
}

fn scrypt(rest: &str) -> Result<Parts, InvalidHash> {
    const FORM: InvalidHash = InvalidHash::Malformed("not in scrypt's form, `$scrypt$ln=…,r=…,p=…$salt$hash`");
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    let [Some(log_n), Some(r), Some(p)] = named(numbers, ["ln", "r", "p"]).ok_or(FORM)? else { return Err(FORM) };
    let memory = "scrypt's memory (128 bytes times N times r, where ln is N's logarithm) must be at most 256 MiB";
    at_most(log_n, 31, memory)?;
    let blocks = "scrypt's block size times its parallelism (r times p) must be at most 16384";
    at_most(r.saturating_mul(p), MOST_SCRYPT_BLOCKS, blocks)?;
    if log_n == 0 || r == 0 || p == 0 {
        return Err(InvalidHash::Malformed("scrypt with ln, r or p below 1"));
    }
    at_most((128 * r) << log_n, MOST_MEMORY_KIB * 1024, memory)?;
    let work = "scrypt's work (128 bytes times N times r times p) must be at most 4 GiB";
    at_most((128 * r * p) << log_n, MOST_SCRYPT_WORK, work)?;
    let log_n = u8::try_from(log_n).map_err(|_| FORM)?;
    with_salt_and_tag(Scheme::Scrypt { log_n, r: small(r)?, p: small(p)? }, salt, tag)
}

fn pbkdf2(digest: Digest, rest: &str) -> Result<Parts, InvalidHash> {
    const FORM: InvalidHash = InvalidHash::Malformed("not in PBKDF2's PHC form, `$pbkdf2-sha256$i=…,l=…$salt$hash`");
    let (numbers, salt, tag) = three(rest).ok_or(FORM)?;
    let [Some(iterations), length] = named(numbers, ["i", "l"]).ok_or(FORM)? else { return Err(FORM) };
    at_most(iterations, MOST_PBKDF2_ITERATIONS, "PBKDF2's iterations (i) must be at most 10000000")?;
    if iterations == 0 {
        return Err(InvalidHash::Malformed("PBKDF2 with no iteration"));
    }
    let parts = with_salt_and_tag(Scheme::Pbkdf2 { digest, iterations: small(iterations)? }, salt, tag)?;
    if length.is_some_and(|length| usize::try_from(length) != Ok(parts.tag.len())) {
        return Err(InvalidHash::Malformed("truncated, or of a different length than `l=` states"));
    }
    Ok(parts)
}

fn bcrypt(rest: &str) -> Result<Parts, InvalidHash> {
    const FORM: InvalidHash =
        InvalidHash::Malformed("not in bcrypt's form: `$2b$`, a cost of two digits, `$`, and 53 characters");
    let (cost, encoded) = rest.split_once('$').ok_or(FORM)?;
    let (salt, tag) = encoded.split_at_checked(22).filter(|(_, tag)| tag.len() == 31).ok_or(FORM)?;
    if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM);
    }
    let cost: u32 = cost.parse().map_err(|_| FORM)?;
    if cost > *BCRYPT_COSTS.end() {
        return Err(InvalidHash::TooCostly("bcrypt's cost must be at most 16"));
    }
    if cost < *BCRYPT_COSTS.start() {
        return Err(InvalidHash::Malformed("bcrypt with a cost below 4"));
    }
    let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| FORM);
    Ok(Parts { scheme: Scheme::Bcrypt { cost }, salt: decode(salt)?, tag: decode(tag)? })
}

/// Splits exactly three fields.
fn three(rest: &str) -> Option<(&str, &str, &str)> {
    let (numbers, rest) = rest.split_once('$')?;
    let (salt, tag) = rest.split_once('$')?;
    (!tag.contains('$')).then_some((numbers, salt, tag))
}

/// Parses numbers with these names, in any order, each at most once; `None` for any other text. A number that overflows
/// becomes the maximum, which is above every limit.
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

fn at_most(number: u64, most: u64, limit: &'static str) -> Result<(), InvalidHash> {
    if number > most { Err(InvalidHash::TooCostly(limit)) } else { Ok(()) }
}

/// Converts a number whose limit has been checked.
fn small(number: u64) -> Result<u32, InvalidHash> {
    u32::try_from(number).map_err(|_| InvalidHash::TooCostly("the costs must be at most 10000000"))
}

fn with_salt_and_tag(scheme: Scheme, salt: &str, tag: &str) -> Result<Parts, InvalidHash> {
    let salt = PHC_BASE64.decode(salt).map_err(|_| {
        InvalidHash::Malformed("truncated or modified: the salt is not base64 (standard alphabet, no padding)")
    })?;
    if !SALT_LENGTHS.contains(&salt.len()) {
        return Err(InvalidHash::SaltLength(salt.len()));
    }
    let tag = PHC_BASE64.decode(tag).map_err(|_| {
        InvalidHash::Malformed("truncated or modified: the last field is not base64 (standard alphabet, no padding)")
    })?;
    if !TAG_LENGTHS.contains(&tag.len()) {
        return Err(InvalidHash::OutputLength(tag.len()));
    }
    Ok(Parts { scheme, salt, tag })
}
