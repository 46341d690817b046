//! OpenID Connect, the code flow: everything that can be decided without a network, a database or a clock.
//!
//! | module | contents | specification |
//! |---|---|---|
//! | `issuer` | issuers, and which URLs muster talks to | Discovery 1.0, section 2 |
//! | `discovery` | the provider's metadata | Discovery 1.0, RFC 8414, RFC 9207 |
//! | `keys` | the provider's keys | RFC 7517, RFC 7518, RFC 8037 |
//! | `signature`, `jws` | signed tokens; `ring` verifies | RFC 7515, RFC 8725 |
//! | `id_token`, `userinfo`, `logout_token` | claims | Core 1.0, Back-Channel Logout 1.0 |
//! | `flow`, `callback` | the authorization request and its response | Core 1.0, RFC 7636, RFC 9207, RFC 9700 |
//! | `token_response` | the token request and its response | RFC 6749 |
//!
//! # Decisions
//!
//! *Claims are read one by one from JSON.* A claim that muster does not need can have any type: providers send
//! `email_verified` as text, `auth_time` with a fraction, and lists where the specification has a string.
//!
//! *`jsonwebtoken` parses the token, `ring` verifies the signature*, and muster decides everything else: which algorithms
//! and keys are accepted must not depend on what the token says about itself.

pub(crate) mod callback;
pub(crate) mod discovery;
pub(crate) mod flow;
pub(crate) mod id_token;
pub(crate) mod issuer;
mod jws;
pub(crate) mod keys;
pub(crate) mod logout_token;
mod signature;
#[cfg(test)]
mod tests;
pub(crate) mod token_response;
pub(crate) mod userinfo;

pub(crate) use jws::InvalidToken;
