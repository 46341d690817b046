//! Passwords: the policy, hashing and verification. Pure: knows neither HTTP nor SQL.
//!
//! New hashes use Argon2id, by default with 19 MiB, 2 iterations and 1 lane (OWASP), a 16-byte salt and a 32-byte tag,
//! as PHC strings. Passwords are normalized to NFC (NIST SP 800-63B-4) and otherwise hashed as given: never trimmed,
//! case-folded or truncated.
//!
//! Hashes of four schemes can be imported, within limits, so that migrated users keep their passwords. [`verify()`]
//! supports all of them and reports which hashes to replace.
//!
//! The strength of a password is checked by the threads that hash: some texts take as long as a hash.

mod hash;
mod imported;
mod invalid_hash;
mod parts;
mod policy;
mod pool;
mod verify;

pub use hash::{Parameters, PasswordHash};
pub use imported::ImportedHash;
pub use invalid_hash::InvalidHash;
pub use policy::{Candidate, Password, PasswordError, Policy, presented};
pub use pool::{Busy, HashError, Hashing, Place, Pool, Progress, Waiting};
pub use verify::{Verified, VerifyError, verify};
