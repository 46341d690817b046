//! What handlers take from a request: the caller, the origin, and query parameters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::browser;
use super::log::Note;
use super::sender;
use super::session;
use super::vendor;
use crate::app::App;
use crate::audit::AuditDenial;
use crate::caller::{Action, Caller, KeyHolder, Origin, SessionHolder, Source, Stage};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Kind};
use crate::keys;
use crate::traces::stage;

impl FromRequest for Caller {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(holder(&request).await?.1) })
    }
}

/// The holder of the credential of a request.
#[derive(Debug)]
pub(super) enum Holder {
    /// Of an API key.
    Key(Arc<KeyHolder>),
    /// Of a session in which everything that the user may do is possible.
    Session(Arc<SessionHolder>),
}

/// Authenticates a request by its API key, or else by its session.
///
/// # Errors
/// `unauthenticated`; `rate_limited`; `cross_site` for a change that a page of another site sends with a cookie.
pub(super) async fn holder(request: &HttpRequest) -> Result<(Holder, Caller)> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?;
    if let Some(credential) = credential(request) {
        let (holder, origin) = key_holder(app, request, &credential).await?;
        let caller = holder.caller(origin);
        return Ok((Holder::Key(holder), caller));
    }
    // A malformed `Authorization` header is no reason to look at cookies.
    let session = match request.headers().contains_key(AUTHORIZATION) {
        true => None,
        false => session::holder(request).await?,
    };
    let Some(holder) = session else {
        return Err(Error::unauthenticated(
            "an API key is required, as `Authorization: Bearer …` or as cookie `cli_token`",
        ));
    };
    if holder.stage != Stage::Full {
        return Err(Error::unauthenticated(
            "the sign-in is not complete: choose a password first, at /account/password",
        ));
    }
    let caller = holder.caller(origin(request), app.clock.now());
    Ok((Holder::Session(holder), caller))
}

/// Whether the request has an API key, or an `Authorization` header of any kind, so that its cookies do not count.
pub(super) fn has_key(request: &HttpRequest) -> bool {
    request.headers().contains_key(AUTHORIZATION) || credential(request).is_some()
}

/// Authenticates an API key.
async fn key_holder(app: &App, request: &HttpRequest, credential: &Credential) -> Result<(Arc<KeyHolder>, Origin)> {
    let (Credential::Bearer(token) | Credential::Cookie(token)) = credential;
    let origin = origin(request);
    let known = stage("key.authenticate", keys::authenticate(app, token, origin, Action::KeyUse));
    let holder = app.in_time(known).await??;
    if let Some(note) = request.extensions_mut().get_mut::<Note>() {
        note.caller = Some(holder.key_id);
    }
    if matches!(credential, Credential::Cookie(_))
        && let Err(error) = browser::check_site(request)
    {
        app.record_denial(&holder.caller(origin), Action::KeyUse, &AuditDenial::CrossSite).await;
        return Err(error);
    }
    Ok((holder, origin))
}

/// The request ID, and the address and the kind of the client, for the audit log.
pub(super) fn origin(request: &HttpRequest) -> Origin {
    Origin {
        request_id: request.extensions().get::<Note>().map(|note| note.request_id),
        address: sender::address(request),
        client: Some(source(request)),
    }
}

/// An API key, and the header that it came in.
enum Credential {
    Bearer(String),
    Cookie(String),
}

/// The challenge of a 401 response (RFC 6750, section 3): whether the request has a credential decides whether it says
/// that the credential is invalid.
pub(super) fn challenge(request: &HttpRequest) -> &'static str {
    match credential(request) {
        None => "Bearer realm=\"muster\"",
        Some(_) => "Bearer realm=\"muster\", error=\"invalid_token\"",
    }
}

/// The API key from the `Authorization` header, or else from the cookie of the vendor's client, which neither quotes nor
/// encodes it.
fn credential(request: &HttpRequest) -> Option<Credential> {
    let headers = request.headers();
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| Credential::Bearer(token.trim().to_owned()));
    }
    headers
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("cli_token="))
        .map(|token| Credential::Cookie(token.to_owned()))
}

/// Parses the query string. Unknown parameters of the vendor's client are ignored.
///
/// # Errors
/// `invalid_request` for an unknown or repeated parameter.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T> {
    if request.query_string().contains("%00") {
        return Err(Error::invalid("invalid query string: contains a NUL byte"));
    }
    let known = vendor::known_parameters::<T>(request);
    form_encoded("query string", known.as_deref().unwrap_or(request.query_string()))
}

/// Parses `name=value&…`, of a query string or of a form.
///
/// # Errors
/// `invalid_request` for an unknown, missing or repeated name. The message contains no values.
pub(super) fn form_encoded<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    web::Query::<T>::from_query(text).map(web::Query::into_inner).map_err(|error| {
        let text = error.to_string();
        let why = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
        Error::invalid(format!("invalid {what}: {}", one_line(why)))
    })
}

/// Encodes a value of a query string.
pub(super) fn encoded(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Parses the path parameter `name`, the ID of a `thing`.
///
/// # Errors
/// `not_found` for any text that is not the ID of a `K`.
pub(super) fn id<K: Kind>(request: &HttpRequest, name: &str, thing: &str) -> Result<Id<K>> {
    let text = request.match_info().get(name).unwrap_or_default();
    text.parse().map_err(|_| {
        let rule = format!("no such {thing}; an ID is `{}_` and {} characters", K::PREFIX, id::ENCODED_LEN);
        Error::new(Code::NotFound, rule)
    })
}

/// Parses a boolean parameter: `True` and `False` are the spelling of the vendor's client.
///
/// # Errors
/// `invalid_request`.
pub(super) fn flag(name: &str, value: Option<&str>) -> Result<Option<bool>> {
    match value {
        None => Ok(None),
        Some("True" | "true") => Ok(Some(true)),
        Some("False" | "false") => Ok(Some(false)),
        Some(_) => Err(Error::invalid(format!("`{name}` must be `true` or `false`"))),
    }
}

/// The kind of client, from its headers.
pub(super) fn source(request: &HttpRequest) -> Source {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header(USER_AGENT.as_str()).starts_with("muster") {
        Source::MusterClient
    } else if vendor::is_vendors(request) {
        Source::VendorClient
    } else {
        Source::Http
    }
}

/// Replaces control characters, which could overwrite a terminal or start a new log line, and truncates.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
