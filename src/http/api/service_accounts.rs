//! `POST /api/v2/users/service_accounts`, and the vendor's routes for API keys.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use muster_client::ServiceAccount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Single, api_keys, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, vendor};
use crate::keys::{self, KeySpec, Lifetime};
use crate::service_accounts;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// Name of the account: 1 to 64 letters, digits, `.`, `-` and `_`, not used by another collaborator.
    #[param(required = true, example = "ci")]
    name: Option<String>,
}

/// Create a service account
///
/// An account for a program. It has no password and acts through API keys. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/service_accounts", operation_id = "service_account_create",
    tag = "service accounts", params(Query),
    responses(
        (status = 200, description = "The created account.", body = Single<ServiceAccount>),
        (status = 409, description = "Another collaborator has this name.", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let account = service_accounts::create(&app, &caller, query.name.as_deref()).await?;
    let result = ServiceAccount {
        user_id: account.user_id.to_string(),
        identity_id: Some(account.identity_id.to_string()),
        name: account.name,
        organization_id: account.organization_id.to_string(),
        email: account.email,
        permission_level: account.permission_level.as_str().to_owned(),
        created_at: account.created_at,
    };
    Ok(single(result))
}

/// A request of the vendor's client to create an API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewKey {
    /// Lifetime in seconds, capped at the server setting `keys.max_days`: the vendor's client requests a hundred
    /// years.
    #[schema(example = 3_153_600_000_i64)]
    duration: f64,
    /// ID of the service account or of the caller. Required, although the vendor's client may omit it.
    #[schema(required = true, nullable = false, example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// Name of the key.
    #[schema(example = "ci")]
    name: Option<String>,
}

/// Whole seconds; 0 for a negative number.
fn whole_seconds(seconds: f64) -> i64 {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        Err(_) if seconds > 0.0 => i64::MAX,
        Err(_) => 0,
    }
}

/// An API key in the format of the vendor's client.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ServerSession {
    /// The token, which is shown only once.
    #[schema(example = "amk_…")]
    server_session_id: String,
    key_id: String,
    /// Expiration time.
    expires_at: DateTime<Utc>,
}

/// Create an API key for a service account (vendor's route)
///
/// The key has the permissions of the service account, limited to those of the calling key. `POST /api/v2/api_keys` has
/// more options.
#[utoipa::path(post, path = "/api/v2/users/create_api_key", operation_id = "key_create_for_user",
    tag = "service accounts", request_body = NewKey,
    responses(
        (status = 200, description = "The created key.", body = Single<ServerSession>),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
    ))]
pub(in crate::http) async fn create_key(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let new: NewKey = body.object().await?;
    // The vendor's client omits `user_id` if it did not find the service account, and would mistake a key of the caller
    // for one of the service account.
    let user_id = new.user_id.ok_or_else(|| {
        Error::invalid("missing `user_id`; for a key of your own, set your own `user_id` or use POST /api/v2/api_keys")
    })?;
    let spec = KeySpec {
        key_id: None,
        name: new.name.unwrap_or_else(|| "api key".to_owned()),
        user_id: Some(api_keys::user_id(&user_id)?),
        permission_level: None,
        scopes: None,
        lifetime: Lifetime::AtMost(whole_seconds(new.duration)),
    };
    let keys::NewKey { key, token } = keys::create(&app, &caller, spec).await?;
    let result = ServerSession {
        server_session_id: token.expose().to_owned(),
        key_id: key.key_id.to_string(),
        expires_at: key.expires_at,
    };
    Ok(single(result))
}

/// The result of revoking all keys of a user.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Rotated {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// Number of revoked keys.
    keys: usize,
}

/// Revoke all API keys of a user
///
/// The vendor's client does this before it creates a new key. For a rotation without interruption use `POST
/// /api/v2/api_keys/{key_id}/rotate`, which keeps the previous secret valid for a while. Requires an owner.
#[utoipa::path(post, path = "/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}",
    operation_id = "key_rotate_for_user", tag = "service accounts", params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The number of revoked keys.", body = Single<Rotated>),
        (status = 409, description = "The user has no active API key; or a version of the vendor's client that takes \
            people for service accounts (0.26.46 to 0.26.62) sent the ID of a person.", body = ErrorBody),
    ))]
pub(in crate::http) async fn rotate_for_user(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let user_id = extract::id(&request, "user_id", "user")?;
    let keys = keys::revoke_all(&app, &caller, user_id, vendor::meant_kind(&request)).await?;
    Ok(single(Rotated { user_id: user_id.to_string(), keys }))
}
