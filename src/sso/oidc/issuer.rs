//! Issuers, and which URLs muster talks to.
//!
//! # Decisions
//!
//! *An issuer is compared byte for byte and never normalized*: a slash at its end belongs to it. Providers disagree
//! about that slash, so a message about a mismatch quotes both.

use std::net::IpAddr;

use reqwest::Url;

/// The longest issuer or endpoint, in bytes.
const LONGEST_URL: usize = 2048;

/// The URL schemes that are allowed for a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `https` only.
    Https,
    /// `http` as well, to loopback addresses: the provider and muster run on one machine.
    Loopback,
}

impl Transport {
    /// The transport for an issuer: `http` only if the issuer and this server both have loopback addresses.
    pub(crate) fn for_issuer(issuer: &str, base_url: &str) -> Self {
        if is_loopback(issuer) && is_loopback(base_url) { Self::Loopback } else { Self::Https }
    }

    /// Parses a URL that muster will connect to or send people to.
    ///
    /// # Errors
    /// A message without the URL.
    pub(crate) fn parse(self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "not a URL")?;
        let is_allowed =
            url.scheme() == "https" || (url.scheme() == "http" && self == Self::Loopback && has_loopback_host(&url));
        if !is_allowed {
            return Err("must begin with https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user name or a password");
        }
        if url.fragment().is_some() {
            return Err("must not have a fragment");
        }
        if text.len() > LONGEST_URL || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("too long, or with white space");
        }
        Ok(url)
    }
}

/// Whether only this machine can open a URL.
pub(crate) fn is_loopback(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| has_loopback_host(&url))
}

fn has_loopback_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// Checks an issuer as it was configured.
///
/// # Errors
/// A message that says what to do.
pub(crate) fn check(issuer: &str, transport: Transport) -> Result<(), String> {
    let url = transport.parse(issuer).map_err(|why| format!("issuer `{issuer}`: {why}"))?;
    if url.query().is_some() {
        return Err(format!("issuer `{issuer}`: must not have a query"));
    }
    let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let is_entra = host.starts_with("login.microsoftonline.")
        || host.ends_with(".microsoftonline.cn")
        || host == "sts.windows.net";
    let is_shared = ["common", "organizations", "consumers"].iter().any(|shared| tenant.eq_ignore_ascii_case(shared));
    if (is_entra && is_shared) || issuer.contains('{') || issuer.to_ascii_lowercase().contains("%7b") {
        return Err(format!(
            "issuer `{issuer}` is shared by all tenants; use your tenant's issuer, \
             https://login.microsoftonline.com/TENANT_ID/v2.0"
        ));
    }
    Ok(())
}

/// The address of the metadata of an issuer.
pub(crate) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}
