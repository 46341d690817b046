//! `/api/v2/api_keys`: making, looking at, rotating and revoking API keys.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel, Scope, Scopes};
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{body, extract, log};
use crate::id::{self, Id};
use crate::keys::{self, Filter, KeySpec, Lifetime, NewKey, NewSecret, Summary};
use crate::page::{Page, PageRequest};

/// An API key. Its token is not kept.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ApiKey {
    #[schema(example = "key_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    key_id: String,
    /// Who acts when it is used; absent for a key that acts for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// `active`, or `suspended` when that user is kept out, and the key with them; absent for a key that acts for itself,
    /// or was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "active")]
    user_status: Option<String>,
    #[schema(example = "ci")]
    name: String,
    /// `owner` or `collaborator`: what it allows, if its user may that.
    #[schema(example = "collaborator")]
    permission_level: String,
    /// What of that it may be used for; `null`: all.
    #[schema(example = json!(["users:read", "audit:read"]))]
    scopes: Option<Vec<String>>,
    /// `active`, `expired` or `revoked`.
    #[schema(example = "active")]
    status: &'static str,
    created_at: DateTime<Utc>,
    /// The API key that it was made with; absent: the local operator made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    created_by: Option<String>,
    /// When it stops working.
    expires_at: DateTime<Utc>,
    /// Its latest use, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime<Utc>>,
    /// When it got its secret, if that is not its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at: Option<DateTime<Utc>>,
    /// Until when the secret before opens as well; absent when it doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_expires_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime<Utc>>,
}

/// An API key with its token, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ApiKeyWithToken {
    #[serde(flatten)]
    key: ApiKey,
    /// What to show when calling, as `Authorization: Bearer …`.
    #[schema(example = "amk_…")]
    token: String,
}

impl ApiKey {
    fn show(key: Summary, now: DateTime<Utc>) -> Self {
        Self {
            status: key.status(now),
            key_id: key.key_id.to_string(),
            user_id: key.user_id.map(|user_id| user_id.to_string()),
            user_status: key.user_status,
            name: key.name,
            permission_level: key.permission_level.as_str().to_owned(),
            scopes: key.scopes,
            created_at: key.created_at,
            created_by: key.created_by.map(|key_id| key_id.to_string()),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            rotated_at: key.rotated_at,
            previous_expires_at: key.previous_expires_at.filter(|until| *until > now),
            revoked_at: key.revoked_at,
        }
    }

    fn show_new(key: NewKey) -> ApiKeyWithToken {
        let token = key.token.expose().to_owned();
        let shown = Self {
            key_id: key.key_id.to_string(),
            user_id: key.user_id.map(|user_id| user_id.to_string()),
            user_status: None,
            name: key.name,
            permission_level: key.permission_level.as_str().to_owned(),
            scopes: key.scopes.to_database(),
            status: "active",
            created_at: key.created_at,
            created_by: key.created_by.map(|key_id| key_id.to_string()),
            expires_at: key.expires_at,
            last_used_at: None,
            rotated_at: None,
            previous_expires_at: None,
            revoked_at: None,
        };
        ApiKeyWithToken { key: shown, token }
    }
}

fn key_id(request: &HttpRequest) -> Result<Id<id::ApiKey>> {
    extract::id(request, "key_id", "API key")
}

/// The user that a body or a query names.
pub(super) fn user_id(text: &str) -> Result<Id<id::User>> {
    text.parse().map_err(|error| Error::invalid(format!("`user_id` is {error}")))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Only those of this user. Owners ask for anybody's.
    user_id: Option<String>,
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    count: Option<String>,
}

/// List API keys, oldest first
///
/// Owners see all of them, everybody else their own.
#[utoipa::path(get, path = "/api/v2/api_keys", operation_id = "key_list", tag = "keys", params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Listing<ApiKey>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Somebody else's keys, and not an owner's API key; or one without the scope \
            `keys:read`.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page = page(&request, &app, &caller).await?;
    log::rows(&request, page.rows.len());
    let now = app.clock.now();
    let results = page.rows.into_iter().map(|key| ApiKey::show(key, now)).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
}

async fn page(request: &HttpRequest, app: &App, caller: &Caller) -> Result<Page<Summary>> {
    let query: ListQuery = extract::query(request)?;
    let filter = Filter { user_id: query.user_id.as_deref().map(user_id).transpose()? };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    keys::list(app, caller, filter, &page).await
}

/// An API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewApiKey {
    /// What it is for. 1 to 100 characters, on one line.
    #[schema(example = "ci")]
    name: String,
    /// Whose: a service account's, which takes an owner. Absent: one's own.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: Option<String>,
    /// What it allows: `owner` or `collaborator`, and never more than its user may. Absent: what the key that asks
    /// allows.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// What of that it may be used for. Absent: what the key that asks may be used for.
    #[schema(example = json!(["users:read", "audit:read"]))]
    scopes: Option<Vec<String>>,
    /// For how long it works, up to the server's setting `keys.max_days`. Absent: `keys.default_days`.
    #[schema(example = 7_776_000)]
    expires_in_seconds: Option<i64>,
}

impl NewApiKey {
    fn wanted(self) -> Result<KeySpec> {
        let level = self.permission_level.as_deref().map(|level| {
            PermissionLevel::parse(level)
                .ok_or_else(|| Error::invalid("`permission_level` has to be owner or collaborator"))
        });
        // More than a duration can hold is more than there may be.
        let lifetime = |seconds| Lifetime::Exactly(Duration::try_seconds(seconds).unwrap_or(Duration::MAX));
        Ok(KeySpec {
            name: self.name,
            user_id: self.user_id.as_deref().map(user_id).transpose()?,
            permission_level: level.transpose()?,
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
            "`scopes` has to name one or more of {}; leave it out for all that the key that asks has",
            Scope::ALL.map(Scope::as_str).join(", ")
        ))),
    }
}

/// Make an API key
///
/// For oneself; by an owner also for a service account. It never allows more than the key that asks. The
/// answer has the token, this once.
#[utoipa::path(post, path = "/api/v2/api_keys", operation_id = "key_create", tag = "keys",
    request_body = NewApiKey,
    responses(
        (status = 200, description = "It is made.", body = Single<ApiKeyWithToken>),
        (status = 400, description = "A body that can't be used, a scope that there is not, a lifetime above \
            `keys.max_days`.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "More than the key that asks may, or another person's key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn create(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let new: NewApiKey = body::object(&request, payload, &app.config.server).await?;
    let key = keys::create(&app, &caller, new.wanted()?).await?;
    Ok(HttpResponse::Ok().json(Single { result: ApiKey::show_new(key) }))
}

/// Look at an API key
///
/// One's own; owners look at any.
#[utoipa::path(get, path = "/api/v2/api_keys/{key_id}", operation_id = "key_get", tag = "keys",
    params(("key_id" = String, Path)),
    responses(
        (status = 200, description = "The key.", body = Single<ApiKey>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not one's own, and not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such key in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let key = keys::get(&app, &caller, key_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: ApiKey::show(key, app.clock.now()) }))
}

/// Revoke an API key
///
/// It opens nothing any longer: at this server at once, at others on the same database within a second. One's own,
/// also the very one that asks, whatever its scopes; owners revoke any.
#[utoipa::path(delete, path = "/api/v2/api_keys/{key_id}", operation_id = "key_revoke", tag = "keys",
    params(("key_id" = String, Path)),
    responses(
        (status = 200, description = "It is revoked.", body = Single<ApiKey>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not one's own, and not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such key in this organization.", body = ErrorBody),
        (status = 409, description = "It had been revoked before.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn revoke(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let key = keys::revoke(&app, &caller, key_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: ApiKey::show(key, app.clock.now()) }))
}

/// How a key is to be rotated.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Rotation {
    /// For how long the old secret opens beside the new one, up to 7 days; 0: not at all. Absent: the server's
    /// setting `keys.rotation_overlap_hours`.
    #[schema(example = 3600)]
    overlap_seconds: Option<i64>,
}

/// Give an API key a new secret
///
/// The old one opens as well for a while, so that those who use it can be told one after the other; one from before
/// that opens nothing any longer. Name, rights and the end of the key's life stay. A key can rotate itself; owners
/// rotate those of service accounts too.
#[utoipa::path(post, path = "/api/v2/api_keys/{key_id}/rotate", operation_id = "key_rotate", tag = "keys",
    params(("key_id" = String, Path)), request_body = Option<Rotation>,
    responses(
        (status = 200, description = "The key with its new token, shown this once.", body = Single<ApiKeyWithToken>),
        (status = 400, description = "A body that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Another person's key, or one that may more than the key that asks.", body = ErrorBody),
        (status = 404, description = "No such key in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "It is revoked or has expired.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn rotate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let key_id = key_id(&request)?;
    let asked: Rotation = body::optional_object(&request, payload, &app.config.server).await?;
    let overlap = asked.overlap_seconds.map(|seconds| Duration::try_seconds(seconds).unwrap_or(Duration::MAX));
    let NewSecret { key, token } = keys::rotate(&app, &caller, key_id, overlap).await?;
    let result = ApiKeyWithToken { key: ApiKey::show(key, app.clock.now()), token: token.expose().to_owned() };
    Ok(HttpResponse::Ok().json(Single { result }))
}
