//! `/api/v2/users/sessions`: listing and ending sessions.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{EndedSessions, Session};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Single, complete, page, single};
use crate::app::App;
use crate::caller::{Caller, Principal};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::id::{Id, User};
use crate::page::{Page, Span};
use crate::sessions::{self, Method, SessionDetails};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// ID of another user. For owners.
    user_id: Option<String>,
    /// `true` for the sessions of all users of the organization, page by page. For owners.
    everyone: Option<String>,
    /// How the users authenticated: `password`, `sso`, `link` or `recovery`. With `everyone`.
    method: Option<String>,
    /// The `next_paging_token` of the previous page. With `everyone`.
    paging_token: Option<String>,
    /// Sessions per page: 1 to 50. A page can have fewer although more follow. With `everyone`.
    count: Option<String>,
}

/// A session with the caller, to tell which one is in use.
struct Shown(SessionDetails, Principal);

impl From<Shown> for Session {
    fn from(Shown(session, principal): Shown) -> Self {
        Self {
            is_this: session.is_of(principal),
            id: session.session_id.to_string(),
            user_id: session.user_id.to_string(),
            stage: session.stage,
            method: session.method.as_str().to_owned(),
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            network: session.address.map(sessions::network),
            browser: sessions::browser(session.agent.as_deref()),
            email: None,
        }
    }
}

/// List sessions
///
/// The sessions of the caller's user that are not over, the latest first. Owners can list those of another user, or of everybody.
#[utoipa::path(get, path = "/api/v2/users/sessions", operation_id = "session_list", tag = "sign-in", params(Query),
    responses(
        (status = 200, description = "The sessions.", body = Listing<Session>),
        (status = 404, description = "The caller has no user.", body = ErrorBody),
    ))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let Query { user_id, everyone, method, paging_token, count } = extract::query(&request)?;
    let user_id = user_id.as_deref().map(parse).transpose()?;
    let (count, paging_token) = (count.as_deref(), paging_token.as_deref());
    let others = [method.as_deref(), count, paging_token];
    if !extract::flag("everyone", everyone.as_deref())?.unwrap_or(false) {
        if others.iter().any(Option::is_some) {
            return Err(Error::invalid("`method`, `count` and `paging_token` are for `everyone=true`"));
        }
        let sessions = sessions::list(&app, &caller, user_id).await?;
        let shown = sessions.into_iter().map(|session| Shown(session, caller.principal)).collect();
        return Ok(complete::<_, Session>(&request, shown));
    }
    if user_id.is_some() {
        return Err(Error::invalid("`user_id` and `everyone` exclude each other"));
    }
    let unknown = || Error::invalid(format!("`method` must be one of {}", Method::list()));
    let method = method.as_deref().map(|text| Method::parse(text).ok_or_else(unknown)).transpose()?;
    let span = Span::forward(sessions::list_key(method), count, paging_token)?;
    let slice = sessions::browse(&app, &caller, method, &span).await?;
    let listed = Page { rows: slice.rows, next: slice.next };
    Ok(page(&request, listed, |listed| Session {
        email: Some(listed.email),
        ..Session::from(Shown(listed.session, caller.principal))
    }))
}

fn parse(user_id: &str) -> Result<Id<User>> {
    user_id.parse().map_err(|error| Error::invalid(format!("`user_id` is {error}")))
}

/// End a session
///
/// Ends a session of the caller's user; owners can end those of others. Succeeds for a session that has ended, too.
#[utoipa::path(delete, path = "/api/v2/users/sessions/{session_id}", operation_id = "session_end", tag = "sign-in",
    params(("session_id" = String, Path)),
    responses(
        (status = 204, description = "The session has ended."),
        (status = 404, description = "No such session, or it is another user's.", body = ErrorBody),
    ))]
pub(in crate::http) async fn end(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let session_id = extract::id(&request, "session_id", "session")?;
    sessions::end(&app, &caller, session_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The sessions to end.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EndAll {
    /// Whether to keep the session of this request. Default: `false`.
    #[serde(default)]
    keep_this: bool,
    /// ID of another user. For owners.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// Whether to end the sessions of all users of the organization, except for that of this request. For owners. Default: `false`.
    #[serde(default)]
    everyone: bool,
}

/// End all sessions of a user, or of everybody
///
/// Ends all sessions of the caller's user; owners can end those of another user, or of everybody.
#[utoipa::path(post, path = "/api/v2/users/sessions/end_all", operation_id = "session_end_all", tag = "sign-in",
    request_body = EndAll,
    responses(
        (status = 200, description = "The number of sessions that were ended.", body = Single<EndedSessions>),
        (status = 404, description = "The caller has no user.", body = ErrorBody),
    ))]
pub(in crate::http) async fn end_all(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let EndAll { keep_this, user_id, everyone } = body.optional_object().await?;
    let user_id = user_id.as_deref().map(parse).transpose()?;
    if everyone {
        if user_id.is_some() {
            return Err(Error::invalid("`user_id` and `everyone` exclude each other"));
        }
        let ended = sessions::end_everyone(&app, &caller, false).await?.sessions;
        return Ok(single(EndedSessions { ended }));
    }
    let ended = sessions::end_all(&app, &caller, user_id, keep_this).await?;
    Ok(single(EndedSessions { ended }))
}
