//! `/api/v2/users/api_keys`, `/api/v2/users/admin/api_keys` and `/api/v2/organizations/api_key_expiration`: API keys in the
//! format of the vendor's client.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use muster_client::KeyExpiration;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Single, api_keys, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::id::{self, Id};
use crate::keys::{self, Filter, Summary, Whose};
use crate::list;
use crate::organizations;
use crate::page::PageRequest;

/// An API key in the format of the vendor's client.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ApiKeyInfo {
    /// ID of the key, as the routes for revoking accept it.
    #[schema(example = "key_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    hex_hashed_id: String,
    /// The same ID.
    display_id: String,
    name: String,
    created_at: DateTime<Utc>,
    /// ID of the key that created this one; `null` for the local operator.
    created_by: Option<String>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Summary> for ApiKeyInfo {
    fn from(key: Summary) -> Self {
        Self {
            hex_hashed_id: key.key_id.to_string(),
            display_id: key.key_id.to_string(),
            name: key.name,
            created_at: key.created_at,
            created_by: key.created_by.map(|key_id| key_id.to_string()),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct OwnQuery {
    /// Name of the key, exact.
    name: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Keys per page: 1 to 50, default 50.
    count: Option<String>,
}

/// List your own API keys (vendor's route)
///
/// Oldest first, including expired and revoked keys. `GET /api/v2/api_keys` has more fields.
#[utoipa::path(get, path = "/api/v2/users/api_keys", operation_id = "key_list_own", tag = "service accounts",
    params(OwnQuery),
    responses((status = 200, description = "A page of keys.", body = Listing<ApiKeyInfo>)))]
pub(in crate::http) async fn list_own(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let query: OwnQuery = extract::query(&request)?;
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let filter = Filter { whose: Whose::Own, name: query.name, ..Filter::default() };
    let page = keys::list(&app, &caller, filter, &page).await?;
    Ok(super::page(&request, page, ApiKeyInfo::from))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AllQuery {
    /// Name of the key, exact.
    name: Option<String>,
    /// ID of the key that created the key, `key_…`.
    created_by: Option<String>,
    /// ID of the user that the key acts as, `usr_…`.
    user_id: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Keys per page: 1 to 50, default 50.
    count: Option<String>,
}

/// List all API keys (vendor's route)
///
/// Oldest first, including expired and revoked keys. `GET /api/v2/api_keys` has more fields. Requires an owner.
#[utoipa::path(get, path = "/api/v2/users/admin/api_keys", operation_id = "key_list_all", tag = "service accounts",
    params(AllQuery),
    responses((status = 200, description = "A page of keys.", body = Listing<ApiKeyInfo>)))]
pub(in crate::http) async fn list_all(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let query: AllQuery = extract::query(&request)?;
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let created_by = query.created_by.map(|text| text.parse());
    let filter = Filter {
        whose: Whose::Anybody,
        user_id: query.user_id.as_deref().map(api_keys::user_id).transpose()?,
        name: query.name,
        created_by: created_by.transpose().map_err(|error| Error::invalid(format!("`created_by` is {error}")))?,
    };
    let page = keys::list(&app, &caller, filter, &page).await?;
    Ok(super::page(&request, page, ApiKeyInfo::from))
}

fn key_id(request: &HttpRequest) -> Result<Id<id::ApiKey>> {
    extract::id(request, "key_id", "API key")
}

/// Revoke an API key of your own (vendor's route)
///
/// As `DELETE /api/v2/api_keys/{key_id}`, but not for keys of other users.
#[utoipa::path(delete, path = "/api/v2/users/api_keys/{key_id}", operation_id = "key_revoke_own",
    tag = "service accounts", params(("key_id" = String, Path)),
    responses(
        (status = 204, description = "The key is revoked."),
        (status = 409, description = "The key is already revoked.", body = ErrorBody),
    ))]
pub(in crate::http) async fn revoke_own(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    keys::revoke(&app, &caller, key_id(&request)?, Whose::Own).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Revoke any API key (vendor's route)
///
/// As `DELETE /api/v2/api_keys/{key_id}`. Requires an owner.
#[utoipa::path(delete, path = "/api/v2/users/admin/api_keys/{key_id}", operation_id = "key_revoke_any",
    tag = "service accounts", params(("key_id" = String, Path)),
    responses(
        (status = 204, description = "The key is revoked."),
        (status = 409, description = "The key is already revoked.", body = ErrorBody),
    ))]
pub(in crate::http) async fn revoke_any(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    keys::revoke(&app, &caller, key_id(&request)?, Whose::Anybody).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The API keys to revoke.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RevokeApiKeysRequest {
    /// IDs of keys, `key_…`.
    #[serde(deserialize_with = "key_ids")]
    #[schema(max_items = 100, example = json!(["key_01k9h6m3x0e8wbz1v5n7q2r4t6"]))]
    api_key_ids: Vec<String>,
}

/// The maximum number of keys in a list: each is revoked in a transaction of its own.
const MAX_KEY_IDS: usize = 100;

fn key_ids<'de, D: Deserializer<'de>>(ids: D) -> Result<Vec<String>, D::Error> {
    list::field(ids, "api_key_ids", MAX_KEY_IDS)
}

/// The outcome of revoking a list of API keys.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RevokedApiKeys {
    success_count: usize,
    failed_count: usize,
    failed_keys: Vec<FailedApiKey>,
    total_requested: usize,
}

/// An API key that was not revoked.
#[derive(Serialize, ToSchema)]
struct FailedApiKey {
    /// The ID, as in the request.
    api_key_id: String,
    /// The reason, for people.
    error: String,
}

/// Revoke several API keys of your own (vendor's route)
///
/// Each key on its own: the response lists the keys that were not revoked. Keys of other users are unknown here.
#[utoipa::path(post, path = "/api/v2/users/api_keys/revoke", operation_id = "key_revoke_own_list",
    tag = "service accounts", request_body = RevokeApiKeysRequest,
    responses((status = 200, description = "The outcome.", body = Single<RevokedApiKeys>)))]
pub(in crate::http) async fn revoke_own_list(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    revoke_list(&app, &caller, body, Whose::Own).await
}

/// Revoke several API keys (vendor's route)
///
/// Each key on its own: the response lists the keys that were not revoked. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/admin/api_keys/revoke", operation_id = "key_revoke_any_list",
    tag = "service accounts", request_body = RevokeApiKeysRequest,
    responses((status = 200, description = "The outcome.", body = Single<RevokedApiKeys>)))]
pub(in crate::http) async fn revoke_any_list(app: web::Data<App>, caller: Caller, body: Body) -> Result<HttpResponse> {
    revoke_list(&app, &caller, body, Whose::Anybody).await
}

async fn revoke_list(app: &App, caller: &Caller, mut body: Body, whose: Whose) -> Result<HttpResponse> {
    let key_ids = async { Ok(body.object::<RevokeApiKeysRequest>().await?.api_key_ids) };
    let (failed, total) = keys::revoke_each(app, caller, whose, key_ids).await?;
    let failed_key = |(api_key_id, error): (String, Error)| FailedApiKey { api_key_id, error: error.to_string() };
    Ok(single(RevokedApiKeys {
        success_count: total - failed.len(),
        failed_count: failed.len(),
        failed_keys: failed.into_iter().map(failed_key).collect(),
        total_requested: total,
    }))
}

/// Get the maximum lifetime of API keys
///
/// The maximum of the organization; the server setting `keys.max_days` limits it further. Requires an owner.
#[utoipa::path(get, path = "/api/v2/organizations/api_key_expiration", operation_id = "key_expiration_get",
    tag = "keys",
    responses((status = 200, description = "The maximum.", body = Single<KeyExpiration>)))]
pub(in crate::http) async fn expiration(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let max_api_key_expiration_days = organizations::max_key_days(&app, &caller).await?;
    Ok(single(KeyExpiration { max_api_key_expiration_days }))
}

/// A new maximum lifetime of API keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewKeyExpiration {
    /// In days, at most 36,500; `null` or absent for no maximum of the organization.
    #[schema(minimum = 1, maximum = 36_500, example = 90)]
    max_api_key_expiration_days: Option<u32>,
}

/// Set the maximum lifetime of API keys
///
/// For keys that are created or rotated from now on; other keys keep their expiration. Requires an owner.
#[utoipa::path(put, path = "/api/v2/organizations/api_key_expiration", operation_id = "key_expiration_set",
    tag = "keys", request_body = NewKeyExpiration,
    responses((status = 200, description = "The new maximum.", body = Single<KeyExpiration>)))]
pub(in crate::http) async fn set_expiration(
    app: web::Data<App>,
    caller: Caller,
    mut body: Body,
) -> Result<HttpResponse> {
    let days = async { Ok(body.object::<NewKeyExpiration>().await?.max_api_key_expiration_days) };
    let max_api_key_expiration_days = organizations::set_max_key_days(&app, &caller, days).await?;
    Ok(single(KeyExpiration { max_api_key_expiration_days }))
}
