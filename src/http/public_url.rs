//! The address under which people reach this server: what links begin with.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;

use super::surface;
use crate::config;
use crate::error::{Error, Result};

/// The setting `server.public_url`; if it is empty, the scheme by which the client came and the host that the request
/// names. Without a slash at the end.
///
/// # Errors
/// `invalid_request` when neither tells.
pub(super) fn public_url(request: &HttpRequest, config: &config::Server) -> Result<String> {
    if !config.public_url.is_empty() {
        return Ok(config.public_url.trim_end_matches('/').to_owned());
    }
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has it in its own place.
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let is_plain = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
    };
    let host = host.filter(is_plain).ok_or_else(|| {
        Error::invalid("links can't be made: the request has no usable `Host`, and `server.public_url` is not set")
    })?;
    let scheme = if surface::is_https(request) { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}
