//! `POST /api/v2/users/service_accounts`, and API keys as the vendor's client makes and rotates them.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Single, api_keys};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{body, extract};
use crate::keys::{self, KeySpec, Lifetime};
use crate::service_accounts;

/// A service account.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ServiceAccount {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// Its membership's id, with which it is removed.
    #[schema(example = "ide_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    identity_id: String,
    #[schema(example = "ci")]
    name: String,
    organization_id: String,
    /// Has no mailbox.
    #[schema(example = "ci@org-01k9h6m3x0e8wbz1v5n7q2r4t6.serviceaccount.com")]
    email: String,
    permission_level: &'static str,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// What it is called: 1 to 64 letters, digits, `.`, `-` and `_`; no collaborator has this name.
    #[param(required = true, example = "ci")]
    name: Option<String>,
}

/// Make a service account
///
/// An account for a program: it has no password, and acts through API keys, which are made for it. For owners.
#[utoipa::path(post, path = "/api/v2/users/service_accounts", operation_id = "service_account_create",
    tag = "service accounts", params(Query),
    responses(
        (status = 200, description = "It is made.", body = Single<ServiceAccount>),
        (status = 400, description = "A name that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 409, description = "A collaborator has this name.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn create(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let account = service_accounts::create(&app, &caller, query.name.as_deref()).await?;
    let result = ServiceAccount {
        user_id: account.user_id.to_string(),
        identity_id: account.identity_id.to_string(),
        name: account.name,
        organization_id: account.organization_id.to_string(),
        email: account.email,
        permission_level: account.permission_level.as_str(),
        created_at: account.created_at,
    };
    Ok(HttpResponse::Ok().json(Single { result }))
}

/// An API key as the vendor's client asks for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewKey {
    /// For how long, in seconds. More than the server's setting `keys.max_days` is cut to it: the vendor's client
    /// asks for a hundred years.
    #[schema(example = 3_153_600_000_i64)]
    duration: i64,
    /// Whose: a service account's, or one's own. Required, though the vendor's client may leave it out.
    #[schema(required = true, nullable = false, example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// What it is for.
    #[schema(example = "ci")]
    name: Option<String>,
}

/// An API key as the vendor's client gets it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ServerSession {
    /// The token, shown this once.
    #[schema(example = "amk_…")]
    server_session_id: String,
    key_id: String,
    /// When it stops working.
    expires_at: DateTime<Utc>,
}

/// Make an API key for a service account, as the vendor's client does
///
/// It allows what the service account may and the key that asks allows. `POST /api/v2/api_keys` can be told more.
#[utoipa::path(post, path = "/api/v2/users/create_api_key", operation_id = "key_create_for_user",
    tag = "service accounts", request_body = NewKey,
    responses(
        (status = 200, description = "It is made.", body = Single<ServerSession>),
        (status = 400, description = "A body that can't be used, or one without `user_id`.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key, or another person's account.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn create_api_key(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let new: NewKey = body::object(&request, payload, &app.config.server).await?;
    // The vendor's client leaves it out when it did not find one, and would take a key of the caller's for the
    // service account's.
    let user_id = new.user_id.ok_or_else(|| {
        Error::invalid(
            "`user_id` is missing: no key is made for the caller in the place of somebody else; for a key of your \
             own give your own `user_id`, or use POST /api/v2/api_keys",
        )
    })?;
    let spec = KeySpec {
        name: new.name.unwrap_or_else(|| "api key".to_owned()),
        user_id: Some(api_keys::user_id(&user_id)?),
        permission_level: None,
        scopes: None,
        lifetime: Lifetime::AtMost(new.duration),
    };
    let key = keys::create(&app, &caller, spec).await?;
    let result = ServerSession {
        server_session_id: key.token.expose().to_owned(),
        key_id: key.key_id.to_string(),
        expires_at: key.expires_at,
    };
    Ok(HttpResponse::Ok().json(Single { result }))
}

/// What was revoked.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Rotated {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// How many keys.
    keys: usize,
}

/// Revoke all API keys of a user
///
/// The vendor's client calls this before it makes a new one. For a change without an interruption, `POST
/// /api/v2/api_keys/{key_id}/rotate` leaves the old secret open for a while. For owners.
#[utoipa::path(post, path = "/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}",
    operation_id = "key_rotate_for_user", tag = "service accounts", params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "None of them opens anything any longer.", body = Single<Rotated>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 409, description = "The user has no API key that works.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn rotate_for_user(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let user_id = extract::id(&request, "user_id", "user")?;
    let keys = keys::revoke_all(&app, &caller, user_id).await?;
    Ok(HttpResponse::Ok().json(Single { result: Rotated { user_id: user_id.to_string(), keys } }))
}
