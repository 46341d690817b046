//! Logging in: one-time passwords, their approval, and the page that their link leads to.

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use crate::app::App;
use crate::caller::Caller;
use crate::device_logins::{self, BadOtp, Otp};
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::public_url::public_url;
use crate::http::{body, extract};

/// Nothing may run or be loaded; the page's own style may be used.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FRAME: &str = include_str!("login.html");

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct StartQuery {
    /// For how long the key is wanted, in seconds, up to the server's setting `keys.max_days`; 0: for as long as
    /// that. Absent: as `keys.default_days` says.
    #[param(value_type = Option<i64>, example = 604_800)]
    duration_seconds: Option<String>,
}

/// A login that was started.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct StartedLogin {
    /// A page that says how the login is approved.
    #[schema(example = "https://muster.example.org/login/otp_…")]
    url: String,
    /// The one-time password: for 10 minutes, and for one key. Whoever has it gets the key.
    #[schema(example = "otp_…")]
    otp: String,
}

/// Start a login
///
/// Somebody who has an API key approves the one-time password, and whoever started the login then gets a key that acts
/// as them. Nothing is written until then.
#[utoipa::path(get, path = "/api/v2/users/create_otp_token", operation_id = "login_start", tag = "logins",
    params(StartQuery),
    responses(
        (status = 200, description = "The one-time password.", body = Single<StartedLogin>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
    ))]
pub(in crate::http) async fn start(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let result = started(&request, &app)?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Single { result }))
}

fn started(request: &HttpRequest, app: &App) -> Result<StartedLogin> {
    let query: StartQuery = extract::query(request)?;
    let duration = query.duration_seconds.map(|text| text.parse()).transpose();
    let duration = duration.map_err(|_| Error::invalid("`duration_seconds` has to be a whole number"))?;
    let base = public_url(request, &app.config.server)?;
    let otp = device_logins::start(app, duration)?.as_str().to_owned();
    Ok(StartedLogin { url: format!("{base}/login/{otp}"), otp })
}

/// How far a login is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FetchedLogin {
    /// Whether it was approved, and this is its key.
    valid: bool,
    /// The key's token; empty while it is not approved.
    server_session_id: String,
}

/// Ask for the key of a login
///
/// As often as it takes: until it is approved, the answer is that it is not. Its key is given once.
#[utoipa::path(get, path = "/api/v2/users/request_otp_token/{otp}", operation_id = "login_fetch", tag = "logins",
    params(("otp" = String, Path)),
    responses(
        (status = 200, description = "Approved, with the key's token, or not (yet).", body = Single<FetchedLogin>),
        (status = 404, description = "No such one-time password, or it has expired.", body = ErrorBody),
        (status = 409, description = "Whoever approved it has no access any longer.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ))]
pub(in crate::http) async fn fetch(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    // A HEAD response has no body, so fetching the key would lose it.
    let key = match *request.method() {
        Method::HEAD => None,
        _ => device_logins::fetch(&app, one_time_password(&request), extract::origin(&request)).await?,
    };
    let server_session_id = key.map(|key| key.token.expose().to_owned()).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(Single { result: FetchedLogin { valid: !server_session_id.is_empty(), server_session_id } }))
}

fn one_time_password(request: &HttpRequest) -> &str {
    request.match_info().get("otp").unwrap_or_default()
}

/// A login to be approved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Approval {
    /// The one-time password. Approve only what you started yourself.
    #[schema(example = "otp_…")]
    otp: String,
}

/// A login that was approved.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ApprovedLogin {
    /// Who acts when its key is used; absent when that is the key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// What its key will allow.
    permission_level: &'static str,
    /// Until when the key can be fetched.
    expires_at: DateTime<Utc>,
}

/// Approve a login
///
/// Whoever started it gets an API key that acts as you, with all that the key that asks may. Approve only what you
/// started yourself.
#[utoipa::path(post, path = "/api/v2/users/approve_otp_token", operation_id = "login_approve", tag = "logins",
    request_body = Approval,
    responses(
        (status = 200, description = "It is approved.", body = Single<ApprovedLogin>),
        (status = 400, description = "A body that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "An API key without the scope `keys:write`.", body = ErrorBody),
        (status = 404, description = "No such one-time password, or it has expired.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "It has been approved before.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn approve(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let asked: Approval = body::object(&request, payload, &app.config.server).await?;
    let approved = device_logins::approve(&app, &caller, &asked.otp, None).await?;
    let result = ApprovedLogin {
        user_id: approved.user_id.map(|user_id| user_id.to_string()),
        permission_level: approved.permission_level.as_str(),
        expires_at: approved.otp.expires_at,
    };
    Ok(HttpResponse::Ok().json(Single { result }))
}

/// How to approve a login, for people
///
/// What the link of a started login leads to. Approves nothing by itself.
#[utoipa::path(get, path = "/login/{otp}", operation_id = "login_page", tag = "logins",
    params(("otp" = String, Path)),
    responses(
        (status = 200, description = "The page.", content_type = "text/html", body = String),
        (status = 404, description = "A page that says what is wrong with the one-time password.",
            content_type = "text/html", body = String),
    ))]
pub(in crate::http) async fn page(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    let (mut response, content) = match device_logins::check(&app, one_time_password(&request)) {
        Ok(otp) => (HttpResponse::Ok(), how_to_approve(&otp)),
        Err(bad) => (HttpResponse::NotFound(), what_is_wrong(bad).to_owned()),
    };
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(FRAME.replace("{content}", &content))
}

/// A one-time password that was recognised has no character that HTML would take for its own.
fn how_to_approve(otp: &Otp) -> String {
    let (code, until) = (otp.as_str(), otp.expires_at.format("%H:%M UTC"));
    format!(
        "<p>A program asks for an API key. Its code, until {until}:</p>\n<p><code>{code}</code></p>\n\
         <p>To give it a key that acts as you, with all that your own key may, run on a machine where you are logged \
         in:</p>\n<pre>muster login approve {code}</pre>\n\
         <p><strong>Approve only what you started yourself, just now.</strong> If somebody else sent you here, they \
         would get the key: close this page.</p>"
    )
}

const fn what_is_wrong(bad: BadOtp) -> &'static str {
    match bad {
        BadOtp::Unknown => "<p>There is no such code. Check that all of the link was copied.</p>",
        BadOtp::Expired => "<p>This code has expired. Start the login again.</p>",
    }
}
