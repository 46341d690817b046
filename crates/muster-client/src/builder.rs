//! Builder for a client: URL of the server, token, TLS, timeouts and retries.
//!
//! # Decisions
//!
//! TLS is configured here rather than by reqwest, which would use the process-wide rustls provider and panic if none is
//! installed. A library should neither panic nor install a provider for the whole process.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use secrecy::{ExposeSecret, SecretString};

use crate::base::Base;
use crate::http::Http;
use crate::{Client, Error, RetryReason};

/// Shorter than the idle timeout of actix, 5 seconds: a write without an idempotency key is not retried, so it must not be
/// sent on a connection that the server is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A builder for [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    host: String,
    token: SecretString,
    certificates: Vec<u8>,
    connect_timeout: Duration,
    read_timeout: Duration,
    retry_for: Duration,
    follow_for: Duration,
    on_retry: Option<Arc<dyn Fn(RetryReason) + Send + Sync>>,
}

impl ClientBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self {
            host,
            token: SecretString::default(),
            certificates: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(60),
            follow_for: Duration::from_secs(5 * 60),
            on_retry: None,
        }
    }

    /// Reads URL and token from variables; see [`Client::from_env`].
    pub(crate) fn from_variables(lookup: impl Fn(&str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let first_of = |first: &str, second: &str| match lookup(first)? {
            Some(value) => Ok(Some(value)),
            None => lookup(second),
        };
        let host = first_of("MUSTER_HOST", "ANYSCALE_HOST")?;
        let token = first_of("MUSTER_TOKEN", "ANYSCALE_CLI_TOKEN")?;
        let host_missing = "`MUSTER_HOST` (or `ANYSCALE_HOST`) to the URL of the server";
        let token_missing = "`MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key";
        match (host, token) {
            (Some(host), Some(token)) => Ok(Self::new(host).token(token)),
            (None, Some(_)) => Err(Error::Config(format!("set {host_missing}"))),
            (Some(_), None) => Err(Error::Config(format!("set {token_missing}"))),
            (None, None) => Err(Error::Config(format!("set {host_missing} and {token_missing}"))),
        }
    }

    /// Sets the API key. Required for [`build`](Self::build).
    #[must_use]
    pub fn token(self, token: impl Into<SecretString>) -> Self {
        Self { token: token.into(), ..self }
    }

    /// Adds trusted certificate authorities to those of the system: one or more PEM certificates.
    #[must_use]
    pub fn trust_certificates(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { certificates: pem.into(), ..self }
    }

    /// Sets the timeout for connecting. Default: 10 seconds.
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: limit, ..self }
    }

    /// Sets the total timeout of a read request. Default: 30 seconds. Creating a batch has no timeout, because the server
    /// may hash passwords for minutes.
    #[must_use]
    pub fn read_timeout(self, limit: Duration) -> Self {
        Self { read_timeout: limit, ..self }
    }

    /// Sets how long a batch is retried while the connection fails or the server is overloaded. Default: 60 seconds; zero
    /// disables retries. The time starts with the first failure, and restarts when the server reports that the batch is in
    /// progress.
    #[must_use]
    pub fn retry_for(self, limit: Duration) -> Self {
        Self { retry_for: limit, ..self }
    }

    /// Sets how long an accepted batch is polled while the server does not respond or refuses connections, for example
    /// during a restart. Default: 5 minutes. The time starts with the first failure and resets with the next response.
    #[must_use]
    pub fn follow_for(self, limit: Duration) -> Self {
        Self { follow_for: limit, ..self }
    }

    /// Sets a callback that is called before each retry. [`BatchRequest::create`](crate::BatchRequest::create) reports
    /// retries as events instead.
    #[must_use]
    pub fn on_retry(self, callback: impl Fn(RetryReason) + Send + Sync + 'static) -> Self {
        Self { on_retry: Some(Arc::new(callback)), ..self }
    }

    /// Builds the client. Does not connect.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid URL, a missing or malformed token, or invalid certificates.
    pub fn build(self) -> Result<Client, Error> {
        let authorization = bearer(&self.token)?;
        self.build_with(Some(authorization))
    }

    /// Builds a client without an API key, for [`Client::start_login`], [`Client::fetch_login`] and
    /// [`Client::accept_invitation`]. The server rejects all other requests.
    ///
    /// # Errors
    /// The same as [`build`](Self::build).
    pub fn build_without_token(self) -> Result<Client, Error> {
        self.build_with(None)
    }

    fn build_with(self, authorization: Option<HeaderValue>) -> Result<Client, Error> {
        let base = Base::parse(&self.host)?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("muster-client/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .tls_backend_preconfigured(tls(&base, &self.certificates)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT);
        if base.is_loopback() {
            builder = builder.no_proxy();
        }
        let client =
            builder.build().map_err(|error| Error::Config(format!("failed to build the HTTP client: {error}")))?;
        let Self { read_timeout, retry_for, follow_for, on_retry, .. } = self;
        Ok(Client::new_with(Http { client, base, read_timeout, retry_for, follow_for, on_retry }))
    }
}

/// The `Authorization` header, marked as sensitive.
fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let token = token.expose_secret();
    if token.is_empty() {
        return Err(Error::Config("the token is missing".to_owned()));
    }
    let invalid = || Error::Config("the token contains spaces, line breaks or other invalid characters".to_owned());
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| invalid())?;
    value.set_sensitive(true);
    Ok(value)
}

/// TLS that trusts the certificate authorities of the system and `pem`.
///
/// A system without certificate authorities, such as a minimal container, is an error for `https` only. They are not
/// loaded for `http` to a loopback address.
fn tls(base: &Base, pem: &[u8]) -> Result<ClientConfig, Error> {
    let fail = |error: &dyn std::fmt::Display| Error::Config(format!("failed to configure TLS: {error}"));
    let extra = certificates(pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(&error))?;
    let no_roots = || config.clone().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    if base.is_loopback() && !base.is_https() {
        return Ok(no_roots());
    }
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        }
        Err(_) if !base.is_https() => Ok(no_roots()),
        Err(error) => Err(fail(&error)),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Config(format!("invalid certificates to trust: {error}")))?;
    if found.is_empty() && !pem.is_empty() {
        return Err(Error::Config("invalid certificates to trust: no PEM certificate found".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: ClientBuilder) -> String {
        builder.build().err().unwrap().to_string()
    }

    fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, Error> {
        ClientBuilder::from_variables(|name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn an_invalid_token_is_rejected_without_repeating_it() {
        assert_eq!(error(ClientBuilder::new("h".to_owned())), "the token is missing");
        for token in ["amk_1\n", " amk_1", "amk 1", "ämk_1"] {
            assert_eq!(
                error(ClientBuilder::new("h".to_owned()).token(token)),
                "the token contains spaces, line breaks or other invalid characters"
            );
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_token() {
        let value = bearer(&"amk_secret".into()).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer amk_secret");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let client = Client::new("https://h/x/", "amk_secret").unwrap();
        assert_eq!(format!("{client:?}"), r#"Client { host: "https://h/x", .. }"#);
    }

    #[test]
    fn variables_of_muster_take_precedence() {
        let both = [("MUSTER_HOST", "m"), ("ANYSCALE_HOST", "a"), ("MUSTER_TOKEN", "mt"), ("ANYSCALE_CLI_TOKEN", "at")];
        let builder = from(&both).ok().unwrap();
        assert_eq!((builder.host.as_str(), builder.token.expose_secret()), ("m", "mt"));
        let builder = from(&[both[1], both[3]]).ok().unwrap();
        assert_eq!((builder.host.as_str(), builder.token.expose_secret()), ("a", "at"));
    }

    #[test]
    fn missing_variables_are_named() {
        let missing = |variables| from(variables).err().unwrap().to_string();
        assert_eq!(
            missing(&[("MUSTER_TOKEN", "t")]),
            "set `MUSTER_HOST` (or `ANYSCALE_HOST`) to the URL of the server"
        );
        assert_eq!(missing(&[("MUSTER_HOST", "h")]), "set `MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key");
        assert_eq!(
            missing(&[]),
            "set `MUSTER_HOST` (or `ANYSCALE_HOST`) to the URL of the server and `MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key"
        );
    }

    #[test]
    fn text_without_a_certificate_is_rejected() {
        let builder = Client::builder("https://h").token("t").trust_certificates("no certificate here");
        assert_eq!(error(builder), "invalid certificates to trust: no PEM certificate found");
    }
}
