//! Passwords: what one has to be, and how one is hashed. Pure: knows neither HTTP nor SQL.
//!
//! Argon2id, by default with 19 MiB, 2 iterations and 1 lane (OWASP), a 16-byte salt and a
//! 32-byte tag, as PHC strings. Passwords are normalised to NFC (NIST SP 800-63B-4) and
//! otherwise taken exactly as given: never trimmed, folded or cut.
//!
//! Hashes that were made elsewhere are taken too, of four schemes and within bounds, so that people
//! who move here keep their passwords; [`verify()`] knows all of them, and says which to make anew.

mod background;
mod bad_hash;
mod hash;
mod imported;
mod lanes;
mod measured;
mod parts;
mod policy;
mod pool;
mod verify;

pub use bad_hash::BadHash;
pub use hash::{Parameters, PasswordHash};
pub use imported::ImportedHash;
pub use lanes::{Progress, Waiting};
pub use policy::{Password, Policy, Weakness};
pub use pool::{Busy, HashError, Hashing, Pool};
pub use verify::{Verified, VerifyError, verify};
