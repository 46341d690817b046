//! Making a client: the server's address, the token, and how connections are made.
//!
//! # Decisions
//!
//! TLS is set up here and handed to reqwest whole. reqwest alone would take the process-wide
//! rustls provider and panic where none is installed; a library should neither panic nor
//! install one for everybody.

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
use crate::{Client, Error, Trouble};

/// Shorter than the 5 seconds after which actix closes an idle connection: a write without a key is
/// never repeated, so it must not go out on a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How a [`Client`] is made.
#[derive(Clone)]
pub struct ClientBuilder {
    host: String,
    token: SecretString,
    certificates: Vec<u8>,
    connect_timeout: Duration,
    read_timeout: Duration,
    retry_for: Duration,
    follow_for: Duration,
    on_trouble: Option<Arc<dyn Fn(Trouble) + Send + Sync>>,
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
            on_trouble: None,
        }
    }

    /// Reads address and token from variables; see [`Client::from_env`].
    pub(crate) fn from_variables(lookup: impl Fn(&str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let first_of = |first: &str, second: &str| match lookup(first)? {
            Some(value) => Ok(Some(value)),
            None => lookup(second),
        };
        let host = first_of("MUSTER_HOST", "ANYSCALE_HOST")?;
        let token = first_of("MUSTER_TOKEN", "ANYSCALE_CLI_TOKEN")?;
        let host_missing = "`MUSTER_HOST` (or `ANYSCALE_HOST`) to the server's address";
        let token_missing = "`MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key";
        match (host, token) {
            (Some(host), Some(token)) => Ok(Self::new(host).token(token)),
            (None, Some(_)) => Err(Error::Config(format!("set {host_missing}"))),
            (Some(_), None) => Err(Error::Config(format!("set {token_missing}"))),
            (None, None) => Err(Error::Config(format!("set {host_missing} and {token_missing}"))),
        }
    }

    /// The API key, sent as `Authorization: Bearer`. Required.
    #[must_use]
    pub fn token(self, token: impl Into<SecretString>) -> Self {
        Self { token: token.into(), ..self }
    }

    /// Certificate authorities to trust besides the machine's own: one or more PEM
    /// certificates, such as the content of a company's CA file.
    #[must_use]
    pub fn trust_certificates(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { certificates: pem.into(), ..self }
    }

    /// How long making a connection may take, for every call; 10 seconds unless set.
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: limit, ..self }
    }

    /// How long one request that only reads may take in all; 30 seconds unless set. Creating
    /// a batch has no limit: the server may hash passwords for minutes.
    #[must_use]
    pub fn read_timeout(self, limit: Duration) -> Self {
        Self { read_timeout: limit, ..self }
    }

    /// For how long a batch is sent again while the connection breaks or the server is busy; 60
    /// seconds unless set, and not at all if it is zero. The time begins with the first failure,
    /// and anew when the server says that it is working at the batch.
    #[must_use]
    pub fn retry_for(self, patience: Duration) -> Self {
        Self { retry_for: patience, ..self }
    }

    /// For how long a batch that the server has taken in is asked after while the server does not
    /// answer, or refuses connections: it may be restarting. 5 minutes unless set. The time begins
    /// with the first failure, and ends with the first answer.
    #[must_use]
    pub fn follow_for(self, patience: Duration) -> Self {
        Self { follow_for: patience, ..self }
    }

    /// Whom to tell, each time, that a request will be repeated after a while: by itself that takes some time in which
    /// nothing is heard. [`BatchRequest::create`](crate::BatchRequest::create) tells by its events instead.
    #[must_use]
    pub fn on_trouble(self, tell: impl Fn(Trouble) + Send + Sync + 'static) -> Self {
        Self { on_trouble: Some(Arc::new(tell)), ..self }
    }

    /// Makes the client. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] when the address is no `http` or `https` address, the token is missing
    /// or has characters that no key has, or certificates can't be read.
    pub fn build(self) -> Result<Client, Error> {
        let authorization = bearer(&self.token)?;
        self.build_with(Some(authorization))
    }

    /// Makes a client that shows no API key: for [`Client::start_login`], [`Client::fetch_login`] and
    /// [`Client::accept_invitation`], which need none. The server refuses it everything else.
    ///
    /// # Errors
    /// As [`build`](Self::build).
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
            builder.build().map_err(|error| Error::Config(format!("the HTTP client can't be set up: {error}")))?;
        let Self { read_timeout, retry_for, follow_for, on_trouble, .. } = self;
        Ok(Client::new_with(Http { client, base, read_timeout, retry_for, follow_for, on_trouble }))
    }
}

/// The header's value, marked so that nothing prints it.
fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let token = token.expose_secret();
    if token.is_empty() {
        return Err(Error::Config("the token is missing".to_owned()));
    }
    let unusable = || Error::Config("the token has blanks, line breaks or other characters that no key has".to_owned());
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What TLS trusts: the machine's certificate authorities and `pem`.
///
/// A machine without any (a minimal container) is an error for `https` only; over `http`
/// nothing is verified, and for loopback they are not even looked for.
fn tls(base: &Base, pem: &[u8]) -> Result<ClientConfig, Error> {
    let fail = |error: &dyn std::fmt::Display| Error::Config(format!("TLS can't be set up: {error}"));
    let extra = certificates(pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(&error))?;
    let nothing = || config.clone().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    if base.is_loopback() && !base.is_https() {
        return Ok(nothing());
    }
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        }
        Err(_) if !base.is_https() => Ok(nothing()),
        Err(error) => Err(fail(&error)),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Config(format!("the certificates to trust can't be read: {error}")))?;
    if found.is_empty() && !pem.is_empty() {
        return Err(Error::Config("the certificates to trust hold no PEM certificate".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: ClientBuilder) -> String {
        builder.build().err().unwrap().to_string()
    }

    fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, Error> {
        ClientBuilder::from_variables(|name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused_without_showing_it() {
        assert_eq!(refusal(ClientBuilder::new("h".to_owned())), "the token is missing");
        for token in ["amk_1\n", " amk_1", "amk 1", "ämk_1"] {
            assert_eq!(
                refusal(ClientBuilder::new("h".to_owned()).token(token)),
                "the token has blanks, line breaks or other characters that no key has"
            );
        }
    }

    #[test]
    fn the_token_is_in_no_debug_output() {
        let value = bearer(&"amk_secret".into()).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer amk_secret");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let client = Client::new("https://h/x/", "amk_secret").unwrap();
        assert_eq!(format!("{client:?}"), r#"Client { host: "https://h/x", .. }"#);
    }

    #[test]
    fn variables_of_muster_win_over_the_vendors() {
        let both = [("MUSTER_HOST", "m"), ("ANYSCALE_HOST", "a"), ("MUSTER_TOKEN", "mt"), ("ANYSCALE_CLI_TOKEN", "at")];
        let builder = from(&both).ok().unwrap();
        assert_eq!((builder.host.as_str(), builder.token.expose_secret()), ("m", "mt"));
        let builder = from(&[both[1], both[3]]).ok().unwrap();
        assert_eq!((builder.host.as_str(), builder.token.expose_secret()), ("a", "at"));
    }

    #[test]
    fn exactly_the_missing_variables_are_named() {
        let missing = |variables| from(variables).err().unwrap().to_string();
        assert_eq!(missing(&[("MUSTER_TOKEN", "t")]), "set `MUSTER_HOST` (or `ANYSCALE_HOST`) to the server's address");
        assert_eq!(missing(&[("MUSTER_HOST", "h")]), "set `MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key");
        assert_eq!(
            missing(&[]),
            "set `MUSTER_HOST` (or `ANYSCALE_HOST`) to the server's address and `MUSTER_TOKEN` (or `ANYSCALE_CLI_TOKEN`) to an API key"
        );
    }

    #[test]
    fn text_that_holds_no_certificate_is_not_trusted_silently() {
        let builder = Client::builder("https://h").token("t").trust_certificates("no certificate here");
        assert_eq!(refusal(builder), "the certificates to trust hold no PEM certificate");
    }
}
