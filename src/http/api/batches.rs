//! `/api/v2/batches`: looking at batches, stopping and undoing them.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::created_users::{CreatedUsers, show_users};
use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::batches::{self, BatchFilter, BatchMember, BatchState, BatchSummary, UndoOptions, Undone};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{extract, headers, log};
use crate::id::{self, Id};
use crate::page::{Page, PageRequest};

/// A list of users that is created together.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Batch {
    #[schema(example = "bat_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    batch_id: String,
    /// `running`, `created`, `failed`, `cancelled` or `undone`.
    #[schema(example = "created")]
    state: String,
    /// `api_key` or `operator`.
    requested_by_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by_id: Option<String>,
    /// The key's name today.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// `vendor_client`, `muster_client` or `http`.
    source: String,
    /// The file it came from, as its sender named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// The file's digest under a key of the server's; `?file_sha256=` finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_digest: Option<String>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When it left `running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    /// When its users were removed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone_at: Option<DateTime<Utc>>,
    /// How many users it makes.
    user_count: i32,
    /// How many of their passwords are to be hashed, and how many are.
    hash_count: i32,
    hashed: i32,
    /// How many came with a hash weaker than today's recommendation.
    weak_hash_count: i32,
    /// While it is running, by estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_seconds_left: Option<i64>,
    /// Why it failed: `code`, `detail` and, for findings, `rows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

impl Batch {
    pub(super) fn show(batch: BatchSummary, clock: &Clock) -> Self {
        let left = |at: DateTime<Utc>| ((at - clock.now()).num_milliseconds().max(0) + 999) / 1000;
        Self {
            batch_id: batch.batch_id.to_string(),
            state: batch.state.as_str().to_owned(),
            requested_by_kind: batch.requested_by_kind.as_str().to_owned(),
            requested_by_id: batch.requested_by_id.map(|id| id.to_string()),
            requested_by_name: batch.requested_by_name,
            request_id: batch.request_id.map(|id| id.to_string()),
            source: batch.source.as_str().to_owned(),
            file_name: batch.file_name,
            file_digest: batch.file_digest.map(|digest| format!("hmac-sha256:{}", hex::encode(digest))),
            created_at: batch.created_at,
            finished_at: batch.finished_at,
            undone_at: batch.undone_at,
            user_count: batch.user_count,
            hash_count: batch.hash_count,
            hashed: batch.hashed,
            weak_hash_count: batch.weak_hash_count,
            estimated_seconds_left: batch.expected_at.map(left),
            error: batch.failure,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Only those in this state.
    state: Option<String>,
    /// Only those that came from the file with this SHA-256, in hex.
    file_sha256: Option<String>,
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    count: Option<String>,
}

/// List batches, newest first
///
/// For owners.
#[utoipa::path(get, path = "/api/v2/batches", operation_id = "batch_list", tag = "batches", params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Listing<Batch>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page = page(&request, &app, &caller).await?;
    log::rows(&request, page.rows.len());
    let results = page.rows.into_iter().map(|batch| Batch::show(batch, &app.clock)).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
}

async fn page(request: &HttpRequest, app: &App, caller: &Caller) -> Result<Page<BatchSummary>> {
    let query: ListQuery = extract::query(request)?;
    let unknown =
        || Error::invalid(format!("`state` has to be one of {}", BatchState::ALL.map(BatchState::as_str).join(", ")));
    let state = query.state.map(|state| BatchState::parse(&state).ok_or_else(unknown)).transpose()?;
    let file_sha256 = query.file_sha256.map(|text| headers::sha256("file_sha256", &text)).transpose()?;
    let filter = BatchFilter { state, file_sha256 };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    batches::list(app, caller, &filter, &page).await
}

/// Which batch. An id that is none is nothing's, like one that is unknown.
fn batch_id(request: &HttpRequest) -> Result<Id<id::Batch>> {
    extract::id(request, "batch_id", "batch")
}

/// Look at a batch
///
/// Its state, who asked for it, how far it is and, if it failed, the complete report. For owners.
#[utoipa::path(get, path = "/api/v2/batches/{batch_id}", operation_id = "batch_get", tag = "batches",
    params(("batch_id" = String, Path)),
    responses(
        (status = 200, description = "The batch.", body = Single<Batch>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such batch in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let batch = batches::get(&app, &caller, batch_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: Batch::show(batch, &app.clock) }))
}

/// The users of a batch
///
/// What creating it answered: all of its users, as they are today, in the order of its list. For owners.
#[utoipa::path(get, path = "/api/v2/batches/{batch_id}/results", operation_id = "batch_results", tag = "batches",
    params(("batch_id" = String, Path)),
    responses(
        (status = 200, description = "Its users.", body = CreatedUsers),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such batch in this organization.", body = ErrorBody),
        (status = 409, description = "It is not created, or was undone.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn results(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let batch_id = batch_id(&request)?;
    let (users, warnings) = batches::results(&app, &caller, batch_id).await?;
    log::rows(&request, users.len());
    Ok(HttpResponse::Ok().json(show_users(batch_id.to_string(), users, warnings)))
}

/// Stop a batch before it is created
///
/// Nothing of it will exist. For owners.
#[utoipa::path(post, path = "/api/v2/batches/{batch_id}/cancel", operation_id = "batch_cancel", tag = "batches",
    params(("batch_id" = String, Path)),
    responses(
        (status = 200, description = "It is cancelled.", body = Single<Batch>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such batch in this organization.", body = ErrorBody),
        (status = 409, description = "It is not running, or no longer.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn cancel(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let batch = batches::cancel(&app, &caller, batch_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: Batch::show(batch, &app.clock) }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UndoQuery {
    /// `true`: only tell who would be removed.
    dry_run: Option<String>,
    /// `true`: keep the users who have been used since, and remove the others.
    keep_used: Option<String>,
}

/// A user of a batch that is undone.
#[derive(Serialize, ToSchema)]
struct UndoneUser {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    email: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastname: Option<String>,
    /// Why this user stays: `signed_in`, `changed` or `in_use`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Whom undoing a batch removes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UndoneUsers {
    /// Those who were removed, or would be.
    results: Vec<UndoneUser>,
    /// Those who stay.
    kept: Vec<UndoneUser>,
    metadata: Metadata,
}

/// Undo a batch
///
/// Removes its users, with their memberships and passwords: all of them, or none if some have signed
/// in, were changed or own something since; `rows` of the error then names them, and `keep_used` keeps just
/// those. The batch stays, as `undone`. For owners.
#[utoipa::path(post, path = "/api/v2/batches/{batch_id}/undo", operation_id = "batch_undo", tag = "batches",
    params(("batch_id" = String, Path), UndoQuery),
    responses(
        (status = 200, description = "It is undone, or could be.", body = UndoneUsers),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such batch in this organization.", body = ErrorBody),
        (status = 409, description = "Users have been used since (`batch_in_use`), there is nothing to undo (`conflict`), or \
            the organization would have no owner left (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn undo(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: UndoQuery = extract::query(&request)?;
    let options = UndoOptions {
        dry_run: extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false),
        keep_used: extract::flag("keep_used", query.keep_used.as_deref())?.unwrap_or(false),
    };
    let Undone { removed, kept } = batches::undo(&app, &caller, batch_id(&request)?, options).await?;
    log::rows(&request, removed.len());
    let show = |member: BatchMember, reason| UndoneUser {
        user_id: member.user_id.to_string(),
        email: member.email,
        name: member.name,
        lastname: member.lastname,
        reason,
    };
    let results: Vec<UndoneUser> = removed.into_iter().map(|member| show(member, None)).collect();
    let kept = kept.into_iter().map(|(member, reason)| show(member, Some(reason.code()))).collect();
    let metadata = Metadata { total: Some(results.len()), next_paging_token: None };
    Ok(HttpResponse::Ok().json(UndoneUsers { results, kept, metadata }))
}
