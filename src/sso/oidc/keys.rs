//! The keys of a provider (JWK Set).
//!
//! # Decisions
//!
//! *A key that muster can't use is skipped*, whatever is wrong with it: providers list keys for encryption, of new types, and
//! sometimes broken ones, next to the key that signs.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// The maximum number of keys that are read.
const MAX_KEYS: usize = 100;

/// The maximum number of keys that are tried for one token.
const MAX_TRIES: usize = 10;

/// The sizes of an RSA modulus that are accepted, in bytes.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The usable keys of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm of the key; `None` for all that its type allows.
    algorithm: Option<String>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    const fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Some(Self::Rsa),
            Algorithm::ES256 => Some(Self::P256),
            Algorithm::ES384 => Some(Self::P384),
            Algorithm::EdDSA => Some(Self::Ed25519),
            _ => None,
        }
    }
}

impl KeySet {
    /// Reads a JWK Set.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(body).map_err(|_| "the keys are not JSON".to_owned())?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("the keys have no list `keys`")?;
        let mut seen = HashSet::new();
        let usable = keys.iter().take(MAX_KEYS).filter_map(|jwk| {
            let (kind, material, key) = usable(jwk)?;
            let text = |name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
            let id = text("kid");
            seen.insert((id.clone(), kind, material)).then_some(Key { id, algorithm: text("alg"), kind, key })
        });
        Ok(Self(usable.collect()))
    }

    /// The number of usable keys.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token with this algorithm and key ID.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let name = format!("{algorithm:?}");
        let fits = move |key: &&Key| {
            Kind::of(algorithm) == Some(key.kind)
                && key.algorithm.as_ref().is_none_or(|only| *only == name)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        };
        self.0.iter().filter(fits).map(|key| &key.key).take(MAX_TRIES)
    }
}

/// The key in a JWK, with its kind and its bytes; `None` if muster can't use it.
fn usable(jwk: &Value) -> Option<(Kind, Vec<u8>, DecodingKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
    {
        return None;
    }
    // Some providers pad; RFC 7515 does not.
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
    let point = |size: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
    };
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let without_zeros = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
            let (modulus, exponent) = (without_zeros(bytes("n")?), without_zeros(bytes("e")?));
            // 2048 bits: at least 257 bytes, or 256 with the highest bit.
            let is_strong =
                modulus.len() > *MODULUS.start() || (modulus.len() == *MODULUS.start() && modulus.first()? & 0x80 != 0);
            let is_usable = is_strong && modulus.len() <= *MODULUS.end() && !exponent.is_empty();
            let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
            is_usable.then(|| (Kind::Rsa, [modulus, exponent].concat(), key))
        }
        ("EC", Some("P-256")) => point(32).map(|point| (Kind::P256, point.clone(), DecodingKey::from_ec_der(&point))),
        ("EC", Some("P-384")) => point(48).map(|point| (Kind::P384, point.clone(), DecodingKey::from_ec_der(&point))),
        ("OKP", Some("Ed25519")) => {
            let key = bytes("x").filter(|x| x.len() == 32)?;
            Some((Kind::Ed25519, key.clone(), DecodingKey::from_ed_der(&key)))
        }
        _ => None,
    }
}
