//! `/api/v2/batches`: reading, cancelling and undoing batches.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use muster_client::{Batch, BatchUser, KeptUser};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::created_users::CreatedUsers;
use super::{Listing, Metadata, Single, single};
use crate::app::App;
use crate::batches::{self, BatchFilter, BatchMember, BatchState, BatchSummary, UndoOptions, Undone};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{extract, headers, log};
use crate::id::{self, Id};
use crate::page::PageRequest;

pub(super) fn to_batch(batch: BatchSummary, clock: &Clock) -> Batch {
    let count = |count: i32| u64::try_from(count).unwrap_or_default();
    let seconds_until = |at: DateTime<Utc>| {
        let milliseconds = u64::try_from((at - clock.now()).num_milliseconds()).unwrap_or_default();
        milliseconds.div_ceil(1000)
    };
    Batch {
        batch_id: batch.batch_id.to_string(),
        state: batch.state.as_str().into(),
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
        user_count: count(batch.user_count),
        hash_count: count(batch.hash_count),
        hashed: count(batch.hashed),
        weak_hash_count: count(batch.weak_hash_count),
        estimated_seconds_left: batch.expected_at.map(seconds_until),
        error: batch.failure.and_then(|error| serde_json::from_value(error).ok()),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Only batches in this state.
    state: Option<String>,
    /// Only batches from the file with this SHA-256, in hexadecimal.
    file_sha256: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Batches per page: 1 to 50, default 50.
    count: Option<String>,
}

/// List batches, newest first
///
/// Requires an owner.
#[utoipa::path(get, path = "/api/v2/batches", operation_id = "batch_list", tag = "batches", params(ListQuery),
    responses((status = 200, description = "A page of batches.", body = Listing<Batch>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: ListQuery = extract::query(&request)?;
    let unknown = || Error::invalid(format!("invalid `state`; expected one of {}", BatchState::list()));
    let state = query.state.map(|state| BatchState::parse(&state).ok_or_else(unknown)).transpose()?;
    let file_sha256 = query.file_sha256.map(|text| headers::sha256("file_sha256", &text)).transpose()?;
    let filter = BatchFilter { state, file_sha256 };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let page = batches::list(&app, &caller, &filter, &page).await?;
    Ok(super::page(&request, page, |batch| to_batch(batch, &app.clock)))
}

fn batch_id(request: &HttpRequest) -> Result<Id<id::Batch>> {
    extract::id(request, "batch_id", "batch")
}

/// Get a batch
///
/// Returns its state, requester and progress and, if it failed, all findings. Requires an owner.
#[utoipa::path(get, path = "/api/v2/batches/{batch_id}", operation_id = "batch_get", tag = "batches",
    params(("batch_id" = String, Path)),
    responses((status = 200, description = "The batch.", body = Single<Batch>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let batch = batches::get(&app, &caller, batch_id(&request)?).await?;
    Ok(single(to_batch(batch, &app.clock)))
}

/// List the users of a batch
///
/// Returns all users in the order of the list, with their current data, in the format of the response to their
/// creation. Requires an owner.
#[utoipa::path(get, path = "/api/v2/batches/{batch_id}/results", operation_id = "batch_results", tag = "batches",
    params(("batch_id" = String, Path)),
    responses(
        (status = 200, description = "The users.", body = CreatedUsers),
        (status = 409, description = "The batch is not in the state `created`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn results(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let batch_id = batch_id(&request)?;
    let (users, warnings) = batches::results(&app, &caller, batch_id).await?;
    log::rows(&request, users.len());
    Ok(HttpResponse::Ok().json(CreatedUsers::new(batch_id, users, warnings)))
}

/// Cancel a running batch
///
/// No users are created. Requires an owner.
#[utoipa::path(post, path = "/api/v2/batches/{batch_id}/cancel", operation_id = "batch_cancel", tag = "batches",
    params(("batch_id" = String, Path)),
    responses(
        (status = 200, description = "The cancelled batch.", body = Single<Batch>),
        (status = 409, description = "The batch is not running.", body = ErrorBody),
    ))]
pub(in crate::http) async fn cancel(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let batch = batches::cancel(&app, &caller, batch_id(&request)?).await?;
    Ok(single(to_batch(batch, &app.clock)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UndoQuery {
    /// `true` to report the users that would be removed, without removing them.
    dry_run: Option<String>,
    /// `true` to keep the users that have been used and remove the others.
    keep_used: Option<String>,
}

/// The result of undoing a batch.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UndoneUsers {
    /// The users that were removed or, in a dry run, would be removed.
    results: Vec<BatchUser>,
    /// The users that remain, because they have been used.
    kept: Vec<KeptUser>,
    metadata: Metadata,
}

impl From<BatchMember> for BatchUser {
    fn from(member: BatchMember) -> Self {
        Self { user_id: member.user_id.to_string(), email: member.email, name: member.name, lastname: member.lastname }
    }
}

/// Undo a batch
///
/// Removes its users, their memberships and passwords: all of them, or none if any has signed in, was changed or is
/// referenced. In that case `rows` of the error lists the used users, and `keep_used` keeps only those. The batch
/// remains in the state `undone`. Requires an owner.
#[utoipa::path(post, path = "/api/v2/batches/{batch_id}/undo", operation_id = "batch_undo", tag = "batches",
    params(("batch_id" = String, Path), UndoQuery),
    responses(
        (status = 200, description = "The removed and the kept users.", body = UndoneUsers),
        (status = 409, description = "Users have been used (`batch_in_use`), there is nothing to undo (`conflict`), or \
            no owner would remain (`last_owner`, with `rows`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn undo(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: UndoQuery = extract::query(&request)?;
    let options = UndoOptions {
        dry_run: extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false),
        keep_used: extract::flag("keep_used", query.keep_used.as_deref())?.unwrap_or(false),
    };
    let Undone { removed, kept } = batches::undo(&app, &caller, batch_id(&request)?, options).await?;
    log::rows(&request, removed.len());
    let kept =
        kept.into_iter().map(|(member, reason)| KeptUser { user: member.into(), reason: reason.as_str().to_owned() });
    let metadata = Metadata { total: Some(removed.len()), next_paging_token: None };
    let results = removed.into_iter().map(BatchUser::from).collect();
    Ok(HttpResponse::Ok().json(UndoneUsers { results, kept: kept.collect(), metadata }))
}
