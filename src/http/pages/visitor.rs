//! Who visits a page, and where to send them.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::sign_in::HttpsNeeded;
use super::{Frame, respond};
use crate::app::App;
use crate::caller::{SessionHolder, Stage};
use crate::error::{Code, Result};
use crate::http::public_url::host;
use crate::http::{extract, sender, session};

/// What is encoded in a parameter: all but the unreserved characters (RFC 3986, section 2.3). An encoded one takes three bytes, and
/// nginx by default takes no response with more than 4 KiB of headers.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest page to return to, in bytes.
const LONGEST_RETURN: usize = 2048;

/// The visitor of a page.
pub(in crate::http) enum Visitor {
    /// Nobody, or somebody whose session has ended.
    Anonymous { has_ended: bool },
    /// A person with a session, in any stage.
    SignedIn(Arc<SessionHolder>),
}

impl Visitor {
    /// # Errors
    /// `cross_site` for a change that another site's page sends; `rate_limited`; those of the database.
    pub(in crate::http) async fn of(request: &HttpRequest) -> Result<Self> {
        if extract::has_key(request) {
            return Ok(Self::Anonymous { has_ended: false });
        }
        match session::holder(request).await {
            Ok(Some(holder)) => Ok(Self::SignedIn(holder)),
            Ok(None) => Ok(Self::Anonymous { has_ended: false }),
            Err(error) if error.code() == Code::Unauthenticated => Ok(Self::Anonymous { has_ended: true }),
            Err(error) => Err(error),
        }
    }

    /// The session of a person who may use all pages, or the response that sends others where they have to go first. They return
    /// to `page`, a path with a leading slash.
    pub(in crate::http) fn full(
        self,
        request: &HttpRequest,
        page: &str,
    ) -> std::result::Result<Arc<SessionHolder>, Box<HttpResponse>> {
        let first = match self {
            Self::SignedIn(holder) if holder.stage == Stage::Full => return Ok(holder),
            Self::SignedIn(_) => "account/password",
            Self::Anonymous { .. } => "sign-in",
        };
        Err(Box::new(redirect(request, &with_return(first, page))))
    }
}

/// The page that explains why there is no form at this address: browsers keep the cookie of a session over HTTPS, and over plain
/// HTTP for these two names only.
pub(super) fn needs_https(request: &HttpRequest) -> Option<HttpResponse> {
    if keeps_session(request) {
        return None;
    }
    let public_url = request.app_data::<web::Data<App>>().map(|app| app.config.server.public_url.as_str());
    let https_address = public_url.filter(|url| url.starts_with("https://")).map(|url| url.trim_end_matches('/'));
    Some(respond(StatusCode::FORBIDDEN, &HttpsNeeded { frame: Frame::of(request), https_address }))
}

/// Whether browsers keep the cookie of a session at the address of this request.
pub(super) fn keeps_session(request: &HttpRequest) -> bool {
    let host = host(request).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    sender::is_https(request) || ["127.0.0.1", "localhost"].contains(&name)
}

/// Sends the browser to a page. `path` is without a leading slash.
pub(in crate::http) fn redirect(request: &HttpRequest, path: &str) -> HttpResponse {
    let root = Frame::of(request).root;
    match (root.as_str(), path) {
        ("", "") => see_other("./"),
        (root, path) => see_other(&format!("{root}{path}")),
    }
}

/// Sends the browser to the page that it came for, or to `/`, which leads on.
pub(in crate::http) fn redirect_back(request: &HttpRequest, return_to: Option<&str>) -> HttpResponse {
    match return_to {
        Some(path) => see_other(path),
        None => redirect(request, ""),
    }
}

/// A redirect after a form was accepted: reloading the page, or going back to it, sends nothing again.
pub(super) fn see_other(location: &str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
    let location = HeaderValue::from_str(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The address of a page that later sends its visitor to `page`.
pub(in crate::http) fn with_return(path: &str, page: &str) -> String {
    let encoded = percent_encoding::utf8_percent_encode(page, RESERVED);
    format!("{path}?return_to={encoded}")
}

/// A page to return to, if it is one of this server: a path that no browser takes for another host. A browser ignores tabs and
/// line breaks in addresses, and reads `\` as `/`.
pub(in crate::http) fn return_to(text: Option<&str>) -> Option<&str> {
    let rest = text.filter(|text| text.len() <= LONGEST_RETURN)?.strip_prefix('/')?;
    let is_own = !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    text.filter(|_| is_own)
}
