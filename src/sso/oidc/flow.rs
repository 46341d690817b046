//! The authorization request.

use reqwest::Url;
use ring::digest::{SHA256, digest};

use super::discovery::Metadata;
use super::token_response::base64url;

/// The number of characters of the state's digest in the name of its cookie.
const COOKIE_NAME: usize = 12;

/// The random values of one sign-in, 256 bits each.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Connects the response with the browser that began.
    pub(crate) state: String,
    /// Connects the ID token with the request.
    pub(crate) nonce: String,
    /// Connects the token request with the authorization request (PKCE, RFC 7636).
    pub(crate) verifier: String,
}

/// What the authorization request of a provider contains, apart from the random values.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) scopes: &'a str,
    pub(crate) login_hint: Option<&'a str>,
    pub(crate) max_age: Option<u32>,
    /// What the provider asks the person for, even with a session there (Core 1.0, section 3.1.2.1).
    pub(crate) prompt: Option<&'a str>,
}

impl Flow {
    pub(crate) fn generate() -> Self {
        let random = || base64url(&rand::random::<[u8; 32]>());
        Self { state: random(), nonce: random(), verifier: random() }
    }

    /// The address to which the browser is sent.
    pub(crate) fn authorization_url(&self, metadata: &Metadata, request: &Request<'_>) -> Url {
        let mut url = metadata.authorization_endpoint.clone();
        {
            // Keeps what is in the query already.
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", request.client_id)
                .append_pair("redirect_uri", request.redirect_uri)
                .append_pair("scope", request.scopes)
                .append_pair("state", &self.state)
                .append_pair("nonce", &self.nonce)
                .append_pair("code_challenge", &base64url(digest(&SHA256, self.verifier.as_bytes()).as_ref()))
                .append_pair("code_challenge_method", "S256");
            if let Some(hint) = request.login_hint {
                query.append_pair("login_hint", hint);
            }
            if let Some(max_age) = request.max_age {
                query.append_pair("max_age", &max_age.to_string());
            }
            if let Some(prompt) = request.prompt {
                query.append_pair("prompt", prompt);
            }
        }
        url
    }
}

/// The part of a cookie's name that tells the sign-ins of several tabs apart.
pub(crate) fn cookie_suffix(state: &str) -> String {
    base64url(digest(&SHA256, state.as_bytes()).as_ref()).chars().take(COOKIE_NAME).collect()
}
