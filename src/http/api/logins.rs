//! Device logins: one-time passwords and their approval.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{ApprovedLogin, LoginRequest, StartedLogin};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Single, single};
use crate::app::App;
use crate::caller::Caller;
use crate::device_logins;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::http::public_url::public_url;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct StartQuery {
    /// Lifetime of the key in seconds, up to the server setting `keys.max_days`; 0 for that maximum. Default:
    /// `keys.default_days`.
    #[param(value_type = Option<i64>, example = 604_800)]
    duration_seconds: Option<String>,
    /// Name of the machine that the client runs on, which the approver sees and which the key is named after.
    #[param(example = "laptop")]
    machine: Option<String>,
}

/// Start a login
///
/// When a user with an API key approves the login, the client that started it can fetch a key that acts as that user. The user
/// approves by the `code`, or by the one-time password: the code is absent if too many logins wait for their approval.
#[utoipa::path(get, path = "/api/v2/users/create_otp_token", operation_id = "login_start", tag = "logins",
    params(StartQuery),
    responses(
        (status = 200, description = "The one-time password and the code.", body = Single<StartedLogin>),
        (status = 400, description = "Invalid parameter.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn start(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let query: StartQuery = extract::query(&request)?;
    let duration = query.duration_seconds.map(|text| text.parse()).transpose();
    let duration = duration.map_err(|_| Error::invalid("invalid `duration_seconds`; expected a whole number"))?;
    let base = public_url(&request, &app.config.server)?;
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
    let address = extract::origin(&request).address;
    let client = device_logins::Client { address, user_agent: agent, machine: query.machine };
    let (otp, code) = device_logins::start(&app, duration, client).await?;
    let url = format!("{base}/login/{}", otp.as_str());
    let result = StartedLogin { url, otp: otp.as_str().into(), code: code.map(|code| code.to_string()) };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Single { result }))
}

/// The state of a login.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FetchedLogin {
    /// Whether the login is approved and this response contains its key.
    valid: bool,
    /// Token of the key; empty until the login is approved.
    server_session_id: String,
}

/// Fetch the key of a login
///
/// Poll until the login is approved. The key is returned once.
#[utoipa::path(get, path = "/api/v2/users/request_otp_token/{otp}", operation_id = "login_fetch", tag = "logins",
    params(("otp" = String, Path)),
    responses(
        (status = 200, description = "The state, with the token of the key if approved.", body = Single<FetchedLogin>),
        (status = 404, description = "The one-time password is unknown or expired.", body = ErrorBody),
        (status = 409, description = "The user that approved the login no longer has access.", body = ErrorBody),
        (status = 503, description = "The server is overloaded or the database is unavailable; see `Retry-After`.",
            body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn fetch(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    // A HEAD response has no body, so fetching the key would lose it.
    let key = match *request.method() {
        Method::HEAD => None,
        _ => device_logins::fetch(&app, one_time_password(&request), extract::origin(&request)).await?,
    };
    let server_session_id = key.map(|key| key.token.expose().to_owned()).unwrap_or_default();
    let result = FetchedLogin { valid: !server_session_id.is_empty(), server_session_id };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Single { result }))
}

fn one_time_password(request: &HttpRequest) -> &str {
    request.match_info().get("otp").unwrap_or_default()
}

/// A login to approve.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Approval {
    /// The code or the one-time password. Approve only a login that you started yourself.
    #[schema(example = "BDWP-HQPK")]
    otp: String,
}

/// Show who asks for a login
///
/// Finds a login by its code or its one-time password, before it is approved. The machine and the user agent are what the client
/// says; the address is what the server sees.
#[utoipa::path(get, path = "/api/v2/users/otp_tokens/{otp}", operation_id = "login_get", tag = "logins",
    params(("otp" = String, Path, description = "The code, in either case, with or without the hyphen; or the one-time password.")),
    responses(
        (status = 200, description = "The login.", body = Single<LoginRequest>),
        (status = 404, description = "The code or one-time password is unknown or expired.", body = ErrorBody),
        (status = 429, description = "Too many wrong codes from this user; see `Retry-After`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let login = device_logins::get(&app, &caller, one_time_password(&request)).await?;
    Ok(single(LoginRequest::from(login)))
}

impl From<device_logins::LoginRequest> for LoginRequest {
    fn from(login: device_logins::LoginRequest) -> Self {
        Self {
            requested_at: login.requested_at,
            expires_at: login.expires_at,
            client_address: login.client.address.map(|address| address.to_string()),
            user_agent: login.client.user_agent,
            machine: login.client.machine,
        }
    }
}

/// Approve a login
///
/// The client that started the login gets an API key that acts as you and has the permissions of the calling key.
/// Approve only a login that you started yourself.
#[utoipa::path(post, path = "/api/v2/users/approve_otp_token", operation_id = "login_approve", tag = "logins",
    request_body = Approval,
    responses(
        (status = 200, description = "The approved login.", body = Single<ApprovedLogin>),
        (status = 404, description = "The code or one-time password is unknown or expired.", body = ErrorBody),
        (status = 409, description = "The login is already approved.", body = ErrorBody),
        (status = 429, description = "Too many wrong codes from this user; see `Retry-After`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn approve(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let Approval { otp } = body.object().await?;
    let approved = device_logins::approve(&app, &caller, &otp, None).await?;
    let result = ApprovedLogin {
        user_id: approved.user_id.map(|user_id| user_id.to_string()),
        permission_level: approved.permission_level.as_str().to_owned(),
        expires_at: approved.expires_at,
    };
    Ok(single(result))
}
