//! Errors of imported hashes.

/// The error of a hash that muster can't verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidHash {
    /// Not a hash, or a damaged one; the message.
    Malformed(&'static str),
    /// The scheme is not supported.
    UnknownScheme,
    /// Verification would cost too much; the limit.
    TooCostly(&'static str),
    /// The salt has this number of bytes, outside the limits.
    SaltLength(usize),
    /// The hash proper has this number of bytes, outside the limits.
    OutputLength(usize),
}

impl InvalidHash {
    /// The code of the finding.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "hash_malformed",
            Self::UnknownScheme => "hash_unknown_scheme",
            Self::TooCostly(_) => "hash_too_costly",
            Self::SaltLength(_) => "hash_salt_length",
            Self::OutputLength(_) => "hash_output_length",
        }
    }

    /// The message, without the hash.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Malformed(what) => what.to_owned(),
            Self::UnknownScheme => {
                "unsupported scheme; supported are argon2id, argon2i, argon2d, scrypt, pbkdf2-sha256 and \
                 pbkdf2-sha512 in PHC form, and bcrypt ($2a$, $2b$, $2y$)"
                    .to_owned()
            }
            Self::TooCostly(limit) => format!("too costly to verify: {limit}"),
            Self::SaltLength(length) => format!("has a salt of {length} bytes; the salt must have 8 to 64 bytes"),
            Self::OutputLength(length) => format!("has a hash of {length} bytes; the hash must have 16 to 64 bytes"),
        }
    }
}
