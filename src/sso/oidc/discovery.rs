//! The metadata of a provider.

use jsonwebtoken::Algorithm;
use reqwest::Url;
use serde_json::Value;

use super::issuer::Transport;
use crate::sso::denial::quote;

/// The signature algorithms that muster accepts.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What muster needs of a provider's metadata.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    /// The algorithms of ID tokens that both the provider and muster support.
    pub(crate) algorithms: Vec<Algorithm>,
    /// How the provider accepts the client's secret.
    pub(crate) token_auth_methods: Vec<String>,
    /// Whether authorization responses have the parameter `iss` (RFC 9207).
    pub(crate) has_iss_parameter: bool,
}

impl Metadata {
    /// Reads the metadata of `issuer`.
    ///
    /// # Errors
    /// What is wrong, for people who configure the provider.
    pub(crate) fn parse(issuer: &str, transport: Transport, body: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(body).map_err(|_| "the metadata are not JSON".to_owned())?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let texts = |name: &str| {
            let values = document.get(name)?.as_array()?;
            Some(values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
        };
        let found = text("issuer").ok_or("the metadata have no `issuer`")?;
        if found != issuer {
            return Err(format!(
                "the issuer is set to {}, but the provider calls itself {}; set exactly the latter if it is your provider",
                quote(issuer),
                quote(found)
            ));
        }
        let optional = |name: &str| match text(name) {
            None => Ok(None),
            Some(url) => transport.parse(url).map(Some).map_err(|why| format!("`{name}` {}: {why}", quote(url))),
        };
        let required = |name: &str| optional(name)?.ok_or_else(|| format!("the metadata have no `{name}`"));
        if let Some(types) = texts("response_types_supported")
            && !types.iter().any(|supported| supported == "code")
        {
            return Err("the provider does not support the code flow (`response_types_supported`)".to_owned());
        }
        // RS256 is what every provider must support (Core 1.0, section 15.1).
        let offered = texts("id_token_signing_alg_values_supported").unwrap_or_else(|| vec!["RS256".to_owned()]);
        let algorithms: Vec<Algorithm> = ALGORITHMS
            .iter()
            .filter(|(name, _)| offered.iter().any(|offer| offer == name))
            .map(|(_, known)| *known)
            .collect();
        if algorithms.is_empty() {
            return Err("the provider offers no signature algorithm that muster accepts; muster accepts RS256 to RS512, PS256 to \
                        PS512, ES256, ES384 and EdDSA"
                .to_owned());
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            userinfo_endpoint: optional("userinfo_endpoint")?,
            end_session_endpoint: optional("end_session_endpoint")?,
            algorithms,
            // The default of RFC 8414, section 2.
            token_auth_methods: texts("token_endpoint_auth_methods_supported")
                .unwrap_or_else(|| vec!["client_secret_basic".to_owned()]),
            has_iss_parameter: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}
