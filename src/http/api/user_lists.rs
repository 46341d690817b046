//! `/api/v2/users/admin_batch_…`: changing, suspending, reactivating or deleting a list of users, all or none.

use actix_web::{HttpResponse, web};
use muster_client::{ChangedUsers, ChangedUsersMetadata, RowFinding, User};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, log};
use crate::id::{self, Id};
use crate::users::{self, ChangedList, FieldChange, ListOperation, ListOptions};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Options {
    /// `true` to validate the list without writing.
    dry_run: Option<String>,
    /// `true` to leave out the users who can't be changed, instead of rejecting the list; `skipped_rows` names them. If no owner
    /// would remain, all owners of the list are left out. A malformed row still rejects the list.
    skip_blocked: Option<String>,
}

/// A user in a list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::change_all reads, which reports on wrong types too")]
pub(in crate::http) struct UserRow {
    /// ID or e-mail address of the user.
    #[schema(example = "ada@example.com")]
    user: String,
    /// Expected `revision` of the user; the row is rejected if it differs.
    #[schema(example = 1)]
    if_match: Option<i64>,
}

/// A user in a list and the change. Fields that are absent stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::change_all reads, which reports on wrong types too")]
pub(in crate::http) struct UserChangeRow {
    /// ID or current e-mail address of the user.
    #[schema(example = "ada@example.com")]
    user: String,
    /// First name or full name: 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// New e-mail address.
    #[schema(max_length = 254, example = "ada.king@example.com")]
    email: Option<String>,
    /// Last name; `null` removes it.
    #[schema(max_length = 255, example = "King")]
    lastname: Option<String>,
    /// Job title; `null` removes it.
    #[schema(max_length = 255, example = "Countess of Lovelace")]
    title: Option<String>,
    /// Whether the user signs in through the organization's identity provider. `true` removes the password.
    is_sso_user: Option<bool>,
    /// Permission level of the membership itself, without groups: `collaborator` or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// When the account expires: the last day of access in UTC, or a time of RFC 3339 with its zone; `null` removes it.
    #[schema(example = "2027-12-31")]
    expires_at: Option<String>,
    /// Custom attributes: the given ones replace their values, `null` removes one, the others stay (RFC 7396).
    #[schema(value_type = Option<Object>, example = json!({"department": "Research"}))]
    attributes: Option<Map<String, Value>>,
    /// Expected `revision` of the user; the row is rejected if it differs.
    #[schema(example = 1)]
    if_match: Option<i64>,
}

/// Change a list of users, all or none
///
/// Changes the fields in each row: name, last name, title, e-mail address, sign-in method, permission level, expiry,
/// attributes.
/// Users can swap
/// addresses within a list. The last owner can't be demoted. For owners, keys and sessions are limited as for one user.
/// If any row is invalid, nothing is written,
/// and `rows` of the error contains all findings about all rows. Results are in the order of the request. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_update", operation_id = "user_batch_update", tag = "users",
    params(Options),
    request_body = Vec<UserChangeRow>,
    responses(
        (status = 200, description = "The users after the change.", body = ChangedUsers),
        (status = 409, description = "Addresses belong to other accounts (`batch_conflict`), or no permanent owner, or none who can sign in, would remain \
            (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn update(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    change(&app, &caller, &mut body, ListOperation::Update).await
}

/// Suspend a list of users, all or none
///
/// Their data is kept, and their API keys are invalid until they are reactivated. The last owner can't be suspended.
/// Users who are suspended already are unchanged.
/// If any row is invalid, nothing is written,
/// and `rows` of the error contains all findings about all rows. Results are in the order of the request. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_suspend", operation_id = "user_batch_suspend", tag = "users",
    params(Options),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The suspended users.", body = ChangedUsers),
        (status = 409, description = "No owner would remain (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn suspend(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    change(&app, &caller, &mut body, ListOperation::Suspend).await
}

/// Reactivate a list of users, all or none
///
/// Their API keys are valid again. Users who are active already are unchanged. An expired account needs a later expiry first.
/// If any row is invalid, nothing is written,
/// and `rows` of the error contains all findings about all rows. Results are in the order of the request. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_reactivate", operation_id = "user_batch_reactivate", tag = "users",
    params(Options),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The reactivated users.", body = ChangedUsers),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn reactivate(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    change(&app, &caller, &mut body, ListOperation::Reactivate).await
}

/// Delete a list of users, all or none
///
/// Deletes the accounts and everything that refers to them. The last owner can't be deleted.
/// If any row is invalid, nothing is written,
/// and `rows` of the error contains all findings about all rows. Results are in the order of the request. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_delete", operation_id = "user_batch_delete", tag = "users",
    params(Options),
    request_body = Vec<UserRow>,
    responses(
        (status = 200, description = "The last state of the deleted users.", body = ChangedUsers),
        (status = 409, description = "No owner would remain (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn delete(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    change(&app, &caller, &mut body, ListOperation::Delete).await
}

async fn change(app: &App, caller: &Caller, body: &mut Body, operation: ListOperation) -> Result<HttpResponse> {
    let options: Options = extract::query(&body.request)?;
    let flag = |name, value: &Option<String>| extract::flag(name, value.as_deref()).map(Option::unwrap_or_default);
    let options = ListOptions {
        dry_run: flag("dry_run", &options.dry_run)?,
        skip_blocked: flag("skip_blocked", &options.skip_blocked)?,
    };
    let ChangedList { users, changed, changes, skipped, skipped_count, ended } =
        users::change_all(app, caller, operation, options, body.read()).await?;
    log::rows(&body.request, users.len());
    let metadata = ChangedUsersMetadata {
        total: users.len() + skipped_count,
        next_paging_token: None,
        changed,
        unchanged: users.len() - changed,
        changes: changes.into_iter().map(|(user_id, change)| field_change(user_id, change)).collect(),
        skipped: number(skipped_count),
        skipped_rows: skipped.into_iter().map(RowFinding::from).collect(),
        ended_sessions: number(ended.sessions),
        ended_keys: number(ended.keys),
    };
    Ok(HttpResponse::Ok().json(ChangedUsers { results: users.into_iter().map(User::from).collect(), metadata }))
}

fn number(count: impl TryInto<u64>) -> u64 {
    count.try_into().unwrap_or_default()
}

fn field_change(user_id: Id<id::User>, change: FieldChange) -> muster_client::FieldChange {
    let FieldChange { field, before, after } = change;
    muster_client::FieldChange { user_id: user_id.to_string(), field: field.into_owned(), before, after }
}
