//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.6).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::id_token::{Expected, LEEWAY, check_parties, identifier, text};
use super::jws::{self, InvalidToken};
use super::keys::KeySet;
use crate::sso::denial::Denial;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How old a logout token may be, in seconds. The specification recommends two minutes for `exp`.
const MAX_AGE: f64 = 600.0;

/// A valid logout token: the sessions to end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    /// The ID of the token, which is accepted once.
    pub(crate) id: String,
    /// The provider's session.
    pub(crate) session: Option<String>,
    /// The person: the claim that identifies people, or `sub`.
    pub(crate) subject: Option<String>,
}

impl LogoutToken {
    /// Verifies a token. Of `expected`, the parties, the time, the algorithms and the subject's claim are used.
    pub(crate) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Self, InvalidToken> {
        // Earlier versions of Keycloak and others send `JWT`. `events` tells the token from others.
        let types = ["logout+jwt", "application/logout+jwt", "JWT"];
        let claims = jws::verify(token, keys, expected.algorithms, &types)?.claims;
        check(&claims, expected).map_err(|denial| InvalidToken::Rejected(denial.detail.into_owned()))
    }
}

fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<LogoutToken, Denial> {
    check_parties(claims, expected)?;
    if claims.contains_key("nonce") {
        return Err(Denial::bad_token("`nonce` is not allowed: this is an ID token"));
    }
    let is_event = claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object);
    if !is_event {
        return Err(Denial::bad_token("`events` is missing or is not that of a logout"));
    }
    let now = expected.now.signed_duration_since(DateTime::<Utc>::UNIX_EPOCH).as_seconds_f64();
    let time = |name: &str| {
        let value = claims.get(name).and_then(Value::as_f64).filter(|time| time.is_finite());
        value.ok_or_else(|| Denial::bad_token(format!("`{name}` is missing or not a number")))
    };
    let (issued, expires) = (time("iat")?, time("exp")?);
    if issued > now + LEEWAY || issued < now - MAX_AGE || expires <= now - LEEWAY {
        return Err(Denial::bad_token("`iat` or `exp`: expired or not valid yet"));
    }
    let id = identifier(claims, "jti")?;
    let session = claims.get("sid").map(|_| identifier(claims, "sid")).transpose()?;
    let subject = match claims.get("sub") {
        None => None,
        Some(_) => Some(identifier(claims, "sub")?),
    };
    // A provider that identifies people by another claim has it here, too, or only the session.
    let subject = match expected.subject_claim {
        "sub" => subject,
        other => text(claims, other).map(str::to_owned),
    };
    if session.is_none() && subject.is_none() {
        return Err(Denial::bad_token("neither `sid` nor the person is named"));
    }
    Ok(LogoutToken { id, session, subject })
}
