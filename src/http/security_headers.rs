//! Response headers that limit what a browser does with a response.
//!
//! # Decisions
//!
//! *Every response of a route has the headers that OWASP recommends for APIs*, including errors and health checks. A browser
//! that an attacker lures to such a response runs no script, embeds nothing and sends no referrer. Pages that need other
//! values set them themselves.
//!
//! *`Strict-Transport-Security` is sent only over HTTPS*, to muster itself or to a trusted proxy (RFC 6797, section 7.2).
//!
//! *CORS is closed*: no response has a CORS header, and OPTIONS is a method that no route allows.

use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Two years, as recommended for the HSTS preload lists of browsers.
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// Adds the headers that the response does not set itself.
pub(super) fn add(response: &mut HeaderMap, is_https: bool) {
    for (name, value) in HEADERS.into_iter().chain(is_https.then_some((STRICT_TRANSPORT_SECURITY, HSTS))) {
        if !response.contains_key(&name) {
            response.insert(name, HeaderValue::from_static(value));
        }
    }
}
