//! ID tokens: what the provider says about the person who signed in.

use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use ring::digest;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::jws::{self, InvalidToken};
use super::keys::KeySet;
use super::token_response::base64url;
use crate::sso::denial::{Denial, DenialClass, quote};

/// By how many seconds the provider's clock may differ.
pub(super) const LEEWAY: f64 = 60.0;

/// How old a token may be, in seconds: it was made for this sign-in.
const MAX_AGE: f64 = 600.0;

/// The longest identifier of a person, in bytes (Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// What a token must fit.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// Audiences that may stand next to the client.
    pub(crate) extra_audiences: &'a [String],
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) nonce: &'a str,
    pub(crate) access_token: Option<&'a str>,
    pub(crate) now: DateTime<Utc>,
    /// When the person was sent to the provider.
    pub(crate) started_at: DateTime<Utc>,
    /// The `max_age` of the authorization request, in seconds.
    pub(crate) max_age: Option<u32>,
    /// The claim that identifies the person.
    pub(crate) subject_claim: &'a str,
    /// The claim that has the address.
    pub(crate) email_claim: &'a str,
    /// Claims that must have these values.
    pub(crate) required_claims: &'a Map<String, Value>,
}

/// A valid token.
#[derive(Debug)]
pub(crate) struct IdToken {
    /// The value of the claim that identifies the person.
    pub(crate) subject: String,
    /// The claim `sub`.
    pub(crate) sub: String,
    /// The provider's session.
    pub(crate) session: Option<String>,
    pub(crate) claims: Map<String, Value>,
}

/// A token that is not accepted.
#[derive(Debug)]
pub(crate) enum IdTokenError {
    /// The signature fits none of the known keys: the provider may have a new key.
    UnknownKey(String),
    /// Anything else.
    Denied(Denial),
}

impl IdToken {
    /// Verifies a token. The signature is verified before any claim is believed.
    pub(crate) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Self, IdTokenError> {
        let verified = jws::verify(token, keys, expected.algorithms, &["JWT"]).map_err(|error| match error {
            InvalidToken::UnknownKey(why) => IdTokenError::UnknownKey(why),
            InvalidToken::Rejected(why) => IdTokenError::Denied(Denial::bad_token(why)),
        })?;
        check(verified.algorithm, verified.claims, expected).map_err(IdTokenError::Denied)
    }
}

fn check(algorithm: Algorithm, claims: Map<String, Value>, expected: &Expected<'_>) -> Result<IdToken, Denial> {
    check_parties(&claims, expected)?;
    let nonce = text(&claims, "nonce").ok_or_else(|| Denial::bad_token("`nonce` is missing"))?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Denial::bad_token("`nonce` is that of another sign-in"));
    }
    let sub = identifier(&claims, "sub")?;
    let subject = identifier(&claims, expected.subject_claim)?;
    if let Some(hash) = claims.get("at_hash") {
        let fits = expected.access_token.is_some_and(|token| *hash == half_hash(algorithm, token));
        if !fits {
            return Err(Denial::bad_token("`at_hash` does not fit the access token"));
        }
    }
    for (name, value) in expected.required_claims {
        if claims.get(name) != Some(value) {
            let found = claims.get(name).map_or_else(|| "missing".to_owned(), |found| quote(&found.to_string()));
            return Err(Denial::new(
                DenialClass::WrongTenant,
                format!("the claim `{name}` must be {}, but is {found}", quote(&value.to_string())),
            )
            .with_email(text(&claims, expected.email_claim)));
        }
    }
    check_times(&claims, expected)?;
    let session = text(&claims, "sid").filter(|sid| sid.len() <= LONGEST_SUBJECT).map(str::to_owned);
    Ok(IdToken { subject, sub, session, claims })
}

/// The issuer and the audience.
pub(super) fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Denial> {
    if text(claims, "iss") != Some(expected.issuer) {
        let found = claims.get("iss").map_or_else(|| "missing".to_owned(), |found| quote(&found.to_string()));
        return Err(Denial::bad_token(format!("`iss` must be {}, but is {found}", quote(expected.issuer))));
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(list)) => list.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    let is_known =
        |one: &&&str| **one == expected.client_id || expected.extra_audiences.iter().any(|extra| extra == **one);
    if !audience.contains(&expected.client_id) {
        return Err(Denial::bad_token("`aud` does not contain the client"));
    }
    if let Some(other) = audience.iter().find(|one| !is_known(one)) {
        return Err(Denial::bad_token(format!(
            "`aud` contains {}, which is not in `sso.extra_audiences`",
            quote(other)
        )));
    }
    if claims.get("azp").is_some_and(|party| party != expected.client_id) {
        return Err(Denial::bad_token("`azp` is not the client"));
    }
    Ok(())
}

fn check_times(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Denial> {
    let now = seconds(expected.now);
    let (issued, expires) = (required_time(claims, "iat")?, required_time(claims, "exp")?);
    let clock = |detail: String, ahead: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "the difference is rounded, and saturates")]
        let clock_ahead = Some(ahead.round() as i64);
        Err(Denial { clock_ahead, ..Denial::new(DenialClass::Clock, detail) })
    };
    if issued > now + LEEWAY {
        return clock(format!("`iat` is {:.0} s in the future", issued - now), issued - now);
    }
    if issued < now - MAX_AGE {
        return clock(format!("`iat` is {:.0} s in the past", now - issued), issued - now);
    }
    if expires <= now - LEEWAY {
        return clock(format!("`exp` was {:.0} s ago", now - expires), expires - now);
    }
    if let Some(not_before) = time(claims, "nbf")?
        && not_before > now + LEEWAY
    {
        return clock(format!("`nbf` is {:.0} s in the future", not_before - now), not_before - now);
    }
    if let Some(max_age) = expected.max_age {
        let authenticated = required_time(claims, "auth_time")?;
        if authenticated < seconds(expected.started_at) - f64::from(max_age) - LEEWAY {
            return Err(Denial::bad_token("`auth_time`: the provider did not authenticate the person again"));
        }
        if authenticated > now + LEEWAY {
            return Err(Denial::bad_token("`auth_time` is in the future"));
        }
    }
    Ok(())
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.signed_duration_since(DateTime::UNIX_EPOCH).as_seconds_f64()
}

pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A time in seconds since 1970, which may have a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Denial> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(Denial::bad_token(format!("`{name}` is not a number"))),
        },
    }
}

fn required_time(claims: &Map<String, Value>, name: &str) -> Result<f64, Denial> {
    time(claims, name)?.ok_or_else(|| Denial::bad_token(format!("`{name}` is missing")))
}

/// A claim that identifies a person.
pub(super) fn identifier(claims: &Map<String, Value>, name: &str) -> Result<String, Denial> {
    let value = text(claims, name).ok_or_else(|| Denial::bad_token(format!("`{name}` is missing or not text")))?;
    // PostgreSQL stores no NUL.
    if value.is_empty() || value.len() > LONGEST_SUBJECT || value.contains('\0') {
        return Err(Denial::bad_token(format!("`{name}` must have 1 to {LONGEST_SUBJECT} bytes")));
    }
    Ok(value.to_owned())
}

/// The left half of the hash of an access token (Core 1.0, section 3.1.3.6).
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let digest = digest::digest(hash, token.as_bytes());
    let (half, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    base64url(half)
}

/// The JSON value `true`, and nothing that resembles it.
pub(crate) fn is_true(claims: &Map<String, Value>, name: &str) -> bool {
    claims.get(name) == Some(&Value::Bool(true))
}
