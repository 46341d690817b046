//! An identity provider of an organization: its settings, and what they may be.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::oidc::discovery::Metadata;
use super::oidc::issuer::{self, Transport};
use super::oidc::token_response::Authentication;
use crate::config;
use crate::names::names;
use crate::users::{EmailAddress, Line};

names! {
    /// How a provider vouches for an address.
    #[derive(clap::ValueEnum, sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    #[clap(rename_all = "snake_case")]
    pub enum EmailProof {
        /// The claim `email_verified` is `true`.
        EmailVerified = "email_verified",
        /// The claim `xms_edov` is `true` (Microsoft Entra ID: the owner of the domain has confirmed it).
        XmsEdov = "xms_edov",
        /// All addresses of this issuer are those of their people.
        Issuer = "issuer",
    }
}

names! {
    /// How muster authenticates to the token endpoint.
    #[derive(clap::ValueEnum, sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum TokenAuth {
        /// As the provider's metadata say.
        Auto = "auto",
        /// The client's ID and secret in the header `Authorization`.
        Basic = "basic",
        /// The client's ID and secret in the body.
        Post = "post",
        /// Without a secret: a public client.
        None = "none",
    }
}

names! {
    /// A product whose settings are known.
    #[derive(clap::ValueEnum)]
    pub enum Preset {
        /// Microsoft Entra ID (Azure AD).
        Entra = "entra",
        /// Google Workspace.
        Google = "google",
        /// Okta.
        Okta = "okta",
        /// Keycloak.
        Keycloak = "keycloak",
    }
}

/// The maximum length of a name, in characters.
const LONGEST_NAME: usize = 32;

/// The name of a provider, part of its redirect URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderName(String);

impl FromStr for ProviderName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(is_plain) {
            return Err(format!("a provider's name has 1 to {LONGEST_NAME} lower-case letters, digits and `-`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl ProviderName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The settings of a provider, except for its name and its secrets.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[expect(missing_docs, reason = "the help of `muster sso provider add` explains each setting")]
pub struct ProviderSettings {
    pub title: String,
    pub issuer: String,
    pub client_id: String,
    #[serde(serialize_with = "as_name")]
    pub token_auth: TokenAuth,
    pub scopes: String,
    pub domains: Vec<String>,
    pub subject_claim: String,
    pub email_claim: String,
    #[serde(serialize_with = "as_proof")]
    pub email_proof: EmailProof,
    pub required_claims: Map<String, Value>,
    pub creates: bool,
    pub max_age: Option<u32>,
    pub logout: bool,
    pub enabled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn as_name<S: serde::Serializer>(value: &TokenAuth, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn as_proof<S: serde::Serializer>(value: &EmailProof, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

/// The longest text of a setting, in bytes.
const LONGEST_TEXT: usize = 255;

/// The largest `max_age`, in seconds: a year.
const LARGEST_MAX_AGE: u32 = 365 * 86_400;

impl ProviderSettings {
    /// The settings of a provider that follows the specification.
    #[must_use]
    pub fn new(title: &str, issuer: &str, client_id: &str) -> Self {
        Self {
            title: title.to_owned(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            token_auth: TokenAuth::Auto,
            scopes: "openid email profile".to_owned(),
            domains: Vec::new(),
            subject_claim: "sub".to_owned(),
            email_claim: "email".to_owned(),
            email_proof: EmailProof::EmailVerified,
            required_claims: Map::new(),
            creates: false,
            max_age: None,
            logout: false,
            enabled: true,
        }
    }

    /// Applies what is known about a product. Domains come first: Google's required claim is one of them.
    ///
    /// # Errors
    /// If the product needs something that is missing.
    pub fn apply(&mut self, preset: Preset) -> Result<(), String> {
        match preset {
            Preset::Entra => {
                // https://login.microsoftonline.com/<tenant id>/v2.0
                let tenant = self.issuer.strip_suffix("/v2.0").and_then(|rest| rest.rsplit('/').next());
                let tenant = tenant.filter(|tenant| uuid::Uuid::parse_str(tenant).is_ok()).ok_or_else(|| {
                    "the issuer of Entra ID is https://login.microsoftonline.com/TENANT_ID/v2.0, with the ID of your tenant".to_owned()
                })?;
                self.required_claims.insert("tid".to_owned(), Value::String(tenant.to_owned()));
                "oid".clone_into(&mut self.subject_claim);
                "preferred_username".clone_into(&mut self.email_claim);
                self.email_proof = EmailProof::XmsEdov;
            }
            Preset::Google => {
                let [domain] = self.domains.as_slice() else {
                    return Err(
                        "Google: name one domain of your organization; make a provider for each other one".to_owned()
                    );
                };
                self.required_claims.insert("hd".to_owned(), Value::String(domain.clone()));
                self.logout = false;
            }
            Preset::Okta | Preset::Keycloak => {}
        }
        Ok(())
    }

    /// Checks the settings, and brings the domains into the form of keys.
    ///
    /// # Errors
    /// What is wrong, all at once.
    pub(crate) fn check(&mut self, transport: Transport) -> Result<(), String> {
        let mut wrong = Vec::new();
        if Line::parse(self.title.clone()).is_err() || self.title.trim().is_empty() {
            wrong.push("the title must be one line with 1 to 255 characters".to_owned());
        }
        wrong.extend(issuer::check(&self.issuer, transport).err());
        let is_text =
            |text: &str| !text.is_empty() && text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
        for (name, text) in
            [("client ID", &self.client_id), ("subject claim", &self.subject_claim), ("email claim", &self.email_claim)]
        {
            if !is_text(text) {
                wrong.push(format!("the {name} must have 1 to {LONGEST_TEXT} bytes"));
            }
        }
        let is_scope = |scope: &str| {
            !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
        };
        if !is_text(&self.scopes)
            || !self.scopes.split(' ').all(is_scope)
            || !self.scopes.split(' ').any(|scope| scope == "openid")
        {
            wrong.push("the scopes must be words with a space between them, and contain `openid`".to_owned());
        }
        let mut domains = BTreeSet::new();
        for domain in &self.domains {
            match EmailAddress::domain_key(domain) {
                Some(key) => {
                    domains.insert(key);
                }
                None => wrong.push(format!("`{}` is not a domain of addresses", domain.escape_debug())),
            }
        }
        self.domains = domains.into_iter().collect();
        if self.creates && self.domains.is_empty() {
            wrong.push("creating accounts needs at least one domain".to_owned());
        }
        if self.max_age.is_some_and(|max_age| max_age > LARGEST_MAX_AGE) {
            wrong.push(format!("the maximum age must be 0 to {LARGEST_MAX_AGE} seconds"));
        }
        let is_plain = |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
        if self.required_claims.len() > 10
            || !self.required_claims.iter().all(|(name, value)| is_text(name) && is_plain(value))
        {
            wrong.push("at most 10 claims can be required, each with a text, a number, `true` or `false`".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// How to authenticate to this provider's token endpoint.
    pub(crate) fn authentication(&self, metadata: &Metadata, has_secret: bool) -> Authentication {
        let offers = |name: &str| metadata.token_auth_methods.iter().any(|method| method == name);
        match self.token_auth {
            TokenAuth::Basic => Authentication::Basic,
            TokenAuth::Post => Authentication::Post,
            TokenAuth::None => Authentication::None,
            TokenAuth::Auto if !has_secret => Authentication::None,
            TokenAuth::Auto if offers("client_secret_post") && !offers("client_secret_basic") => Authentication::Post,
            TokenAuth::Auto => Authentication::Basic,
        }
    }
}

/// The URL with which redirect URIs begin, without a slash at its end: `server.public_url`, else that at which the server listens, if
/// only this machine can open it. A server that others reach has another address for them.
#[must_use]
pub fn base_url(server: &config::Server) -> Option<&str> {
    match server.public_url.trim_end_matches('/') {
        "" => Some(server.listening_url.as_str()).filter(|url| issuer::is_loopback(url)),
        url => Some(url),
    }
}

/// The redirect URI of a provider: each has its own, so that the responses of providers can't be confused (RFC 9700, section 4.4).
#[must_use]
pub fn redirect_uri(base_url: &str, organization: &str, provider: &str) -> String {
    format!("{base_url}/sso/{organization}/{provider}/callback")
}

/// The address to which a provider sends people after it has signed them out.
pub(super) fn post_logout_redirect_uri(base_url: &str) -> String {
    format!("{base_url}/sign-in")
}
