//! Hashing with Argon2id.

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::policy::Password;

const SALT_LEN: usize = 16;
const TAG_LEN: usize = 32;

/// Argon2id's cost parameters, at least as strong as OWASP's minimum.
#[derive(Clone, Debug)]
pub struct Parameters(Params);

impl Parameters {
    /// Checks the parameters against OWASP ASVS 5.0, appendix C.
    ///
    /// # Errors
    /// A message with the permitted values.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, String> {
        if memory_kib < least_memory_kib(iterations) {
            return Err(format!(
                "argon2id with {memory_kib} KiB and {iterations} iterations is weaker than OWASP ASVS 5.0 allows; \
                 use 47104 KiB with 1, 19456 with 2, or 12288 with 3 or more"
            ));
        }
        if memory_kib > 4 * 1024 * 1024 || iterations > 1000 || !(1..=64).contains(&parallelism) {
            return Err("argon2id must have at most 4194304 KiB, 1000 iterations and 64 lanes".to_owned());
        }
        Params::new(memory_kib, iterations, parallelism, Some(TAG_LEN)).map(Self).map_err(|error| error.to_string())
    }
}

impl Parameters {
    /// A hash with these parameters that no password matches, as far as anybody can know: its tag is random. Verifying against it takes
    /// as long as against a real one.
    #[must_use]
    pub fn unmatchable(&self) -> String {
        let (salt, tag): ([u8; SALT_LEN], [u8; TAG_LEN]) = (rand::random(), rand::random());
        let params = &self.0;
        format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            BASE64_STANDARD_NO_PAD.encode(salt),
            BASE64_STANDARD_NO_PAD.encode(tag)
        )
    }

    /// The parameters as the `argon2` crate takes them.
    pub(super) const fn params(&self) -> &Params {
        &self.0
    }
}

/// The minimum memory in KiB that OWASP ASVS 5.0, appendix C, permits with this number of iterations.
pub(super) const fn least_memory_kib(iterations: u32) -> u32 {
    match iterations {
        0 => u32::MAX,
        1 => 47104,
        2 => 19456,
        _ => 12288,
    }
}

/// A password hash, as a PHC string or in bcrypt's form. Kept out of debug output.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A placeholder for the hash in a dry run, which is never stored.
    pub(crate) fn placeholder() -> Self {
        Self("$argon2id$".to_owned())
    }

    /// A valid imported hash.
    pub(super) const fn imported(text: String) -> Self {
        Self(text)
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Hashes passwords in one reusable block of memory.
pub(super) struct Hasher {
    argon2: Argon2<'static>,
    params: ParamsString,
    memory: Vec<Block>,
}

impl Hasher {
    /// Allocates `memory_kib` of memory.
    pub(super) fn new(parameters: &Parameters) -> Result<Self, String> {
        let params = parameters.0.clone();
        Ok(Self {
            params: ParamsString::try_from(&params).map_err(|error| error.to_string())?,
            memory: memory(params.block_count()),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
        })
    }

    /// The memory, for a verification on the same thread.
    pub(super) fn memory(&mut self) -> &mut [Block] {
        &mut self.memory
    }

    /// Hashes with a random salt.
    pub(super) fn hash(&mut self, password: &Password) -> Result<PasswordHash, String> {
        let salt: [u8; SALT_LEN] = rand::random();
        let mut tag = [0_u8; TAG_LEN];
        self.argon2
            .hash_password_into_with_memory(password.as_bytes(), &salt, &mut tag, &mut self.memory)
            .map_err(|error| error.to_string())?;
        let phc = argon2::PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: self.params.clone(),
            salt: Some(Salt::new(&salt).map_err(|error| error.to_string())?),
            hash: Some(Output::new(&tag).map_err(|error| error.to_string())?),
        };
        Ok(PasswordHash(phc.to_string()))
    }
}

/// Allocates the memory of a hashing thread, on huge pages where the system has them: Argon2 accesses memory at random,
/// and with small pages many accesses miss the TLB.
fn memory(blocks: usize) -> Vec<Block> {
    let mut memory: Vec<Block> = Vec::with_capacity(blocks);
    #[cfg(target_os = "linux")]
    advise_huge_pages(memory.as_mut_ptr().cast(), blocks * Block::SIZE);
    // The pages are first touched here, after the advice.
    memory.resize(blocks, Block::default());
    memory
}

/// Measured with `cargo bench` on two cores: a batch of 500 passwords took 1.054 times as long as bare hashing without
/// huge pages, 1.007 times with them (medians of 7 alternating pairs).
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "advice about pages has no safe interface; measured above")]
fn advise_huge_pages(start: *mut std::ffi::c_void, length: usize) {
    use nix::sys::mman::{MmapAdvise, madvise};
    const PAGE: usize = 4096;
    let skip = start.align_offset(PAGE);
    let whole = length.saturating_sub(skip) / PAGE * PAGE;
    let Some(start) = std::ptr::NonNull::new(start.wrapping_byte_add(skip)) else { return };
    // SAFETY: the range lies within one live allocation, and MADV_HUGEPAGE changes no content.
    // If the system rejects the advice, hashing is slightly slower.
    let _ = unsafe { madvise(start, whole, MmapAdvise::MADV_HUGEPAGE) };
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;
    use crate::passwords::Policy;

    #[test]
    fn the_minimum_is_the_asvs_table() {
        for (memory, iterations, allowed) in [
            (47104, 1, true),
            (47103, 1, false),
            (19456, 2, true),
            (19455, 2, false),
            (12288, 3, true),
            (12287, 3, false),
            (12288, 10, true),
            (u32::MAX, 0, false),
        ] {
            assert_eq!(Parameters::new(memory, iterations, 1).is_ok(), allowed, "{memory}/{iterations}");
        }
    }

    #[test]
    fn a_hash_is_argon2id_in_phc_form_and_verifies_with_another_implementation() {
        let password = Policy::new(8, 0).check("correct horse", &[]).unwrap();
        let mut hasher = Hasher::new(&Parameters::new(19456, 2, 1).unwrap()).unwrap();
        let (one, two) = (hasher.hash(&password).unwrap(), hasher.hash(&password).unwrap());
        assert_ne!(one.as_str(), two.as_str(), "each hash has its own salt");
        assert!(one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let parsed = argon2::PasswordHash::new(one.as_str()).unwrap();
        assert_eq!(parsed.salt.as_ref().map(|salt| salt.as_ref().len()), Some(16));
        assert_eq!(parsed.hash.as_ref().map(|tag| tag.as_ref().len()), Some(32));
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"correct horse ", &parsed).is_err());
    }
}
