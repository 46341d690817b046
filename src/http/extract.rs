//! What doors take from a request: who calls, and what the query says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::log::Note;
use super::surface;
use crate::app::App;
use crate::batches::Source;
use crate::caller::{Action, Caller, KeyHolder, Origin};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Kind};
use crate::keys;
use crate::traces::stage;

impl FromRequest for Caller {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (holder, origin) = key_holder(&request).await?;
            Ok(holder.caller(origin))
        })
    }
}

/// Who calls, with their name: for the route that tells them.
pub(super) struct WhoAmI(pub(super) Arc<KeyHolder>);

impl FromRequest for WhoAmI {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (holder, _) = key_holder(&request).await?;
            Ok(Self(holder))
        })
    }
}

async fn key_holder(request: &HttpRequest) -> Result<(Arc<KeyHolder>, Origin)> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?;
    let token = token(request).ok_or_else(|| {
        Error::unauthenticated("an API key is needed, as `Authorization: Bearer …` or cookie `cli_token`")
    })?;
    let origin = origin(request);
    let known = stage("key.authenticate", keys::authenticate(app, &token, origin, Action::KeyUse));
    let holder = app.in_time(known).await??;
    if let Some(note) = request.extensions_mut().get_mut::<Note>() {
        note.caller = Some(holder.key_id);
    }
    Ok((holder, origin))
}

/// Where the request comes from.
pub(super) fn origin(request: &HttpRequest) -> Origin {
    Origin {
        request_id: request.extensions().get::<Note>().map(|note| note.request_id),
        address: surface::sender(request).map(|sender| sender.address),
    }
}

/// The API key: of the `Authorization` header, or else of the cookie that the vendor's client
/// sends (as it is: neither quoted nor encoded).
fn token(request: &HttpRequest) -> Option<String> {
    let headers = request.headers();
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    headers
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("cli_token="))
        .map(str::to_owned)
}

/// Reads the query.
///
/// # Errors
/// `invalid_request` for a parameter that the route doesn't have, or has twice.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T> {
    if request.query_string().contains("%00") {
        return Err(Error::invalid("the query can't be used: it has a NUL character"));
    }
    form_encoded("the query", request.query_string())
}

/// Reads `name=value&…`, of a query or of a form.
///
/// # Errors
/// `invalid_request` for a name that is not expected, is missing or is there twice. Values are not repeated.
pub(super) fn form_encoded<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    web::Query::<T>::from_query(text).map(web::Query::into_inner).map_err(|error| {
        let text = error.to_string();
        let why = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
        Error::invalid(format!("{what} can't be used: {}", one_line(why)))
    })
}

/// The id in the path, of a `thing`.
///
/// # Errors
/// `not_found` for anything that is not the id of a `K`: there is no such thing.
pub(super) fn id<K: Kind>(request: &HttpRequest, name: &str, thing: &str) -> Result<Id<K>> {
    let text = request.match_info().get(name).unwrap_or_default();
    text.parse().map_err(|_| {
        let rule = format!("there is no such {thing}: an id is `{}_` and {} characters", K::PREFIX, id::ENCODED_LEN);
        Error::new(Code::NotFound, rule)
    })
}

/// A boolean as the vendor's client writes it, or anybody else.
///
/// # Errors
/// `invalid_request`.
pub(super) fn flag(name: &str, value: Option<&str>) -> Result<Option<bool>> {
    match value {
        None => Ok(None),
        Some("True" | "true") => Ok(Some(true)),
        Some("False" | "false") => Ok(Some(false)),
        Some(_) => Err(Error::invalid(format!("`{name}` has to be true or false"))),
    }
}

/// What kind of client this is, by what it says.
pub(super) fn source(request: &HttpRequest) -> Source {
    let says = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if says(USER_AGENT.as_str()).starts_with("muster") {
        Source::MusterClient
    } else if request.headers().contains_key("x-anyscale-client") {
        Source::VendorClient
    } else {
        Source::Http
    }
}

/// Without what could write over a terminal or start a new line of a log.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
