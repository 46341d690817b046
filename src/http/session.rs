//! The cookies of sessions and devices.
//!
//! # Decisions
//!
//! *The names begin with `__Host-Http-`*: browsers accept such a cookie only with `Secure`, without a `Domain` and with the path `/`,
//! and those that know the prefix only with `HttpOnly` (draft-ietf-httpbis-rfc6265bis, section 4.1.3). So no other host and no script
//! can set or read them. Browsers keep them on plain HTTP for `localhost` and `127.0.0.1` only.
//!
//! *`SameSite=Lax`, not `Strict`*: after the redirect from an identity provider, a browser does not send a `Strict` cookie, not even with
//! the next request to this server.
//!
//! *With an API key, cookies are ignored*: two principals in one request would let the weaker check decide.

use std::sync::Arc;

use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE, USER_AGENT};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};

use super::browser;
use super::extract;
use super::log::Note;
use crate::app::App;
use crate::audit::AuditDenial;
use crate::caller::{Action, Caller, SessionHolder};
use crate::drafts::DraftKey;
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::sessions::{self, Client, StartedSession};
use crate::sign_in::DEVICE_LIFETIME;
use crate::traces::stage;

/// The cookie with the token of a session.
pub(super) const SESSION: &str = "__Host-Http-muster";

/// The cookie of a browser in which a user has signed in.
pub(super) const DEVICE: &str = "__Host-Http-muster-device";

/// The cookie with the key of a browser's drafts.
pub(super) const DRAFT: &str = "__Host-Http-muster-draft";

/// The value of a cookie. `Err`: it was sent several times.
pub(super) fn cookie(request: &HttpRequest, name: &str) -> std::result::Result<Option<String>, ()> {
    let mut values = request
        .headers()
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(()),
    }
}

/// The cookies whose names begin with `prefix`, with their values.
pub(super) fn cookies(request: &HttpRequest, prefix: &str) -> Vec<(String, String)> {
    let values = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let found = pairs.filter(|(name, _)| name.starts_with(prefix));
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The token of the session cookie.
///
/// # Errors
/// `unauthenticated` for two of them: one of them was planted.
pub(super) fn token(request: &HttpRequest) -> Result<Option<String>> {
    cookie(request, SESSION)
        .map_err(|()| Error::unauthenticated("two session cookies; clear the cookies of this site and sign in again"))
}

/// The device cookie.
pub(super) fn device(request: &HttpRequest) -> Option<String> {
    cookie(request, DEVICE).ok().flatten()
}

/// The key of the browser's drafts.
pub(super) fn draft_key(request: &HttpRequest) -> Option<DraftKey> {
    cookie(request, DRAFT).ok().flatten().and_then(|text| DraftKey::parse(&text))
}

/// Whether the browser sent a cookie of muster's, other than the one of the vendor's client.
pub(super) fn has_cookie(request: &HttpRequest) -> bool {
    let cookies = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).any(|cookie| cookie.trim().starts_with("__Host-Http-muster"))
}

/// Authenticates the session of a request by its cookie, and checks that a change comes from a page of this server. `None`: there is no
/// cookie.
///
/// # Errors
/// `unauthenticated`; `rate_limited`; `cross_site`.
pub(super) async fn holder(request: &HttpRequest) -> Result<Option<Arc<SessionHolder>>> {
    let Some(token) = token(request)? else { return Ok(None) };
    let app = request.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no app"))?;
    let origin = extract::origin(request);
    let known = stage("session.authenticate", sessions::authenticate(app, &token, origin));
    let holder = app.in_time(known).await??;
    if let Some(note) = request.extensions_mut().get_mut::<Note>() {
        note.session = Some(holder.session_id);
    }
    if let Err(error) = browser::check_origin(request, true) {
        let caller = holder.caller(origin, app.clock.now());
        app.record_denial(&caller, Action::SessionStart, &AuditDenial::CrossSite).await;
        return Err(error);
    }
    Ok(Some(holder))
}

/// Ends the session that a browser had before it signed in again.
pub(super) async fn end_previous(app: &App, request: &HttpRequest) {
    let Ok(Some(previous)) = holder(request).await else { return };
    let caller = previous.caller(extract::origin(request), app.clock.now());
    if let Err(error) = sessions::end(app, &caller, previous.session_id).await {
        app.db.observe(&error);
        tracing::warn!(error = error.chain(), "failed to end the previous session of a browser");
    }
}

/// The caller of a request that is possible before the sign-in is complete, too: by an API key, or by a session of any stage.
///
/// # Errors
/// As [`extract::holder`].
pub(super) async fn caller_of_any_stage(app: &App, request: &HttpRequest) -> Result<Caller> {
    if !extract::has_key(request)
        && let Some(holder) = holder(request).await?
    {
        return Ok(holder.caller(extract::origin(request), app.clock.now()));
    }
    extract::holder(request).await.map(|(_, caller)| caller)
}

/// Ends the session of the cookie, if it is valid.
///
/// # Errors
/// `cross_site`; those of the database.
pub(super) async fn sign_out(app: &App, request: &HttpRequest) -> Result<()> {
    browser::check_origin(request, has_cookie(request))?;
    let holder = match holder(request).await {
        Ok(Some(holder)) => holder,
        Ok(None) => return Ok(()),
        Err(error) if matches!(error.code(), Code::Unauthenticated | Code::RateLimited) => return Ok(()),
        Err(error) => return Err(error),
    };
    let caller = holder.caller(extract::origin(request), app.clock.now());
    match sessions::end(app, &caller, holder.session_id).await {
        // It has ended meanwhile.
        Err(error) if error.code() == Code::Unauthenticated => Ok(()),
        ended => ended,
    }
}

/// The client of a sign-in.
pub(super) fn client(request: &HttpRequest) -> Client {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
    Client { origin: extract::origin(request), agent }
}

/// Sets the cookies of a session that was just started or advanced.
pub(super) fn set(response: &mut HttpResponse, session: &StartedSession, device: Option<&Secret>, now: DateTime<Utc>) {
    add(response, SESSION, session.token.expose(), session.expires_at - now);
    if let Some(device) = device {
        add(response, DEVICE, device.expose(), DEVICE_LIFETIME);
    }
}

/// Clears the cookie of the session. The device stays known.
pub(super) fn clear(response: &mut HttpResponse) {
    add(response, SESSION, "", TimeDelta::zero());
}

/// As [`clear`], after a sign-out: the browser's drafts can't be opened any more, either.
pub(super) fn clear_with_drafts(response: &mut HttpResponse) {
    clear(response);
    add(response, DRAFT, "", TimeDelta::zero());
}

/// Adds a cookie. Names are constants, and values are base 62 and base 64, so nothing needs to be encoded.
pub(super) fn add(response: &mut HttpResponse, name: &str, value: &str, lifetime: TimeDelta) {
    let max_age = lifetime.num_seconds().max(0);
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
