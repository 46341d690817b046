//! The userinfo response.

use serde_json::{Map, Value};

use super::id_token::text;
use crate::sso::denial::{Denial, quote};

/// Reads the claims of a userinfo response about the person with this `sub`.
///
/// # Errors
/// If it is signed or encrypted, not JSON, or about another person.
pub(crate) fn parse(sub: &str, content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Denial> {
    if content_type.to_ascii_lowercase().starts_with("application/jwt") {
        return Err(Denial::bad_token("userinfo is a token (JWT); only JSON is supported"));
    }
    let claims: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Denial::bad_token("userinfo is not a JSON object"))?;
    match text(&claims, "sub") {
        Some(found) if found == sub => Ok(claims),
        found => Err(Denial::bad_token(format!(
            "userinfo is about another person: `sub` is {} instead of {}",
            quote(found.unwrap_or("missing")),
            quote(sub)
        ))),
    }
}
