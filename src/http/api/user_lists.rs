//! `/api/v2/users/admin_batch_…`: a list of users, changed, suspended, reactivated or deleted; all of them or none.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::user::User;
use super::users::Query;
use super::{Listing, Metadata};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::{body, extract, log};
use crate::users::{self, ListOperation};

/// Somebody in a list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::change_all reads, which reports on wrong types too")]
pub(in crate::http) struct UserRow {
    /// Who: the id of a user, or an address in any spelling.
    #[schema(example = "ada@example.com")]
    user: String,
    /// Only if the user's `revision` is still this one.
    #[schema(example = 1)]
    if_match: Option<i64>,
}

/// Somebody in a list, and what is to be different about them. What is not there stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::change_all reads, which reports on wrong types too")]
pub(in crate::http) struct UserChangeRow {
    /// Who: the id of a user, or their address as it is before the change, in any spelling.
    #[schema(example = "ada@example.com")]
    user: String,
    /// First name, or the whole of it. 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// The new address.
    #[schema(max_length = 254, example = "ada.king@example.com")]
    email: Option<String>,
    /// Last name; `null` takes it away.
    #[schema(max_length = 255, example = "King")]
    lastname: Option<String>,
    /// Title or position; `null` takes it away.
    #[schema(max_length = 255, example = "Countess of Lovelace")]
    title: Option<String>,
    /// Only if the user's `revision` is still this one.
    #[schema(example = 1)]
    if_match: Option<i64>,
}

/// Change a list of users, all of them or none
///
/// Name, last name, title, address: those that a row has. Addresses may be swapped within a list. If anything is wrong with any row, nothing is written, and `rows` of the error has every finding
/// on every row. Results come in the order of the request. For owners.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_update", operation_id = "user_batch_update", tag = "users",
    params(Query),
    request_body = Vec<UserChangeRow>,
    responses(
        (status = 200, description = "The users as they are, or would be.", body = Listing<User>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "Addresses belong to others (`batch_conflict`).", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn update(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    change(&request, &app, &caller, payload, ListOperation::Update).await
}

/// Suspend a list of users, all of them or none
///
/// Everything that is theirs is kept, and their API keys open nothing until they are reactivated. The last owner can't be
/// suspended. If anything is wrong with any row, nothing is written, and `rows` of the error has every finding
/// on every row. Results come in the order of the request. For owners.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_suspend", operation_id = "user_batch_suspend", tag = "users",
    params(Query),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The users are suspended, or could be.", body = Listing<User>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "The organization would have no owner left (`last_owner`): `rows` has who would be the last.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn suspend(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    change(&request, &app, &caller, payload, ListOperation::Suspend).await
}

/// Reactivate a list of users, all of them or none
///
/// Their API keys open what they did before. If anything is wrong with any row, nothing is written, and `rows` of the error has every finding
/// on every row. Results come in the order of the request. For owners.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_reactivate", operation_id = "user_batch_reactivate", tag = "users",
    params(Query),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The users are active, or could be.", body = Listing<User>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn reactivate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    change(&request, &app, &caller, payload, ListOperation::Reactivate).await
}

/// Delete a list of users, all of them or none
///
/// With everything that names them. The last owner can't be deleted. If anything is wrong with any row, nothing is written, and `rows` of the error has every finding
/// on every row. Results come in the order of the request. For owners.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_delete", operation_id = "user_batch_delete", tag = "users",
    params(Query),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The users are gone, or would be; they are shown as they were.", body = Listing<User>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "The organization would have no owner left (`last_owner`): `rows` has who would be the last.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn delete(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    change(&request, &app, &caller, payload, ListOperation::Delete).await
}

async fn change(
    request: &HttpRequest,
    app: &App,
    caller: &Caller,
    payload: Payload,
    bulk: ListOperation,
) -> Result<HttpResponse> {
    let query: Query = extract::query(request)?;
    let dry_run = extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false);
    let changed =
        users::change_all(app, caller, bulk, dry_run, body::read(request, payload, &app.config.server)).await?;
    log::rows(request, changed.len());
    let metadata = Metadata { total: Some(changed.len()), next_paging_token: None };
    Ok(HttpResponse::Ok().json(Listing { results: changed.into_iter().map(User::from).collect(), metadata }))
}
