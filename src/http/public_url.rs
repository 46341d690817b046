//! The public base URL of this server, with which links begin.

use actix_web::HttpRequest;
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

/// The host of the request, with the port unless that is the default of the scheme.
pub(super) fn host(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 sends the host as `:authority`.
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}
