//! Password hashes of exports: what muster supports in them, and how notes name the others.
//!
//! A text in the place of a hash may be a password in plain text. So a note shows only the names of known schemes.

use super::people::SignIn;
use crate::passwords::{ImportedHash, InvalidHash};
use crate::secret::Secret;

/// Schemes that notes may name.
const SCHEMES: &[&str] = &[
    "1",
    "5",
    "6",
    "apr1",
    "argon2",
    "bcrypt",
    "bcrypt-sha256",
    "bcrypt_sha256",
    "cleartext",
    "crypt",
    "firescrypt",
    "hmac",
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha512",
    "ldap",
    "md4",
    "md5",
    "md5crypt",
    "pbkdf2",
    "pbkdf2-sha1",
    "pbkdf2_sha1",
    "pbkdf2_sha256",
    "pbkdf2-sha384",
    "pbkdf2_sha512",
    "sasl",
    "scrypt",
    "sha",
    "sha1",
    "sha1-crypt",
    "sha256",
    "sha256crypt",
    "sha384",
    "sha512",
    "sha512crypt",
    "smd5",
    "ssha",
    "ssha256",
    "ssha384",
    "ssha512",
    "y",
];

/// Accepts a hash that the server would accept.
pub(super) fn check(text: &str) -> SignIn {
    match ImportedHash::parse(text) {
        Ok(_) => SignIn::Hash(Secret::new(text)),
        Err(why) => SignIn::Unset(reason(text, why)),
    }
}

/// The reason for a scheme that was recognized without a hash in muster's form.
pub(super) fn unsupported(scheme: &str) -> SignIn {
    let known = SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    SignIn::Unset(if known {
        format!("muster does not support `{scheme}` hashes")
    } else {
        "muster does not support its kind of hash".to_owned()
    })
}

/// The reason for a password in plain text.
pub(super) fn plain_text() -> SignIn {
    SignIn::Unset("the export has it in plain text, which is not used".to_owned())
}

fn reason(text: &str, why: InvalidHash) -> String {
    if why == InvalidHash::UnknownScheme
        && let Some(scheme) = scheme(text)
    {
        return format!("muster does not support `{scheme}` hashes");
    }
    format!("the hash can't be imported: {}", why.message())
}

/// The start of a hash with the name of a known scheme: `{SSHA}` or `$md5$`.
fn scheme(text: &str) -> Option<&str> {
    let end = match text.strip_prefix('{') {
        Some(rest) => rest.find('}')?,
        None => text.strip_prefix('$')?.find('$')?,
    };
    let name = text.get(1..=end)?;
    SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(text.get(..end + 2)?)
}

/// Removes the padding of the salt and of the hash proper: PHC strings use base64 without it.
pub(super) fn without_padding(text: &str) -> String {
    let fields: Vec<&str> = text.split('$').map(|field| field.trim_end_matches('=')).collect();
    fields.join("$")
}
