//! The public base URL of this server, with which links begin.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header::HOST;

use super::sender;
use crate::config;
use crate::error::{Error, Result};

/// The setting `server.public_url`, or else the scheme and the host of the request; without a trailing slash.
///
/// # Errors
/// `invalid_request` if the setting is empty and the request has no valid host.
pub(super) fn public_url(request: &HttpRequest, config: &config::Server) -> Result<String> {
    if !config.public_url.is_empty() {
        return Ok(config.public_url.trim_end_matches('/').to_owned());
    }
    let is_valid = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
    };
    let host = host(request).filter(is_valid).ok_or_else(|| {
        Error::invalid("can't create a link: the request has no valid `Host`, and `server.public_url` is not set")
    })?;
    let scheme = if sender::is_https(request) { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Why links that begin with `url` may not work for the people to whom they are sent.
pub(crate) fn link_warning(url: &str, config: &config::Server) -> Option<String> {
    let (why, verb) = match (is_loopback(url), config.public_url.is_empty()) {
        (true, true) => ("which only this machine can open", "set"),
        (true, false) => ("the value of `server.public_url`, which only this machine can open", "change"),
        (false, true) => ("the address of this request", "set"),
        (false, false) => return None,
    };
    Some(format!("the links begin with `{url}`, {why}; {verb} `server.public_url` to the address for everybody"))
}

/// Whether a URL names the machine itself.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The host of the request, with the port unless that is the default of the scheme.
pub(super) fn host(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 sends the host as `:authority`.
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(url: &str, public_url: &str) -> Option<String> {
        let mut server = config::Config::built_in().unwrap().server;
        server.public_url = public_url.to_owned();
        link_warning(url, &server)
    }

    #[test]
    fn links_that_others_may_not_be_able_to_open_get_a_warning() {
        for url in ["http://127.0.0.1:8080", "http://[::1]:8080/sub", "http://localhost", "https://a.localhost"] {
            let why = "which only this machine can open";
            let set =
                format!("the links begin with `{url}`, {why}; set `server.public_url` to the address for everybody");
            assert_eq!(warning(url, ""), Some(set));
            let change = format!(
                "the links begin with `{url}`, the value of `server.public_url`, {why}; change `server.public_url` to the \
                 address for everybody"
            );
            assert_eq!(warning(url, url), Some(change));
        }
        assert_eq!(
            warning("http://muster:8080", "").as_deref(),
            Some(
                "the links begin with `http://muster:8080`, the address of this request; set `server.public_url` to the \
                 address for everybody"
            )
        );
        assert_eq!(warning("https://muster.example.org/sub", "https://muster.example.org/sub"), None);
    }
}
