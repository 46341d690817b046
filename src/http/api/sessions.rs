//! `/api/v2/users/sessions`: listing and ending sessions.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{EndedSessions, Session};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Single, complete, single};
use crate::app::App;
use crate::caller::{Caller, Principal};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::id::{Id, User};
use crate::sessions::{self, SessionDetails};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// ID of another user. For owners.
    user_id: Option<String>,
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
        }
    }
}

/// List sessions
///
/// The sessions of the caller's user that are not over, the latest first. Owners can list those of another user.
#[utoipa::path(get, path = "/api/v2/users/sessions", operation_id = "session_list", tag = "sign-in", params(Query),
    responses(
        (status = 200, description = "The sessions.", body = Listing<Session>),
        (status = 404, description = "The caller has no user.", body = ErrorBody),
    ))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let Query { user_id } = extract::query(&request)?;
    let user_id = user_id.as_deref().map(parse).transpose()?;
    let sessions = sessions::list(&app, &caller, user_id).await?;
    let shown = sessions.into_iter().map(|session| Shown(session, caller.principal)).collect();
    Ok(complete::<_, Session>(&request, shown))
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
}

/// End all sessions of a user
///
/// Ends all sessions of the caller's user; owners can end those of another user.
#[utoipa::path(post, path = "/api/v2/users/sessions/end_all", operation_id = "session_end_all", tag = "sign-in",
    request_body = EndAll,
    responses(
        (status = 200, description = "The number of sessions that were ended.", body = Single<EndedSessions>),
        (status = 404, description = "The caller has no user.", body = ErrorBody),
    ))]
pub(in crate::http) async fn end_all(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let EndAll { keep_this, user_id } = body.optional_object().await?;
    let user_id = user_id.as_deref().map(parse).transpose()?;
    let ended = sessions::end_all(&app, &caller, user_id, keep_this).await?;
    Ok(single(EndedSessions { ended }))
}
