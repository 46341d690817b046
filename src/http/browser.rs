//! Requests that a browser sends for a page of another site (cross-site request forgery, CSRF).
//!
//! # Decisions
//!
//! *A change that is authenticated by the cookie must come from muster's own pages.* A browser adds the cookie to any
//! request to this host, whatever page caused it. Browsers say where a request comes from in `Sec-Fetch-Site`, or else in
//! `Origin`, and pages can't set either header. Clients that are not browsers, such as the vendor's, send neither. A
//! subdomain (`same-site`) counts as another site: its pages are not muster's.
//!
//! *A browser must declare JSON as JSON.* A page of another site can send text, forms and bodies without a type, but no
//! `application/json`, without asking for permission first (a CORS preflight), which muster never gives.

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, ORIGIN};
use actix_web::{HttpMessage, HttpRequest, web};

use super::public_url::{host, public_url};
use crate::app::App;
use crate::error::{Code, Error, Result};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks that a change does not come from a page of another site.
///
/// # Errors
/// `cross_site`.
pub(super) fn check_site(request: &HttpRequest) -> Result<()> {
    if [Method::GET, Method::HEAD].contains(request.method()) || is_own_page(request) {
        return Ok(());
    }
    let message = "not permitted: a page of another site sent this request with the cookie `cli_token`; \
                   use `Authorization: Bearer …`";
    Err(Error::new(Code::CrossSite, message))
}

/// Checks that a change with the cookie of a session, or a sign-in, comes from a page of this server, or from a program that sends no
/// cookie of muster's: a browser adds the cookie whatever page caused the request, and could be made to sign in as somebody else.
///
/// # Errors
/// `cross_site`.
pub(super) fn check_origin(request: &HttpRequest, has_cookie: bool) -> Result<()> {
    let headers = request.headers();
    let is_own = if headers.contains_key(&SEC_FETCH_SITE) {
        headers.get_all(&SEC_FETCH_SITE).all(|site| site == "same-origin")
    } else if headers.contains_key(ORIGIN) {
        let own = own_origin(request);
        headers.get_all(ORIGIN).all(|origin| own.as_deref().is_some_and(|own| origin == own))
    } else {
        !has_cookie
    };
    if is_own || [Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(());
    }
    let message =
        "not permitted: the request does not come from a page of this server; open the page again, and sign in there";
    Err(Error::new(Code::CrossSite, message))
}

/// The origin of this server's pages, as a browser writes it (RFC 6454, section 6.2): by the public URL, or else as the request
/// reached this server. The scheme counts: an attacker on the network can answer for `http://` with this server's name.
fn own_origin(request: &HttpRequest) -> Option<String> {
    let app = request.app_data::<web::Data<App>>()?;
    let url = public_url(request, &app.config.server).ok()?.to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(default_port).unwrap_or(authority)))
}

/// Whether the request comes from a page of this server, or from no page at all.
fn is_own_page(request: &HttpRequest) -> bool {
    let headers = request.headers();
    if headers.contains_key(&SEC_FETCH_SITE) {
        let mut sites = headers.get_all(&SEC_FETCH_SITE);
        return sites.all(|site| ["same-origin", "none"].iter().any(|own| site == own));
    }
    headers.get_all(ORIGIN).all(|origin| origin.to_str().is_ok_and(|origin| is_own(request, origin)))
}

/// Whether an origin such as `https://muster.example.org` is this server, by its host or its public URL. A proxy in front
/// of this server may have changed the scheme.
fn is_own(request: &HttpRequest, origin: &str) -> bool {
    let authority = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        Some(rest.split('/').next().unwrap_or(rest).to_ascii_lowercase())
    };
    let public_url = request.app_data::<web::Data<App>>().map(|app| app.config.server.public_url.as_str());
    let own = [host(request).map(str::to_ascii_lowercase), public_url.and_then(authority)];
    authority(origin).is_some_and(|origin| own.into_iter().flatten().any(|own| own == origin))
}

/// Checks that a body is that of an HTML form.
///
/// # Errors
/// `unsupported_media_type`.
pub(super) fn check_form(request: &HttpRequest) -> Result<()> {
    let mime = request.mime_type().ok().flatten();
    if mime.is_some_and(|mime| mime.essence_str() == "application/x-www-form-urlencoded") {
        return Ok(());
    }
    let message = "a form must be sent with `Content-Type: application/x-www-form-urlencoded`";
    Err(Error::new(Code::UnsupportedMediaType, message))
}

/// Checks that a body is that of an HTML form with a file.
///
/// # Errors
/// `unsupported_media_type`.
pub(super) fn check_upload(request: &HttpRequest) -> Result<()> {
    let mime = request.mime_type().ok().flatten();
    if mime.is_some_and(|mime| mime.essence_str() == "multipart/form-data") {
        return Ok(());
    }
    let message = "a form with a file must be sent with `Content-Type: multipart/form-data`";
    Err(Error::new(Code::UnsupportedMediaType, message))
}

/// Checks that a JSON body from a browser has a JSON media type (RFC 8259, or the suffix `+json` of RFC 6839).
///
/// # Errors
/// `unsupported_media_type`.
pub(super) fn check_json(request: &HttpRequest) -> Result<()> {
    let headers = request.headers();
    let is_browser = headers.contains_key(&SEC_FETCH_SITE) || headers.contains_key(ORIGIN);
    let is_json = || {
        let mime = request.mime_type().ok().flatten();
        mime.is_some_and(|mime| {
            let subtype = mime.suffix().unwrap_or_else(|| mime.subtype());
            mime.type_() == "application" && subtype == "json"
        })
    };
    if !is_browser || is_json() {
        return Ok(());
    }
    Err(Error::new(Code::UnsupportedMediaType, "a browser must send JSON with `Content-Type: application/json`"))
}
