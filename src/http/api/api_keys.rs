//! `/api/v2/api_keys`: creating, reading, rotating and revoking API keys.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Duration, Utc};
use muster_client::{ApiKey, ApiKeyWithToken};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use super::collaborators::permission_level;
use super::{Listing, Single, single};
use crate::app::App;
use crate::caller::{Caller, Scope, Scopes};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::id::{self, Id};
use crate::keys::{self, Filter, KeySpec, LatestRotation, Lifetime, NewKey, Summary, Whose};
use crate::list;
use crate::page::PageRequest;

impl Summary {
    /// The key as the API and the command line represent it.
    pub(crate) fn into_api_key(self, now: DateTime<Utc>) -> ApiKey {
        ApiKey {
            status: self.status(now).as_str().to_owned(),
            key_id: self.key_id.to_string(),
            user_id: self.user_id.map(|user_id| user_id.to_string()),
            user_status: self.user_status.map(|status| status.as_str().to_owned()),
            name: self.name,
            permission_level: self.permission_level.as_str().to_owned(),
            scopes: self.scopes,
            created_at: self.created_at,
            created_by: self.created_by.map(|key_id| key_id.to_string()),
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            rotated_at: self.rotated_at,
            previous_expires_at: self.previous_expires_at.filter(|until| *until > now),
            revoked_at: self.revoked_at,
        }
    }
}

impl NewKey {
    /// The key as the API and the command line represent it, with its token.
    pub(crate) fn into_api_key(self, now: DateTime<Utc>) -> ApiKeyWithToken {
        ApiKeyWithToken { key: self.key.into_api_key(now), token: self.token.expose().into() }
    }
}

fn key_id(request: &HttpRequest) -> Result<Id<id::ApiKey>> {
    extract::id(request, "key_id", "API key")
}

/// Parses the `user_id` of a body or a query.
pub(super) fn user_id(text: &str) -> Result<Id<id::User>> {
    text.parse().map_err(|error| Error::invalid(format!("`user_id` is {error}")))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Only keys of this user. Only owners can list keys of other users.
    user_id: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Keys per page: 1 to 50, default 50.
    count: Option<String>,
}

/// List API keys, oldest first
///
/// Owners see all keys; other callers see their own.
#[utoipa::path(get, path = "/api/v2/api_keys", operation_id = "key_list", tag = "keys", params(ListQuery),
    responses((status = 200, description = "A page of keys.", body = Listing<ApiKey>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: ListQuery = extract::query(&request)?;
    let filter = Filter { user_id: query.user_id.as_deref().map(user_id).transpose()?, ..Filter::default() };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let page = keys::list(&app, &caller, filter, &page).await?;
    let now = app.clock.now();
    Ok(super::page(&request, page, |key| key.into_api_key(now)))
}

/// A request to create an API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewApiKey {
    /// Name of the key: 1 to 100 visible characters on one line.
    #[schema(example = "ci")]
    name: String,
    /// ID of the service account that the key acts as, which requires an owner. Default: the caller.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// `owner` or `collaborator`; not higher than the permission level of the calling key, which is the default.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// Scopes that restrict the permission level. Default: the scopes of the calling key.
    #[serde(default, deserialize_with = "scope_names")]
    #[schema(max_items = 11, example = json!(["users:read", "audit:read"]))]
    scopes: Option<Vec<String>>,
    /// Lifetime in seconds, up to the server setting `keys.max_days` and the maximum of the organization. Default:
    /// `keys.default_days`, or that maximum if it is shorter.
    #[schema(example = 7_776_000)]
    expires_in_seconds: Option<i64>,
}

fn scope_names<'de, D: Deserializer<'de>>(names: D) -> Result<Option<Vec<String>>, D::Error> {
    list::optional_field(names, "scopes", Scope::ALL.len())
}

impl NewApiKey {
    fn into_spec(self) -> Result<KeySpec> {
        // `keys.max_days` rejects a lifetime that `Duration` can't represent.
        let lifetime = |seconds| Lifetime::Exactly(Duration::try_seconds(seconds).unwrap_or(Duration::MAX));
        Ok(KeySpec {
            name: self.name,
            key_id: None,
            user_id: self.user_id.as_deref().map(user_id).transpose()?,
            permission_level: self.permission_level.as_deref().map(permission_level).transpose()?,
            scopes: self.scopes.as_deref().map(scopes).transpose()?,
            lifetime: self.expires_in_seconds.map_or(Lifetime::Default, lifetime),
        })
    }
}

fn scopes(names: &[String]) -> Result<Scopes> {
    let known: Option<Vec<Scope>> = names.iter().map(|name| Scope::parse(name)).collect();
    match known {
        Some(known) if !known.is_empty() => Ok(Scopes::only(known)),
        _ => Err(Error::invalid(format!(
            "invalid `scopes`; expected one or more of {}, or no `scopes` for those of the calling key",
            Scope::list()
        ))),
    }
}

/// Create an API key
///
/// For the caller or, as an owner, for a service account. The new key never has more permissions than the calling
/// key. The response contains the token, which is shown only once.
#[utoipa::path(post, path = "/api/v2/api_keys", operation_id = "key_create", tag = "keys",
    request_body = NewApiKey,
    responses(
        (status = 200, description = "The created key.", body = Single<ApiKeyWithToken>),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let new: NewApiKey = body.object().await?;
    let key = keys::create(&app, &caller, new.into_spec()?).await?;
    Ok(single(key.into_api_key(app.clock.now())))
}

/// Get an API key
///
/// Owners can get any key; other callers only their own.
#[utoipa::path(get, path = "/api/v2/api_keys/{key_id}", operation_id = "key_get", tag = "keys",
    params(("key_id" = String, Path)),
    responses((status = 200, description = "The key.", body = Single<ApiKey>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let key = keys::get(&app, &caller, key_id(&request)?).await?;
    Ok(single(key.into_api_key(app.clock.now())))
}

/// Revoke an API key
///
/// The revocation takes effect immediately on this server and within a second on other servers with the same
/// database. Callers can revoke their own keys, including the calling key, regardless of scopes; owners can revoke any
/// key.
#[utoipa::path(delete, path = "/api/v2/api_keys/{key_id}", operation_id = "key_revoke", tag = "keys",
    params(("key_id" = String, Path)),
    responses(
        (status = 200, description = "The revoked key.", body = Single<ApiKey>),
        (status = 409, description = "The key is already revoked.", body = ErrorBody),
    ))]
pub(in crate::http) async fn revoke(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let key = keys::revoke(&app, &caller, key_id(&request)?, Whose::Visible).await?;
    Ok(single(key.into_api_key(app.clock.now())))
}

/// A request to rotate an API key.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Rotation {
    /// How long the previous secret remains valid, in seconds: up to 7 days; 0 to invalidate it immediately. Default:
    /// the server setting `keys.rotation_overlap_hours`.
    #[schema(example = 3600)]
    overlap_seconds: Option<i64>,
}

/// Rotate the secret of an API key
///
/// The previous secret remains valid for the overlap, so that clients can be updated one by one; an older secret is
/// invalidated. Name, permissions and expiration do not change, except that the key expires earlier if the maximum of the
/// organization is shorter. A key can rotate itself; owners can also rotate keys of
/// service accounts.
#[utoipa::path(post, path = "/api/v2/api_keys/{key_id}/rotate", operation_id = "key_rotate", tag = "keys",
    params(("key_id" = String, Path)), request_body = Option<Rotation>,
    responses(
        (status = 200, description = "The key with its new token, which is shown only once.",
            body = Single<ApiKeyWithToken>),
        (status = 409, description = "The key is revoked or expired.", body = ErrorBody),
    ))]
pub(in crate::http) async fn rotate(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let key_id = key_id(&body.request)?;
    let rotation: Rotation = body.optional_object().await?;
    let overlap = rotation.overlap_seconds.map(|seconds| Duration::try_seconds(seconds).unwrap_or(Duration::MAX));
    Ok(single(keys::rotate(&app, &caller, key_id, overlap, LatestRotation::Any).await?.into_api_key(app.clock.now())))
}
