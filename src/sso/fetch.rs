//! Requests to identity providers.
//!
//! # Decisions
//!
//! *The address that is connected to is checked*, not the name: the resolver leaves out addresses that are never those of a
//! provider, so a name that resolves to another address later leads nowhere else. Link-local addresses and those of the cloud's
//! metadata services are never allowed. Private ones are, unless `sso.private_networks` is off: providers of companies have
//! them.
//!
//! *No redirects*: metadata, keys and tokens come from where the operator or the provider said.
//!
//! *No connection is kept*, so that every request resolves and checks the address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Proxy, Request, Url};
use tokio::sync::Semaphore;

use crate::config::{self, ConfigError};
use crate::metrics::{SsoEndpoint, SsoMetrics};
use crate::secret::Secret;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest response, in bytes.
const LONGEST_RESPONSE: usize = 1024 * 1024;

/// How many requests are sent at once.
const AT_ONCE: usize = 16;

/// Sends requests to providers.
#[derive(Debug)]
pub(crate) struct Fetcher {
    /// Made for the first request: it needs the certificates of the system, which a server without providers can be without.
    client: OnceLock<Result<Client, String>>,
    permits: Semaphore,
    is_private_allowed: bool,
    proxy: Option<Proxy>,
    pub(super) metrics: SsoMetrics,
}

/// A response, whatever its status.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// The time in the header `Date`.
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) body: Vec<u8>,
}

impl Fetcher {
    pub(crate) fn new(settings: &config::Sso, metrics: SsoMetrics) -> Result<Self, ConfigError> {
        let url = settings.proxy.expose();
        let proxy = (!url.is_empty()).then(|| Proxy::all(url)).transpose();
        let proxy = proxy.map_err(|_| ConfigError::starting("`sso.proxy` must be a URL".to_owned()))?;
        let (client, permits) = (OnceLock::new(), Semaphore::new(AT_ONCE));
        Ok(Self { client, permits, is_private_allowed: settings.private_networks, proxy, metrics })
    }

    /// # Errors
    /// TLS can't be set up.
    pub(super) fn client(&self) -> Result<&Client, String> {
        let build = || {
            // Fails if a provider is installed already, which is the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let builder = Client::builder()
                .timeout(TIMEOUT)
                .redirect(Policy::none())
                .pool_max_idle_per_host(0)
                .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
                .no_proxy();
            let builder = match &self.proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder.dns_resolver(Arc::new(Resolver { is_private_allowed: self.is_private_allowed })),
            };
            builder.build().map_err(|error| format!("TLS can't be set up: {}", describe(error)))
        };
        self.client.get_or_init(build).as_ref().map_err(Clone::clone)
    }

    /// Reads a resource, with an access token if one is given.
    ///
    /// # Errors
    /// What went wrong, without the URL.
    pub(crate) async fn get(
        &self,
        endpoint: SsoEndpoint,
        url: &Url,
        access_token: Option<&Secret>,
    ) -> Result<Response, String> {
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(token) = access_token {
            authorize(&mut request, &Secret::new(format!("Bearer {}", token.expose())))?;
        }
        self.observe(endpoint, request).await
    }

    /// Sends a form to a token endpoint.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub(crate) async fn post(
        &self,
        url: &Url,
        form: &Secret,
        authorization: Option<&Secret>,
    ) -> Result<Response, String> {
        let mut request = Request::new(Method::POST, url.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.body_mut() = Some(form.expose().to_owned().into());
        if let Some(authorization) = authorization {
            authorize(&mut request, authorization)?;
        }
        self.observe(SsoEndpoint::Token, request).await
    }

    async fn observe(&self, endpoint: SsoEndpoint, request: Request) -> Result<Response, String> {
        let start = Instant::now();
        let sent = self.send(request).await;
        let status = sent.as_ref().ok().map(|response| response.status);
        self.metrics.observe(endpoint, status, start.elapsed());
        sent
    }

    /// Checks that muster may connect to the host of a URL, without a request to it.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub(crate) async fn check(&self, url: &Url) -> Result<(), String> {
        self.check_literal(url)?;
        let host = url.host_str().unwrap_or_default();
        match (&self.proxy, literal(url)) {
            (None, None) => resolve(host, self.is_private_allowed).await.map(drop),
            _ => Ok(()),
        }
    }

    /// A literal address is not resolved.
    fn check_literal(&self, url: &Url) -> Result<(), String> {
        match literal(url) {
            Some(address) if self.proxy.is_none() && !is_allowed(address, self.is_private_allowed) => {
                Err(format!("the address {address} is not allowed for identity providers"))
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, mut request: Request) -> Result<Response, String> {
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.check_literal(request.url())?;
        let sent = async {
            let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
            let mut response = self.client()?.execute(request).await.map_err(describe)?;
            let status = response.status().as_u16();
            let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().to_owned();
            let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
            let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(describe)? {
                if body.len() + chunk.len() > LONGEST_RESPONSE {
                    return Err("the response is longer than 1 MiB".to_owned());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Response { status, content_type, date, body })
        };
        // The wait for a permit counts.
        tokio::time::timeout(TIMEOUT, sent).await.unwrap_or_else(|_| Err("no answer within 5 s".to_owned()))
    }
}

fn authorize(request: &mut Request, authorization: &Secret) -> Result<(), String> {
    let mut value =
        HeaderValue::from_str(authorization.expose()).map_err(|_| "the credentials have control characters")?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// The innermost cause says what happened; the outer ones repeat the URL.
fn describe(error: reqwest::Error) -> String {
    let is_timeout = error.is_timeout();
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if is_timeout { "no answer within 5 s".to_owned() } else { with_advice(cause.to_string()) }
}

fn with_advice(cause: String) -> String {
    if !cause.contains("UnknownIssuer") {
        return cause;
    }
    cause
        + "; muster trusts the certificate authorities of the system: add the provider's, or name its file in the environment variable \
           SSL_CERT_FILE, for the server and for `muster sso`"
}

/// Resolves names to addresses that are allowed.
struct Resolver {
    is_private_allowed: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_private_allowed = self.is_private_allowed;
        Box::pin(async move {
            let allowed = resolve(name.as_str(), is_private_allowed).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name that are allowed.
async fn resolve(name: &str, is_private_allowed: bool) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    let (allowed, denied): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.partition(|address| is_allowed(address.ip(), is_private_allowed));
    if allowed.is_empty() {
        let denied = denied.first().map(|address| format!(" ({})", address.ip())).unwrap_or_default();
        return Err(format!("the name has no address that is allowed for identity providers{denied}"));
    }
    Ok(allowed)
}

/// The address of a URL with an address instead of a name.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether muster connects to an address.
fn is_allowed(address: IpAddr, is_private_allowed: bool) -> bool {
    match embedded(address.to_canonical()) {
        IpAddr::V4(address) => {
            let octets = address.octets();
            // This network, link-local with most metadata services, multicast and reserved.
            let is_never =
                octets[0] == 0 || address.is_link_local() || octets[0] >= 224 || V4_METADATA.contains(&address);
            let is_shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
            let is_private = address.is_private() || address.is_loopback() || is_shared;
            !is_never && (is_private_allowed || !is_private)
        }
        IpAddr::V6(address) => {
            let is_never = address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address == V6_METADATA;
            let is_private = address.is_unique_local() || address.is_loopback();
            !is_never && (is_private_allowed || !is_private)
        }
    }
}

/// The metadata services of Alibaba Cloud, Oracle Cloud and Azure that are not link-local.
const V4_METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// That of AWS.
const V6_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The IPv4 address in an IPv6 address that is translated (RFC 6052) or tunneled (6to4) to it.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        (0x2002, _) => v4(b, c),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_certificate_authority_is_reported_with_what_to_do() {
        let cause = "invalid peer certificate: UnknownIssuer".to_owned();
        let described = with_advice(cause);
        assert!(
            described.starts_with("invalid peer certificate: UnknownIssuer; ")
                && described.contains(" SSL_CERT_FILE, "),
            "{described}"
        );
        assert_eq!(with_advice("Connection refused".to_owned()), "Connection refused");
    }

    #[test]
    fn s_58_link_local_and_metadata_addresses_are_never_allowed() {
        for address in [
            "169.254.169.254",
            "169.254.1.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!is_allowed(address.parse().unwrap(), true), "{address}");
        }
    }

    #[test]
    fn s_58_private_addresses_are_allowed_unless_the_setting_is_off() {
        for address in
            ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
        {
            let address = address.parse().unwrap();
            assert!(is_allowed(address, true) && !is_allowed(address, false), "{address}");
        }
        for address in ["93.184.216.34", "100.128.0.1", "2606:2800::1", "64:ff9b::5db8:d822"] {
            let address = address.parse().unwrap();
            assert!(is_allowed(address, true) && is_allowed(address, false), "{address}");
        }
    }
}
