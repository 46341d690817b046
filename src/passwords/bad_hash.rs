//! Why a hash that was made elsewhere is refused.

/// Why a hash is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHash {
    /// Not a hash, or one that is damaged; says what it is.
    Malformed(&'static str),
    /// Made in a way that muster doesn't verify.
    UnknownScheme,
    /// Verifying it would take too much; says what is allowed.
    TooCostly(&'static str),
    /// The salt has so many bytes.
    SaltLength(usize),
    /// The hash itself has so many bytes.
    OutputLength(usize),
}

impl BadHash {
    /// A stable code.
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

    /// What is due, for people. Never shows the hash.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Malformed(what) => what.to_owned(),
            Self::UnknownScheme => {
                "of a scheme that muster doesn't verify: it takes argon2id, argon2i, argon2d, scrypt, \
                 pbkdf2-sha256 and pbkdf2-sha512 in PHC form, and bcrypt ($2a$, $2b$, $2y$)"
                    .to_owned()
            }
            Self::TooCostly(limit) => format!("too costly to verify: {limit}"),
            Self::SaltLength(length) => format!("has a salt of {length} bytes: it has to have 16 to 64"),
            Self::OutputLength(length) => format!("has a hash of {length} bytes: it has to have 16 to 64"),
        }
    }
}
