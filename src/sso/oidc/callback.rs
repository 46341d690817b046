//! The authorization response: the query with which the browser comes back.

use std::collections::HashMap;

use reqwest::Url;

use super::discovery::Metadata;
use crate::sso::denial::{Denial, DenialClass, quote};

/// The longest code and the longest state, in bytes.
const LONGEST_VALUE: usize = 2048;

/// The errors of a provider that have a name (RFC 6749, section 4.1.2.1; Core 1.0, section 3.1.2.6).
const ERRORS: [&str; 17] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
];

/// A response that is well-formed, and not believed yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Callback {
    pub(crate) state: String,
    pub(crate) issuer: Option<String>,
    /// The code, or the error.
    pub(crate) outcome: Result<String, Denial>,
}

impl Callback {
    /// Reads the query.
    ///
    /// # Errors
    /// `sso_bad_state` if a parameter is missing, repeated or too long.
    pub(crate) fn parse(query: &str) -> Result<Self, Denial> {
        let mut parameters = HashMap::new();
        // The query only: fragments don't arrive.
        let parsed = Url::parse(&format!("http://localhost/?{}", query.replace('#', "%23")))
            .map_err(|_| Denial::bad_state("the query is malformed"))?;
        for (name, value) in parsed.query_pairs() {
            if value.len() > LONGEST_VALUE {
                return Err(Denial::bad_state(format!("the parameter {} is too long", quote(&name))));
            }
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Denial::bad_state(format!("the parameter {} is repeated", quote(&name))));
            }
        }
        let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
        let state = take("state").ok_or_else(|| Denial::bad_state("there is no `state`"))?;
        let outcome = match (take("code"), take("error")) {
            (Some(code), None) => Ok(code),
            (None, Some(error)) => Err(denial(&error, take("error_description").as_deref())),
            (Some(_), Some(_)) => return Err(Denial::bad_state("there are both `code` and `error`")),
            (None, None) => return Err(Denial::bad_state("there is neither `code` nor `error`")),
        };
        Ok(Self { state, issuer: take("iss"), outcome })
    }

    /// Checks that the response is from the provider that was asked (RFC 9207).
    ///
    /// # Errors
    /// `sso_provider_error`.
    pub(crate) fn check_issuer(&self, metadata: &Metadata) -> Result<(), Denial> {
        match &self.issuer {
            Some(issuer) if *issuer == metadata.issuer => Ok(()),
            Some(issuer) => {
                let detail =
                    format!("the response is from the issuer {} instead of {}", quote(issuer), quote(&metadata.issuer));
                Err(Denial::new(DenialClass::ProviderError, detail))
            }
            None if metadata.has_iss_parameter => {
                Err(Denial::new(DenialClass::ProviderError, "the response has no `iss`"))
            }
            None => Ok(()),
        }
    }
}

fn denial(error: &str, description: Option<&str>) -> Denial {
    let class = if error == "access_denied" { DenialClass::Denied } else { DenialClass::ProviderError };
    let name = if ERRORS.contains(&error) { error.to_owned() } else { format!("unknown error {}", quote(error)) };
    let description = description.map_or_else(String::new, |text| format!(": {}", quote(text)));
    Denial::new(class, format!("the provider answered {name}{description}"))
}
