//! Signed tokens in the compact form (JWS).

use std::collections::HashSet;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use super::keys::KeySet;
use super::signature;
use crate::sso::denial::quote;

/// The longest token, in bytes.
pub(super) const LONGEST_TOKEN: usize = 64 * 1024;

/// A verified token.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) algorithm: Algorithm,
    pub(super) claims: Map<String, Value>,
}

/// A token that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidToken {
    /// None of the known keys made the signature: the provider may have a new key.
    UnknownKey(String),
    /// Anything else.
    Rejected(String),
}

/// Verifies a token's form and signature. Nothing in the header but the algorithm and the key ID has an influence, and those
/// only select among what the provider's metadata and keys allow.
pub(super) fn verify(
    token: &str,
    keys: &KeySet,
    algorithms: &[Algorithm],
    types: &[&str],
) -> Result<Verified, InvalidToken> {
    let rejected = |why: String| Err(InvalidToken::Rejected(why));
    if token.len() > LONGEST_TOKEN {
        return rejected("the token is too long".to_owned());
    }
    match token.split('.').count() {
        3 => {}
        5 => return rejected("the token is encrypted (JWE)".to_owned()),
        _ => return rejected("the token is not a compact JWS".to_owned()),
    }
    let header = match jsonwebtoken::decode_header(token) {
        Ok(header) => header,
        Err(error) => {
            return rejected(format!("invalid header or unsupported algorithm: {}", quote(&error.to_string())));
        }
    };
    if !algorithms.contains(&header.alg) {
        return rejected(format!("the algorithm {:?} is not allowed", header.alg));
    }
    if header.typ.as_ref().is_some_and(|typ| !types.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
        return rejected(format!("the token has the type {}", quote(header.typ.as_deref().unwrap_or_default())));
    }
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return rejected("the header has `crit`, `enc` or `zip`".to_owned());
    }
    decode(token, &header, keys)
}

fn decode(token: &str, header: &Header, keys: &KeySet) -> Result<Verified, InvalidToken> {
    signature::install();
    // Only the signature; muster checks the claims.
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims = HashSet::new();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    for key in keys.candidates(header.alg, header.kid.as_deref()) {
        match jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation) {
            Ok(decoded) => return Ok(Verified { algorithm: header.alg, claims: decoded.claims }),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
            Err(error) => return Err(InvalidToken::Rejected(format!("invalid token: {}", quote(&error.to_string())))),
        }
    }
    let key =
        header.kid.as_deref().map_or_else(|| "without a key ID".to_owned(), |id| format!("with key ID {}", quote(id)));
    Err(InvalidToken::UnknownKey(format!("no key of the provider made the {:?} signature {key}", header.alg)))
}
