//! `/api/v2/users/login`, `logout` and `change_password`: signing in with a password, and out.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Single, single};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{browser, extract, session};
use crate::secret::Secret;
use crate::sessions::StartedSession;
use crate::sign_in::{self, Attempt, NewPassword, ResetRequest};
use crate::sso;

/// An address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Login {
    /// E-mail address of the user.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// Password.
    #[schema(value_type = String, max_length = 256, format = "password")]
    password: Secret,
    /// ID, short name or display name of the organization. May be absent if the server has one organization.
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: Option<String>,
    /// Not supported; must be absent or empty.
    magic_token: Option<String>,
}

/// A session that was started. Its token is in the cookie only.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct StartedLogin {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    /// `full`: signed in. `must_change`: only `change_password` is possible; an administrator set the password.
    #[schema(example = "full")]
    stage: &'static str,
    /// When the session ends in any case.
    expires_at: DateTime<Utc>,
}

impl From<&StartedSession> for StartedLogin {
    fn from(session: &StartedSession) -> Self {
        Self {
            user_id: session.user_id.to_string(),
            organization_id: session.organization_id.to_string(),
            stage: session.stage.as_str(),
            expires_at: session.expires_at,
        }
    }
}

/// Sign in
///
/// Starts a session, whose token is in the cookie `__Host-Http-muster` of the response. All refusals are alike; owners find the reason in
/// the audit log. Attempts are limited for each account and each network.
#[utoipa::path(post, path = "/api/v2/users/login", operation_id = "session_start", tag = "sign-in",
    request_body = Login,
    responses(
        (status = 200, description = "Signed in.", body = Single<StartedLogin>),
        (status = 400, description = "The body is not JSON, or lacks a field.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 415, description = "A browser sent a body without a JSON media type.", body = ErrorBody),
        (status = 401, description = "Refused (`sign_in_refused`).", body = ErrorBody),
        (status = 403, description = "A page of another site sent the request (`cross_site`).", body = ErrorBody),
        (status = 429, description = "Too many attempts (`throttled`); see `Retry-After`.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn login(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let Login { email, password, organization_id, magic_token } = body.object().await?;
    if magic_token.is_some_and(|token| !token.is_empty()) {
        return Err(Error::invalid("`magic_token` is not supported; sign in with a password"));
    }
    let device = session::device(&body.request);
    let attempt = Attempt { email, password, organization: organization_id, device };
    let signed_in = sign_in::sign_in(&app, attempt, &session::client(&body.request)).await?;
    session::end_previous(&app, &body.request).await;
    let mut response = single(StartedLogin::from(&signed_in.session));
    session::set(&mut response, &signed_in.session, signed_in.device.as_ref(), app.clock.now());
    Ok(response)
}

/// The address of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordResetRequest {
    /// E-mail address of the user.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: String,
    /// ID, short name or display name of the organization. May be absent if the server has one organization.
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: Option<String>,
}

/// What becomes of a request for a link.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RequestedReset {
    /// What happens if there is such an account.
    message: &'static str,
}

/// Ask for a link to set a new password
///
/// If the address is that of a user who can have a password, a link is sent to it. The response does not tell whether it is.
#[utoipa::path(post, path = "/api/v2/users/request_password_reset", operation_id = "password_reset_request", tag = "sign-in",
    request_body = PasswordResetRequest,
    responses(
        (status = 202, description = "Accepted, for every address.", body = Single<RequestedReset>),
        (status = 400, description = "The body is not JSON, or lacks a field.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 415, description = "A browser sent a body without a JSON media type.", body = ErrorBody),
        (status = 403, description = "A page of another site sent the request (`cross_site`).", body = ErrorBody),
        (status = 409, description = "The server can't send links (`mail_not_configured`, `seal_key_missing`); ask an administrator.",
            body = ErrorBody),
        (status = 429, description = "Too many requests (`throttled`); see `Retry-After`.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn request_reset(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let PasswordResetRequest { email, organization_id } = body.object().await?;
    let request = ResetRequest { email, organization: organization_id };
    sign_in::request_reset(&app, request, &session::client(&body.request)).await?;
    let message = "if there is an account that can have a password, a link is on its way to its address";
    Ok(HttpResponse::Accepted().json(Single { result: RequestedReset { message } }))
}

/// Where to sign out elsewhere.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LoggedOut {
    /// Address at which to end the session at the identity provider, too; `null` if there is none.
    entra_logout_url: Option<String>,
}

/// Sign out
///
/// Ends the session of the cookie and clears the cookie. Succeeds without a valid session, too.
#[utoipa::path(post, path = "/api/v2/users/logout", operation_id = "session_end_own", tag = "sign-in",
    responses(
        (status = 200, description = "Signed out.", body = Single<LoggedOut>),
        (status = 403, description = "A page of another site sent the request (`cross_site`).", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn logout(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse> {
    let entra_logout_url = match session::holder(&request).await {
        Ok(Some(holder)) => {
            let caller = holder.caller(extract::origin(&request), app.clock.now());
            sso::provider_of(&app, holder.session_id, &caller).await?.and_then(|(_, url)| url)
        }
        _ => None,
    };
    session::sign_out(&app, &request).await?;
    let mut response = single(LoggedOut { entra_logout_url });
    session::clear_with_drafts(&mut response);
    Ok(response)
}

/// The current and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordChange {
    /// Current password. May be absent only while an initial password has to be changed (stage `must_change`): the session was started
    /// with it.
    #[schema(value_type = Option<String>, max_length = 256, format = "password")]
    current_password: Option<Secret>,
    /// New password.
    #[schema(value_type = String, max_length = 256, format = "password")]
    new_password: Secret,
    /// Whether to revoke the user's API keys, too. Default: `false`.
    #[serde(default)]
    revoke_api_keys: bool,
}

/// What a changed password has ended.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PasswordChanged {
    /// Number of other sessions that were ended.
    ended_sessions: usize,
    /// IDs of the API keys that were revoked.
    revoked_api_keys: Vec<String>,
}

/// Change one's own password
///
/// Ends all other sessions of the user and revokes open links. The session of the request stays, with a new cookie. API keys stay, unless
/// `revoke_api_keys` is set.
#[utoipa::path(post, path = "/api/v2/users/change_password", operation_id = "password_change", tag = "sign-in",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Changed.", body = Single<PasswordChanged>),
        (status = 400, description = "The body is not JSON, or lacks a field.", body = ErrorBody),
        (status = 403, description = "The current password is wrong (`wrong_password`), or a page of another site sent the request.",
            body = ErrorBody),
        (status = 409, description = "The user has no password or must use single sign-on, or the password was changed meanwhile.", body = ErrorBody),
        (status = 422, description = "The new password can't be used (`password_rejected`); `detail` has all reasons.",
            body = ErrorBody),
        (status = 429, description = "Too many attempts (`throttled`); see `Retry-After`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn change_password(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let caller = session::caller_of_any_stage(&app, &body.request).await?;
    let PasswordChange { current_password, new_password, revoke_api_keys } = body.object().await?;
    let device = session::device(&body.request);
    let change = NewPassword { current: current_password, new: new_password, revoke_api_keys, device };
    let changed = sign_in::change_password(&app, &caller, change).await?;
    let mut response = single(PasswordChanged {
        ended_sessions: changed.ended_sessions,
        revoked_api_keys: changed.revoked_keys.iter().map(ToString::to_string).collect(),
    });
    if let Some(session) = &changed.session {
        session::set(&mut response, session, changed.device.as_ref(), app.clock.now());
    }
    Ok(response)
}
