//! Verification of passwords against stored hashes.
//!
//! # Decisions
//!
//! *Costs in the database are not trusted.* They were imported, and could have been changed since, so they are checked
//! against the limits again before any work.
//!
//! *bcrypt uses 72 bytes.* A longer password is compared by its first 72 bytes, as in every bcrypt implementation.
//! Rejecting it would lock out users who have always signed in with it. The whole password is rehashed then. A password
//! with a NUL never matches a bcrypt hash: C implementations truncate it there, and bcrypt's repeated key is the same
//! for `a` and `a\0a`.
//!
//! *Bytes are compared, not characters.* Imported hashes can be of passwords that were not normalized, so the bytes are
//! hashed as given.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::Parameters;
use super::invalid_hash::InvalidHash;
use super::parts::{Digest, Parts, Scheme};

/// The number of bytes of a password that bcrypt uses.
const BCRYPT_LONGEST: usize = 72;

/// The result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password matches.
    pub matches: bool,
    /// Whether to replace the hash once the password matches: it is not Argon2id version 19 with exactly the current
    /// parameters.
    pub needs_rehash: bool,
}

/// The error of a verification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The stored hash is invalid or costs too much.
    #[error("invalid stored hash: {}", .0.message())]
    InvalidHash(InvalidHash),
    /// The hash function failed, for lack of memory for example.
    #[error("{0}")]
    Failed(String),
}

/// Verifies a password, given as its bytes in NFC, against a stored hash, in constant time. This blocks for as long as
/// the costs of the hash imply, which can be seconds; async code uses [`super::Pool::verify`].
///
/// # Errors
/// [`VerifyError::InvalidHash`] before any work.
pub fn verify(stored: &str, password: &[u8], current: &Parameters) -> Result<Verified, VerifyError> {
    verify_in(stored, password, current, &mut [])
}

/// As [`verify()`], in the given memory if that is large enough.
pub(super) fn verify_in(
    stored: &str,
    password: &[u8],
    current: &Parameters,
    memory: &mut [Block],
) -> Result<Verified, VerifyError> {
    let Parts { scheme, salt, tag } = Parts::of(stored).map_err(VerifyError::InvalidHash)?;
    let mut made = Zeroizing::new(vec![0; tag.len()]);
    let mut can_match = true;
    match scheme {
        Scheme::Argon2 { algorithm, version, memory_kib, iterations, lanes } => {
            let params = Params::new(memory_kib, iterations, lanes, Some(tag.len())).map_err(failed)?;
            let blocks = params.block_count();
            let argon2 = Argon2::new(algorithm, version, params);
            match memory.get_mut(..blocks) {
                Some(memory) => argon2.hash_password_into_with_memory(password, &salt, &mut made, memory),
                None => argon2.hash_password_into(password, &salt, &mut made),
            }
            .map_err(failed)?;
        }
        Scheme::Scrypt { log_n, r, p } => {
            let params = scrypt::Params::new(log_n, r, p).map_err(failed)?;
            scrypt::scrypt(password, &salt, &params, &mut made).map_err(failed)?;
        }
        Scheme::Pbkdf2 { digest: Digest::Sha256, iterations } => {
            pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut made);
        }
        Scheme::Pbkdf2 { digest: Digest::Sha512, iterations } => {
            pbkdf2::pbkdf2_hmac::<Sha512>(password, &salt, iterations, &mut made);
        }
        Scheme::Bcrypt { cost } => {
            can_match = !password.contains(&0);
            let salt = salt.as_slice().try_into().map_err(failed)?;
            made.copy_from_slice(bcrypt(cost, salt, password).get(..tag.len()).unwrap_or_default());
        }
    }
    let matches = bool::from(made.ct_eq(&tag)) && can_match;
    Ok(Verified { matches, needs_rehash: !is_current(scheme, tag.len(), current) })
}

/// bcrypt's key is the password followed by a NUL, truncated to 72 bytes.
fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; 24] {
    let mut key = Zeroizing::new([0; BCRYPT_LONGEST]);
    key.iter_mut().zip(password).for_each(|(place, byte)| *place = *byte);
    let length = (password.len() + 1).min(BCRYPT_LONGEST);
    bcrypt::bcrypt(cost, salt, key.get(..length).unwrap_or(key.as_slice()))
}

fn is_current(scheme: Scheme, tag_length: usize, current: &Parameters) -> bool {
    let params = current.params();
    let now = Scheme::Argon2 {
        algorithm: Algorithm::Argon2id,
        version: Version::V0x13,
        memory_kib: params.m_cost(),
        iterations: params.t_cost(),
        lanes: params.p_cost(),
    };
    scheme == now && Some(tag_length) == params.output_len()
}

fn failed(error: impl std::fmt::Display) -> VerifyError {
    VerifyError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::{ImportedHash, PasswordHash};

    const PASSWORD: &str = "Grüße, Ada! 7";

    /// Hashes of [`PASSWORD`] by other implementations. The salts are the bytes 0 to 15, 0 to 63 or
    /// 100 to 119.
    const BY_OTHERS: [&str; 18] = [
        // argon2-cffi 25.1.0, which wraps the reference implementation:
        // `low_level.hash_secret(password, salt, time_cost=t, memory_cost=m, parallelism=p, hash_len=…, type=…, version=…)`
        "$argon2id$v=19$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU",
        "$argon2id$v=19$m=512,t=3,p=4$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$O07/hO5XLIYqMFwNVxu2p1AsanBMth7ieBIanbE8jptRvnjCChiuV7BeU4JyKmS+MvH9XZ3CApcy0AvPMG8q/w",
        "$argon2id$v=16$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$SKONoklItLkZBUJxR3JBw4xTdL2tY3qxHEiEISU04Pk",
        "$argon2i$v=19$m=256,t=3,p=1$AAECAwQFBgcICQoLDA0ODw$O2megNOn6Rk4S54uVReZ6+SjfpIRmbQ2jfNtdaBmzv8",
        "$argon2i$v=16$m=256,t=3,p=2$ZGVmZ2hpamtsbW5vcHFyc3R1dnc$d6gOG8eJAwiHIv2D+a13NA",
        "$argon2d$v=19$m=256,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$IgGVG+iGwmRAfkBLIXToXlp/LcszNurTyfBaJxzQGtc",
        // The third last, without a version, as written before argon2 had versions.
        "$argon2i$m=256,t=3,p=2$ZGVmZ2hpamtsbW5vcHFyc3R1dnc$d6gOG8eJAwiHIv2D+a13NA",
        // Python 3.11's `hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, dklen=…)`, by OpenSSL.
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$NA1JnoADoy7T6MamjAwUZp/8VZGfwGgbZtl29Ljrz2w",
        "$scrypt$ln=6,r=8,p=3$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$mTKWIDX7/V0cXAl3UrCFOOH+aulbHD3E0Hzg3n7F8W+XYDE4mK3GDNiZlzTBudv9gEUaF9G53yslOq6X3DzKOg",
        "$scrypt$ln=12,r=1,p=2$ZGVmZ2hpamtsbW5vcHFyc3R1dnc$vEcqvhfYe5YpDgNRrTsEEQ",
        // Python 3.11's `hashlib.pbkdf2_hmac(digest, password, salt, i, l)`, by OpenSSL.
        "$pbkdf2-sha256$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$s+LNCVgutzyD6/qJi6CCbmWvTkLx7nycZ9B5RJgvWC4",
        "$pbkdf2-sha256$i=1200,l=64$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$Ty8/pqif0vItr6QAlM3/i8sNVL92xmURlW2RNZvbuTmWo8sYJL4a5x9LrorC2LbYdEEbKGy7pHCkuTLWbGQUKA",
        "$pbkdf2-sha512$i=1000,l=64$AAECAwQFBgcICQoLDA0ODw$qCKab6eBnqFlWj7ohErZwD/CFOfcLQMgbtOUu3mAk0PU1pPY/v7hv2QR4NhU4jAZFyu+q81ABiDmARmNCGr7/A",
        "$pbkdf2-sha512$i=777$ZGVmZ2hpamtsbW5vcHFyc3R1dnc$0Aokx2S/ETZ+c/owiROwwg",
        // bcrypt 5.0.0 of PyPI: `hashpw(password, gensalt(5, prefix=…))`.
        "$2a$05$uLP0bXm4bQMJ3anDrnkDe.1Iyd8Z0wJL5Wjb1HQ8mn9fBlsWlrIC6",
        "$2b$05$iP1kGziayfr5mh/c7QwLtuk9G9Ox6NNfnm8MQmPP0FnKA5xZRq/tS",
        // libxcrypt: `crypt(password, "$2y$05$abcdefghijklmnopqrstuu")`.
        "$2y$05$abcdefghijklmnopqrstuuhXRNGPwu3GQ.8gMh.X2uMrMq.UFCBfC",
        // The same with an unused trailing bit set in the salt, which libxcrypt ignores.
        "$2y$05$abcdefghijklmnopqrstuvhXRNGPwu3GQ.8gMh.X2uMrMq.UFCBfC",
    ];

    /// By libxcrypt, with the same salt and cost 4: 80 bytes, `0123456789` eight times.
    const EIGHTY_BYTES: &str = "$2b$04$abcdefghijklmnopqrstuum2G75IXDN/xsgbNa/hCiPSKyIHQd70S";

    /// The same for the first 71 bytes.
    const SEVENTY_ONE_BYTES: &str = "$2b$04$abcdefghijklmnopqrstuukow.iL/GuIgNNTSpCKVqIJG617.YQsi";

    fn matches(stored: &str, password: &str) -> bool {
        verify(stored, password.as_bytes(), &current()).unwrap().matches
    }

    fn current() -> Parameters {
        Parameters::new(19456, 2, 1).unwrap()
    }

    #[test]
    fn hashes_by_other_implementations_verify() {
        for stored in BY_OTHERS {
            let imported = ImportedHash::parse(stored).unwrap();
            assert_eq!(PasswordHash::from(imported).as_str(), stored);
            let right = verify(stored, PASSWORD.as_bytes(), &current());
            assert_eq!(right, Ok(Verified { matches: true, needs_rehash: true }), "{stored}");
            let wrong = verify(stored, "Grüße, Ada! 8".as_bytes(), &current());
            assert_eq!(wrong, Ok(Verified { matches: false, needs_rehash: true }), "{stored}");
            assert!(!matches(stored, ""), "{stored}");
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_memory_given() {
        for length in [0, 1, 255, 256, 512, 2000] {
            let mut memory = vec![Block::default(); length];
            for stored in BY_OTHERS {
                assert!(verify_in(stored, PASSWORD.as_bytes(), &current(), &mut memory).unwrap().matches, "{stored}");
                assert!(!verify_in(stored, b"another", &current(), &mut memory).unwrap().matches, "{stored}");
            }
        }
    }

    #[test]
    fn bcrypt_compares_72_bytes() {
        let digits = "0123456789".repeat(10);
        let start = |length: usize| digits.get(..length).unwrap();
        for (length, same) in [(71, false), (72, true), (73, true), (80, true), (100, true)] {
            assert_eq!(matches(EIGHTY_BYTES, start(length)), same, "{length}");
        }
        assert!(matches(SEVENTY_ONE_BYTES, start(71)));
        assert!(!matches(SEVENTY_ONE_BYTES, start(72)));
        assert!(matches("$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq", ""));
    }

    #[test]
    fn a_nul_never_matches_a_bcrypt_hash() {
        let stored = BY_OTHERS[16];
        assert!(matches(stored, PASSWORD));
        for password in [format!("{PASSWORD}\0"), format!("{PASSWORD}\0{PASSWORD}"), format!("{PASSWORD}\0x")] {
            assert!(!matches(stored, &password), "{password:?}");
        }
    }

    #[test]
    fn only_argon2id_with_exactly_the_current_parameters_needs_no_rehash() {
        // By argon2-cffi, as above.
        let stored =
            "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$hfvLvKGQdyp49qfPL0PHzk8AwpgeddNHTV6Oe0yg2Sk";
        for (current, needs_rehash) in
            [((19456, 2, 1), false), ((19457, 2, 1), true), ((19456, 3, 1), true), ((19456, 2, 2), true)]
        {
            let current = Parameters::new(current.0, current.1, current.2).unwrap();
            let verified = verify(stored, PASSWORD.as_bytes(), &current);
            assert_eq!(verified, Ok(Verified { matches: true, needs_rehash }));
        }
        let short = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$hfvLvKGQdyp49qfPL0PHzg";
        assert_eq!(verify(short, b"x", &current()), Ok(Verified { matches: false, needs_rehash: true }));
    }

    #[test]
    fn a_stored_hash_that_costs_too_much_is_rejected_before_any_work() {
        for stored in [
            "$argon2id$v=19$m=4294967295,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$hfvLvKGQdyp49qfPL0PHzg",
            "$scrypt$ln=30,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$NA1JnoADoy7T6MamjAwUZg",
            "$pbkdf2-sha512$i=4294967295$AAECAwQFBgcICQoLDA0ODw$NA1JnoADoy7T6MamjAwUZg",
            "$2b$31$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq",
        ] {
            let start = std::time::Instant::now();
            match verify(stored, PASSWORD.as_bytes(), &current()) {
                Err(VerifyError::InvalidHash(error)) => assert_eq!(error.code(), "hash_too_costly"),
                other => panic!("{other:?}"),
            }
            // Each of them would take longer, by far.
            assert!(start.elapsed().as_secs() < 20);
        }
    }
}
