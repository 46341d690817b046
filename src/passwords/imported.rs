//! Imported password hashes, with which migrated users keep their passwords.
//!
//! Argon2, scrypt and PBKDF2 in PHC form, and bcrypt in its own. Every number in a hash is untrusted input, so all of
//! them are checked against limits, on import and again before verification.
//!
//! # Decisions
//!
//! *Limits of the costs.* 256 MiB of memory at a time, and as much work as 10 iterations of argon2 or 16 lanes of scrypt
//! with it: the limits of Ory Kratos with a quarter of its memory. The work is limited, not each number: a hash with 20
//! iterations of 16 KiB costs nothing. PBKDF2 is limited to sixteen times OWASP's 600,000 iterations, bcrypt to cost 16, which is 64 times the
//! work of OWASP's 10. The most expensive hash of each took, on one core of a server with two: argon2 2.6 s, bcrypt
//! 5.5 s, PBKDF2 7.2 s, scrypt (16 times 256 MiB) 10 s; bcrypt with cost 17 would exceed them all. Only callers who may
//! create users can import hashes, and only the sign-in of the affected user takes that long.
//!
//! *Costs are mandatory.* Where a PHC string omits a cost, libraries fill in different defaults. Only argon2's version
//! can be omitted, which means 16.
//!
//! *Salts from 8 bytes.* NIST SP 800-132 recommends 16, but the PHC string format and RFC 9106 allow 8, Django used 12
//! until its version 3.1, and the people of such a system should keep their passwords. A shorter salt than 16 bytes makes a
//! hash weak.
//!
//! *Wrapped hashes are rejected with the way out.* LDAP servers and Spring write `{bcrypt}` in front, Django `argon2`, and
//! configuration files double each `$`. muster stores what it was sent, so it says what to remove instead of guessing.
//!
//! *bcrypt's `$2x$`* marks hashes of a broken implementation and is rejected. `$2a$` is read as `$2b$`: they differ only
//! for passwords of 255 bytes and more.

use std::fmt;

use argon2::{Algorithm, Version};

use super::hash::{PasswordHash, least_memory_kib};
use super::invalid_hash::InvalidHash;
use super::parts::{Digest, Parts, Scheme};

/// The recommended length of a salt, in bytes.
const RECOMMENDED_SALT: usize = 16;

/// An imported password hash that muster can verify, with costs within the limits.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportedHash {
    text: String,
    scheme: Scheme,
    salt_bytes: usize,
}

impl ImportedHash {
    /// Parses a hash without trimming or changing it. Time and memory do not depend on the costs in the text.
    ///
    /// # Errors
    /// The first error of the hash.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let Parts { scheme, salt, .. } = Parts::of(text)?;
        Ok(Self { text: text.to_owned(), scheme, salt_bytes: salt.len() })
    }

    /// The reason why the hash is weaker than OWASP recommends, as a message; `None` if it is not. A weak hash is still
    /// accepted. Sources: OWASP ASVS 5.0, appendix C, for argon2; OWASP's password storage cheat sheet for the others.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        let weakness = match self.scheme {
            Scheme::Argon2 { algorithm, version, memory_kib, iterations, .. } => {
                argon2_weakness(algorithm, version, memory_kib, iterations)
            }
            Scheme::Scrypt { log_n, r, p } => scrypt_weakness(log_n, r, p),
            Scheme::Pbkdf2 { digest, iterations } => pbkdf2_weakness(digest, iterations),
            Scheme::Bcrypt { cost } => {
                (cost < 10).then(|| format!("bcrypt with cost {cost} is weaker than OWASP's cost 10"))
            }
        };
        let salt = self.salt_bytes;
        let weakness = weakness.or_else(|| {
            (salt < RECOMMENDED_SALT).then(|| {
                format!("a salt of {salt} bytes is shorter than the {RECOMMENDED_SALT} that NIST SP 800-132 recommends")
            })
        });
        weakness.map(|weakness| format!("{weakness}; the password is rehashed at the next sign-in"))
    }
}

fn argon2_weakness(algorithm: Algorithm, version: Version, memory_kib: u32, iterations: u32) -> Option<String> {
    let least = least_memory_kib(iterations);
    match (algorithm, version) {
        (Algorithm::Argon2i, _) => Some("argon2i is easier to crack than argon2id, which OWASP recommends".to_owned()),
        (Algorithm::Argon2d, _) => {
            Some("argon2d is vulnerable to side-channel attacks; OWASP recommends argon2id".to_owned())
        }
        (_, Version::V0x10) => Some("argon2id of version 16 is weaker than version 19".to_owned()),
        _ if memory_kib < least => Some(format!(
            "argon2id with {memory_kib} KiB and {iterations} iterations is weaker than OWASP's {least} KiB for as many iterations"
        )),
        _ => None,
    }
}

/// OWASP's table has N from 2^17 down to 2^13, all with r = 8; less memory requires a higher p.
fn scrypt_weakness(log_n: u8, r: u32, p: u32) -> Option<String> {
    let memory = u64::from(r) << log_n;
    let is_enough = [(17, 1), (16, 2), (15, 3), (14, 5), (13, 10)]
        .into_iter()
        .any(|(least_log_n, least_p)| memory >= 8 << least_log_n && p >= least_p);
    let weak = || {
        format!(
            "scrypt with ln={log_n}, r={r} and p={p} is weaker than OWASP's ln=17, r=8 and p=1 or an equivalent, such \
             as ln=16 with p=2"
        )
    };
    (!is_enough).then(weak)
}

fn pbkdf2_weakness(digest: Digest, iterations: u32) -> Option<String> {
    let (name, least) = match digest {
        Digest::Sha256 => ("pbkdf2-sha256", 600_000),
        Digest::Sha512 => ("pbkdf2-sha512", 210_000),
    };
    let weak = || format!("{name} with {iterations} iterations is weaker than OWASP's {least}");
    (iterations < least).then(weak)
}

impl From<ImportedHash> for PasswordHash {
    fn from(hash: ImportedHash) -> Self {
        Self::imported(hash.text)
    }
}

impl fmt::Debug for ImportedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImportedHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
    const TAG: &str = "ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU";
    const BCRYPT: &str = "abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";

    /// A hash with this text in front of its salt.
    fn phc(start: &str) -> String {
        format!("{start}${SALT}${TAG}")
    }

    fn argon2id(costs: &str) -> String {
        phc(&format!("$argon2id$v=19${costs}"))
    }

    #[track_caller]
    fn rejected(text: &str, code: &str, message: &str) {
        let error = ImportedHash::parse(text).unwrap_err();
        assert_eq!((error.code(), error.message().as_str()), (code, message), "{text}");
    }

    #[test]
    fn text_that_is_not_a_hash_is_rejected() {
        rejected("", "hash_malformed", "empty");
        let plain = "not a password hash; a hash starts with `$` and the name of its scheme, such as `$argon2id$`";
        for text in ["hunter2", "5f4dcc3b5aa765d61d8327deb882cf99", "pbkdf2_sha256$600000$salt$hash"] {
            rejected(text, "hash_malformed", plain);
        }
        let odd = "contains white space or non-ASCII characters, which no password hash does";
        for text in ["correct horse", "pässword", "$2b$04$\n", &format!("{} ", argon2id("m=19456,t=2,p=1"))] {
            rejected(text, "hash_malformed", odd);
        }
        let long = "longer than 512 bytes, which no password hash is";
        rejected(&"$".repeat(513), "hash_malformed", long);
        rejected(&format!("$argon2id${}", "A".repeat(1 << 20)), "hash_malformed", long);
    }

    #[test]
    fn unsupported_schemes_are_rejected() {
        let message = "unsupported scheme; supported are argon2id, argon2i, argon2d, scrypt, pbkdf2-sha256 and \
                       pbkdf2-sha512 in PHC form, and bcrypt ($2a$, $2b$, $2y$)";
        for text in [
            "$1$abcdefgh$uq6x4VcIZl1YZEK3zlWYx1",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$6$salt$hash",
            "$y$j9T$salt$hash",
            "$apr1$salt$hash",
            "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9gYsalt",
            "$pbkdf2$i=1$a$b",
            "$ARGON2ID$v=19",
            "$",
            "$$",
            "$$$$",
            &format!("$2x$04${BCRYPT}"),
            &format!("$2$04${BCRYPT}"),
        ] {
            rejected(text, "hash_unknown_scheme", message);
        }
    }

    #[test]
    fn what_other_programs_write_around_a_hash_is_named() {
        let (argon2, bcrypt) = (argon2id("m=65536,t=2,p=1"), format!("$2b$12${BCRYPT}"));
        let braces = "a hash with a prefix in braces; remove the `{…}` in front of the `$`";
        for scheme in ["bcrypt", "BCRYPT", "CRYPT", "BLF-CRYPT"] {
            rejected(&format!("{{{scheme}}}{bcrypt}"), "hash_malformed", braces);
        }
        for scheme in ["ARGON2", "ARGON2ID", "argon2"] {
            rejected(&format!("{{{scheme}}}{argon2}"), "hash_malformed", braces);
        }
        rejected(&format!("{{SCRYPT}}{}", phc("$scrypt$ln=14,r=8,p=1")), "hash_malformed", braces);
        let prefix = "a hash with a prefix; remove what stands in front of `$` and the name of the scheme";
        for text in [format!("bcrypt${bcrypt}"), format!("argon2{argon2}"), format!("hash:{bcrypt}")] {
            rejected(&text, "hash_malformed", prefix);
        }
        let missing = "a hash without the `$` at its start";
        for text in [&argon2, &bcrypt] {
            rejected(text.get(1..).unwrap(), "hash_malformed", missing);
        }
        let doubled = "written with `$$`; write each `$` once";
        rejected(&bcrypt.replace('$', "$$"), "hash_malformed", doubled);
        for text in [format!("'{bcrypt}'"), format!("\"{argon2}\"")] {
            rejected(&text, "hash_malformed", "in quotation marks; remove them");
        }
    }

    #[test]
    fn costs_above_the_limits_are_rejected() {
        let memory = "too costly to verify: argon2's memory (m) must be at most 262144 KiB (256 MiB)";
        for m in ["262145", "4194304", "4294967296", "99999999999999999999999999"] {
            rejected(&argon2id(&format!("m={m},t=2,p=1")), "hash_too_costly", memory);
        }
        let work = "too costly to verify: argon2's memory times its iterations (m times t) must be at most 2621440 KiB";
        for costs in ["m=262144,t=11", "m=65536,t=41", "m=8,t=2147483648", "m=8,t=99999999999999999999"] {
            rejected(&argon2id(&format!("{costs},p=1")), "hash_too_costly", work);
        }
        let memory = "too costly to verify: scrypt's memory (128 bytes times N times r, where ln is N's logarithm) must be \
                      at most 256 MiB";
        for costs in ["ln=19,r=8,p=1", "ln=18,r=9,p=1", "ln=12,r=1024,p=1", "ln=64,r=1,p=1", "ln=4294967297,r=8,p=1"] {
            rejected(&phc(&format!("$scrypt${costs}")), "hash_too_costly", memory);
        }
        let blocks =
            "too costly to verify: scrypt's block size times its parallelism (r times p) must be at most 16384";
        for costs in ["ln=1,r=1048576,p=1", "ln=1,r=1024,p=17", "ln=1,r=1,p=99999999999999999999"] {
            rejected(&phc(&format!("$scrypt${costs}")), "hash_too_costly", blocks);
        }
        let work = "too costly to verify: scrypt's work (128 bytes times N times r times p) must be at most 4 GiB";
        for costs in ["ln=17,r=8,p=33", "ln=14,r=8,p=257"] {
            rejected(&phc(&format!("$scrypt${costs}")), "hash_too_costly", work);
        }
        let iterations = "too costly to verify: PBKDF2's iterations (i) must be at most 10000000";
        rejected(&phc("$pbkdf2-sha256$i=10000001"), "hash_too_costly", iterations);
        rejected(&phc("$pbkdf2-sha512$i=4294967296,l=32"), "hash_too_costly", iterations);
        for cost in ["17", "31", "99"] {
            let cost = format!("$2b${cost}${BCRYPT}");
            rejected(&cost, "hash_too_costly", "too costly to verify: bcrypt's cost must be at most 16");
        }
    }

    #[test]
    fn costs_at_the_limits_are_accepted() {
        for text in [
            argon2id("m=262144,t=10,p=16"),
            argon2id("m=16,t=20,p=2"),
            argon2id("m=8,t=11,p=1"),
            argon2id("m=4096,t=12,p=24"),
            argon2id("m=8,t=327680,p=1"),
            phc("$scrypt$ln=4,r=8,p=64"),
            phc("$scrypt$ln=17,r=8,p=32"),
            argon2id("m=8,t=1,p=1"),
            argon2id("p=1,m=8,t=1"),
            phc("$argon2i$v=16$m=128,t=1,p=16"),
            phc("$argon2d$m=8,t=1,p=1"),
            phc("$scrypt$ln=18,r=8,p=16"),
            phc("$scrypt$ln=1,r=1024,p=16"),
            phc("$scrypt$ln=1,r=1,p=1"),
            phc("$pbkdf2-sha256$i=10000000,l=32"),
            phc("$pbkdf2-sha512$i=1"),
            format!("$2a$04${BCRYPT}"),
            format!("$2y$16${BCRYPT}"),
        ] {
            ImportedHash::parse(&text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
        }
    }

    #[test]
    fn salts_have_8_to_64_bytes_and_hashes_16_to_64() {
        let of = |salt: usize, tag: usize| {
            let bytes = |length: usize| match length % 3 {
                0 => "AAAA".repeat(length / 3),
                1 => "AAAA".repeat(length / 3) + "AA",
                _ => "AAAA".repeat(length / 3) + "AAA",
            };
            format!("$argon2id$v=19$m=19456,t=2,p=1${}${}", bytes(salt), bytes(tag))
        };
        for (salt, tag) in [(8, 16), (16, 16), (16, 64), (64, 16), (64, 64), (20, 33)] {
            assert!(ImportedHash::parse(&of(salt, tag)).is_ok(), "{salt} {tag}");
        }
        rejected(&of(4, 32), "hash_salt_length", "has a salt of 4 bytes; the salt must have 8 to 64 bytes");
        rejected(&of(7, 32), "hash_salt_length", "has a salt of 7 bytes; the salt must have 8 to 64 bytes");
        rejected(&of(65, 32), "hash_salt_length", "has a salt of 65 bytes; the salt must have 8 to 64 bytes");
        rejected(&of(0, 32), "hash_salt_length", "has a salt of 0 bytes; the salt must have 8 to 64 bytes");
        rejected(&of(16, 15), "hash_output_length", "has a hash of 15 bytes; the hash must have 16 to 64 bytes");
        rejected(&of(16, 65), "hash_output_length", "has a hash of 65 bytes; the hash must have 16 to 64 bytes");
    }

    #[test]
    fn truncated_and_modified_hashes_are_rejected() {
        let cut = "truncated or modified: the last field is not base64 (standard alphabet, no padding)";
        let salt = "truncated or modified: the salt is not base64 (standard alphabet, no padding)";
        let whole = argon2id("m=19456,t=2,p=1");
        rejected(whole.get(..whole.len() - 2).unwrap(), "hash_malformed", cut);
        rejected(&format!("{whole}="), "hash_malformed", cut);
        rejected(&whole.replace("/IT", "_IT"), "hash_malformed", cut);
        rejected(&whole.replace("ODw$", "ODx$"), "hash_malformed", salt);
        let length = "truncated, or of a different length than `l=` states";
        rejected(&phc("$pbkdf2-sha256$i=600000,l=64"), "hash_malformed", length);
        let form = "not in argon2's form, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`";
        for costs in [
            "",
            "m",
            "m=",
            "m=19456,t=2",
            "m=19456,t=2,p=1,m=8",
            "m=019456,t=2,p=1",
            "m=-1,t=2,p=1",
            "m=+1,t=2,p=1",
            "m=1e9,t=2,p=1",
            "m=19456,t=2,p=1,",
            "M=19456,t=2,p=1",
            "m=19456;t=2;p=1",
        ] {
            rejected(&argon2id(costs), "hash_malformed", form);
        }
        for text in ["$argon2id$", "$argon2id$v=19", "$argon2id$v=19$m=8,t=1,p=1", &format!("{whole}$more")] {
            rejected(text, "hash_malformed", form);
        }
        let version = "argon2 version is neither 19 nor 16";
        rejected(&phc("$argon2id$v=18$m=19456,t=2,p=1"), "hash_malformed", version);
        let keyed = "made with a secret key or associated data, which muster does not have";
        rejected(&argon2id("m=19456,t=2,p=1,keyid=AA"), "hash_malformed", keyed);
        let least = "argon2 with less than one iteration, one lane, or 8 KiB for each lane";
        for costs in ["m=7,t=1,p=1", "m=31,t=1,p=4", "m=8,t=0,p=1", "m=8,t=1,p=0"] {
            rejected(&argon2id(costs), "hash_malformed", least);
        }
        rejected(&phc("$scrypt$ln=0,r=8,p=1"), "hash_malformed", "scrypt with ln, r or p below 1");
        let form = "not in scrypt's form, `$scrypt$ln=…,r=…,p=…$salt$hash`";
        rejected("$scrypt$16384$8$1$AAAA$AAAA", "hash_malformed", form);
        // Passlib's own form.
        let form = "not in PBKDF2's PHC form, `$pbkdf2-sha256$i=…,l=…$salt$hash`";
        rejected(&phc("$pbkdf2-sha256$29000"), "hash_malformed", form);
        rejected(&phc("$pbkdf2-sha256$i=0"), "hash_malformed", "PBKDF2 with no iteration");
        let form = "not in bcrypt's form: `$2b$`, a cost of two digits, `$`, and 53 characters";
        for text in [
            "$2b$",
            "$2b$12",
            "$2b$12$",
            "$2b$12$short",
            &format!("$2b$4${BCRYPT}"),
            &format!("$2b$+4${BCRYPT}"),
            &format!("$2b$04${BCRYPT}x"),
            &format!("$2b$04${}", BCRYPT.replace('Y', "+")),
        ] {
            rejected(text, "hash_malformed", form);
        }
        rejected(&format!("$2b$03${BCRYPT}"), "hash_malformed", "bcrypt with a cost below 4");
    }

    #[test]
    fn hashes_weaker_than_owasp_recommends_are_reported() {
        let again = "; the password is rehashed at the next sign-in";
        let weak = |text: &str| ImportedHash::parse(text).unwrap().weakness();
        for (text, weakness) in [
            (
                argon2id("m=12287,t=3,p=1"),
                "argon2id with 12287 KiB and 3 iterations is weaker than OWASP's 12288 KiB for as many iterations",
            ),
            (
                argon2id("m=4096,t=1,p=4"),
                "argon2id with 4096 KiB and 1 iterations is weaker than OWASP's 47104 KiB for as many iterations",
            ),
            (phc("$argon2id$v=16$m=65536,t=3,p=1"), "argon2id of version 16 is weaker than version 19"),
            (phc("$argon2i$v=19$m=65536,t=3,p=1"), "argon2i is easier to crack than argon2id, which OWASP recommends"),
            (
                phc("$argon2d$v=19$m=65536,t=3,p=1"),
                "argon2d is vulnerable to side-channel attacks; OWASP recommends argon2id",
            ),
            (
                phc("$scrypt$ln=14,r=8,p=1"),
                "scrypt with ln=14, r=8 and p=1 is weaker than OWASP's ln=17, r=8 and p=1 or an equivalent, such as ln=16 with p=2",
            ),
            (phc("$pbkdf2-sha256$i=599999"), "pbkdf2-sha256 with 599999 iterations is weaker than OWASP's 600000"),
            (phc("$pbkdf2-sha512$i=209999"), "pbkdf2-sha512 with 209999 iterations is weaker than OWASP's 210000"),
            (format!("$2b$08${BCRYPT}"), "bcrypt with cost 8 is weaker than OWASP's cost 10"),
            (
                format!("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ${TAG}"),
                "a salt of 8 bytes is shorter than the 16 that NIST SP 800-132 recommends",
            ),
        ] {
            assert_eq!(weak(&text), Some(format!("{weakness}{again}")), "{text}");
        }
        for text in [
            argon2id("m=47104,t=1,p=1"),
            argon2id("m=19456,t=2,p=1"),
            argon2id("m=12288,t=3,p=1"),
            phc("$scrypt$ln=17,r=8,p=1"),
            phc("$scrypt$ln=16,r=8,p=2"),
            phc("$scrypt$ln=15,r=8,p=3"),
            phc("$scrypt$ln=14,r=8,p=5"),
            phc("$scrypt$ln=13,r=8,p=10"),
            phc("$scrypt$ln=16,r=16,p=1"),
            phc("$pbkdf2-sha256$i=600000"),
            phc("$pbkdf2-sha512$i=210000"),
            format!("$2b$10${BCRYPT}"),
        ] {
            assert_eq!(weak(&text), None, "{text}");
        }
        for costs in ["ln=16,r=8,p=1", "ln=15,r=8,p=2", "ln=13,r=8,p=9", "ln=12,r=8,p=16", "ln=17,r=7,p=1"] {
            assert!(weak(&phc(&format!("$scrypt${costs}"))).is_some(), "{costs}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_hash() {
        let hash = ImportedHash::parse(&argon2id("m=19456,t=2,p=1")).unwrap();
        assert_eq!(format!("{hash:?}"), "ImportedHash(…)");
        assert_eq!(format!("{:?}", PasswordHash::from(hash)), "PasswordHash(…)");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = ImportedHash::parse(&text);
        }

        #[test]
        fn no_text_similar_to_a_hash_makes_the_parser_panic(
            start in "\\$(argon2id|argon2i|scrypt|pbkdf2-sha256|2b)(\\$v=[0-9]{0,3})?",
            costs in "\\$(ln|m|i|[0-9]{2})?=?[0-9]{0,22}(,[trpl]=[0-9]{0,22}){0,3}",
            rest in "(\\$[A-Za-z0-9+/.]{0,90}){0,3}",
        ) {
            let _ = ImportedHash::parse(&format!("{start}{costs}{rest}"));
        }

        #[test]
        fn parsed_costs_are_within_the_limits(m in 0_u64..600_000, t in 0_u64..30, p in 0_u64..40) {
            let fits = m <= 262_144 && t >= 1 && m * t <= 2_621_440 && p >= 1 && m >= 8 * p;
            prop_assert_eq!(ImportedHash::parse(&argon2id(&format!("m={m},t={t},p={p}"))).is_ok(), fits);
        }
    }
}
