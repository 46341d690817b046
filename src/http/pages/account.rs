//! `/account`: who one is, how one signs in, and where.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::sso::reauthenticate;
use super::visitor::{Visitor, redirect};
use super::{Frame, Moment, full_name, respond};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::http::extract;
use crate::keys;
use crate::sessions::{self, Method, SessionDetails};
use crate::sign_in;
use crate::sso::{self, Identity};

#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage<'a> {
    pub(super) frame: Frame,
    /// First and last name.
    pub(super) name: String,
    pub(super) email: &'a str,
    pub(super) user_id: String,
    pub(super) organization_name: &'a str,
    pub(super) is_owner: bool,
    pub(super) is_sso_user: bool,
    /// Whether the organization requires single sign-on of the user.
    pub(super) is_bound_to_sso: bool,
    pub(super) password_set: Option<Moment>,
    pub(super) api_keys: usize,
    pub(super) sessions: Vec<SessionRow>,
    pub(super) identities: Vec<IdentityRow<'a>>,
    /// The providers of which an identity can be linked.
    pub(super) linkable: Vec<Linkable<'a>>,
    pub(super) notice: Option<Notice>,
}

/// What has just been done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    PasswordChanged,
    SessionEnded,
    OtherSessionsEnded,
    Linked,
    Unlinked,
}

#[derive(Debug)]
pub(super) struct SessionRow {
    pub(super) id: String,
    /// A short name, such as `Firefox on Windows`.
    pub(super) browser: String,
    /// Such as `203.0.113.0/24`.
    pub(super) network: Option<String>,
    pub(super) since: Moment,
    pub(super) last_seen: Moment,
    /// When it ends in any case.
    pub(super) until: Moment,
    /// How it began, such as `with password`.
    pub(super) method: &'static str,
    pub(super) is_this: bool,
}

/// A provider of which the user has no identity.
#[derive(Debug)]
pub(super) struct Linkable<'a> {
    pub(super) name: &'a str,
    pub(super) title: &'a str,
}

#[derive(Debug)]
pub(super) struct IdentityRow<'a> {
    /// For the form that removes it; `None`: it is the only way to sign in.
    pub(super) id: Option<String>,
    /// The title of the provider.
    pub(super) provider: &'a str,
    pub(super) linked: Moment,
    pub(super) last_used: Option<Moment>,
    /// The address at the provider, if it is another one.
    pub(super) email_seen: Option<&'a str>,
}

#[derive(Deserialize)]
struct Query {
    done: Option<String>,
}

/// `GET /account`.
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let holder = match Visitor::of(&request).await?.full(&request, "/account") {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let query: Query = extract::query(&request)?;
    let now = app.clock.now();
    let caller = holder.caller(extract::origin(&request), now);
    let account = sign_in::account_of(&app, caller.organization_id, holder.user.user_id).await?;
    let account = account.ok_or_else(|| Error::internal("a session without a user"))?;
    let sessions = sessions::list(&app, &caller, None).await?;
    let mut sessions: Vec<SessionRow> = sessions.into_iter().map(|session| row(session, &caller, now)).collect();
    // The stable sort keeps the latest first.
    sessions.sort_by_key(|session| !session.is_this);
    let identities = sso::own_identities(&app, &caller).await?;
    let has_password = account.password.is_some();
    let providers = sso::enabled(&app, Some(&caller.organization_id.to_string())).await?;
    let is_free = |provider: &&sso::Provider| {
        has_password && identities.iter().all(|identity| identity.provider != provider.name())
    };
    let page = AccountPage {
        frame: Frame::of(&request),
        name: full_name(&account.name, account.lastname.as_deref()),
        email: &account.email,
        user_id: account.user_id.to_string(),
        organization_name: &account.organization_name,
        is_owner: holder.permission == PermissionLevel::Owner,
        is_sso_user: account.is_sso_user,
        is_bound_to_sso: account.is_bound_to_sso,
        password_set: account.password.as_ref().map(|password| Moment { at: password.set_at, now }),
        api_keys: keys::count_own(&app, &caller).await?,
        sessions,
        identities: identities
            .iter()
            .map(|identity| {
                identity_row(identity, title(&providers, &identity.provider), &account.email, has_password, now)
            })
            .collect(),
        linkable: providers
            .iter()
            .filter(is_free)
            .map(|provider| Linkable { name: provider.name(), title: provider.title() })
            .collect(),
        notice: match query.done.as_deref() {
            Some("password") => Some(Notice::PasswordChanged),
            Some("session") => Some(Notice::SessionEnded),
            Some("sessions") => Some(Notice::OtherSessionsEnded),
            Some("linked") => Some(Notice::Linked),
            Some("unlinked") => Some(Notice::Unlinked),
            _ => None,
        },
    };
    Ok(respond(StatusCode::OK, &page))
}

/// The title of a provider; the name of one that is disabled.
fn title<'a>(enabled: &'a [sso::Provider], name: &'a str) -> &'a str {
    enabled.iter().find(|provider| provider.name() == name).map_or(name, sso::Provider::title)
}

fn identity_row<'a>(
    identity: &'a Identity,
    provider: &'a str,
    email: &str,
    has_password: bool,
    now: chrono::DateTime<chrono::Utc>,
) -> IdentityRow<'a> {
    IdentityRow {
        id: has_password.then(|| identity.identity_id.to_string()),
        provider,
        linked: Moment { at: identity.bound_at, now },
        last_used: identity.last_used_at.map(|at| Moment { at, now }),
        email_seen: identity.email_seen.as_deref().filter(|seen| !seen.eq_ignore_ascii_case(email)),
    }
}

fn row(session: SessionDetails, caller: &Caller, now: chrono::DateTime<chrono::Utc>) -> SessionRow {
    SessionRow {
        is_this: session.is_of(caller.principal),
        id: session.session_id.to_string(),
        browser: sessions::browser(session.agent.as_deref()),
        network: session.address.map(sessions::network),
        since: Moment { at: session.created_at, now },
        last_seen: Moment { at: session.last_seen_at, now },
        until: Moment { at: session.expires_at, now },
        method: match session.method {
            Method::Password => "with password",
            Method::Sso => "through the identity provider",
            Method::Passkey => "with a passkey",
            Method::Link => "with a link",
            Method::Recovery => "with a recovery link",
        },
    }
}

/// `POST /account/sessions/{session_id}/end`.
pub(in crate::http) async fn end_session(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let holder = match Visitor::of(&request).await?.full(&request, "/account") {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let caller = holder.caller(extract::origin(&request), app.clock.now());
    sessions::end(&app, &caller, extract::id(&request, "session_id", "session")?).await?;
    Ok(redirect(&request, "account?done=session"))
}

/// `POST /account/sessions/end`: ends all sessions but this one.
pub(in crate::http) async fn end_other_sessions(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let holder = match Visitor::of(&request).await?.full(&request, "/account") {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let caller = holder.caller(extract::origin(&request), app.clock.now());
    sessions::end_all(&app, &caller, None, true).await?;
    Ok(redirect(&request, "account?done=sessions"))
}

/// `POST /account/identities/{identity_id}/unlink`.
pub(in crate::http) async fn unlink(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let holder = match Visitor::of(&request).await?.full(&request, "/account") {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let caller = holder.caller(extract::origin(&request), app.clock.now());
    match sso::unlink(&app, &caller, extract::id(&request, "identity_id", "identity")?).await {
        Ok(()) => Ok(redirect(&request, "account?done=unlinked")),
        Err(error) => reauthenticate(&request, error),
    }
}
