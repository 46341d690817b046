//! The token request and its response.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::Value;

use super::jws::LONGEST_TOKEN;
use crate::secret::Secret;
use crate::sso::denial::{Denial, DenialClass, quote};

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How the client authenticates to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// A public client.
    None,
}

/// A token request: the body, and the header `Authorization`.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    pub(crate) body: Secret,
    pub(crate) authorization: Option<Secret>,
}

impl TokenRequest {
    pub(crate) fn new(
        authentication: Authentication,
        client_id: &str,
        secret: Option<&Secret>,
        (code, verifier, redirect_uri): (&str, &str, &str),
    ) -> Self {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let secret = secret.map(Secret::expose).unwrap_or_default();
        let authorization = match authentication {
            // Both parts are encoded as in a form first (RFC 6749, section 2.3.1).
            Authentication::Basic => {
                let credentials = format!("{}:{}", encode(client_id), encode(secret));
                Some(Secret::new(format!("Basic {}", STANDARD.encode(credentials))))
            }
            Authentication::Post => {
                fields.extend([("client_id", client_id), ("client_secret", secret)]);
                None
            }
            Authentication::None => {
                fields.push(("client_id", client_id));
                None
            }
        };
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        Self { body: Secret::new(fields.join("&")), authorization }
    }
}

/// Encodes a value of a form.
fn encode(text: &str) -> String {
    // As `application/x-www-form-urlencoded`, with the encoder of query strings.
    let mut url = Url::parse("http://localhost").ok();
    let encoded = url.as_mut().map(|url| {
        url.query_pairs_mut().append_pair("", text);
        url.query().unwrap_or_default().trim_start_matches('=').to_owned()
    });
    encoded.unwrap_or_default()
}

/// The tokens of a successful response.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    /// For userinfo only; never stored.
    pub(crate) access_token: Option<Secret>,
}

/// What went wrong at the token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The secret is wrong: another one may be right.
    InvalidClient,
    /// Anything else.
    Denied(Denial),
}

impl Tokens {
    /// Reads the response to a token request.
    pub(crate) fn parse(status: u16, body: &[u8]) -> Result<Self, TokenError> {
        let denied = |class, detail: String| Err(TokenError::Denied(Denial::new(class, detail)));
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        if status != 200 {
            return match text("error") {
                Some("invalid_client") => Err(TokenError::InvalidClient),
                Some(error) => {
                    denied(DenialClass::ProviderError, format!("the token endpoint answered {status} {}", quote(error)))
                }
                None if status == 401 => Err(TokenError::InvalidClient),
                None if status >= 500 => {
                    denied(DenialClass::Unreachable, format!("the token endpoint answered {status}"))
                }
                None => denied(DenialClass::ProviderError, format!("the token endpoint answered {status}")),
            };
        }
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
            return denied(DenialClass::BadToken, "`token_type` is not Bearer".to_owned());
        }
        let Some(id_token) = text("id_token").filter(|token| token.len() <= LONGEST_TOKEN) else {
            return denied(DenialClass::BadToken, "there is no `id_token`, or it is too long".to_owned());
        };
        Ok(Self { id_token: id_token.to_owned(), access_token: text("access_token").map(Secret::new) })
    }
}
