//! `/api/v2/users/{user_id}`: one user, looked at, changed, suspended, reactivated, deleted.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::collaborators::NoQuery;
use super::{Single, revised};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::{body, extract, headers};
use crate::id::{self, Id};
use crate::users::{self, UserDetails};

/// A user's account, or a program's.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct User {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// The membership's id.
    #[schema(example = "ide_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    identity_id: String,
    #[schema(example = "ada@example.com")]
    email: String,
    /// First name, or the whole of it.
    #[schema(example = "Ada")]
    name: String,
    #[schema(example = "Lovelace")]
    lastname: Option<String>,
    #[schema(example = "Countess")]
    title: Option<String>,
    is_sso_user: bool,
    is_service_account: bool,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: String,
    /// What they may do, by their own level and by their groups: `owner` or `collaborator`.
    #[schema(example = "collaborator")]
    permission_level: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// What the `ETag` of this user says between its quotes.
    #[schema(example = 1)]
    revision: i64,
}

impl From<UserDetails> for User {
    fn from(user: UserDetails) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            identity_id: user.identity_id.to_string(),
            email: user.email,
            name: user.name,
            lastname: user.lastname,
            title: user.title,
            is_sso_user: user.is_sso_user,
            is_service_account: user.is_service_account,
            status: user.status.to_string(),
            permission_level: user.permission_level.as_str().to_owned(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            revision: user.revision,
        }
    }
}

/// What is to be different about a user. What is not there stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::update reads, which reports on wrong types too")]
pub(in crate::http) struct UserChange {
    /// First name, or the whole of it. 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// The address. Compared without regard to case and spelling (Unicode, punycode).
    #[schema(max_length = 254, example = "ada@example.com")]
    email: Option<String>,
    /// Last name; `null` takes it away.
    #[schema(max_length = 255, example = "King")]
    lastname: Option<String>,
    /// Title or position; `null` takes it away.
    #[schema(max_length = 255, example = "Countess of Lovelace")]
    title: Option<String>,
}

/// Which user. An id that is none is nobody's, like one that is unknown.
fn user_id(request: &HttpRequest) -> Result<Id<id::User>> {
    extract::query::<NoQuery>(request)?;
    extract::id(request, "user_id", "user")
}

fn show(user: UserDetails) -> HttpResponse {
    revised(user.revision, User::from(user))
}

/// Look at a user
#[utoipa::path(get, path = "/api/v2/users/{user_id}", operation_id = "user_get", tag = "users",
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user.", body = Single<User>, headers(("ETag" = String))),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "An API key without the scope `users:read`.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(show(users::get(&app, &caller, user_id(&request)?).await?))
}

/// Change a user
///
/// Name, last name, title, address: those that the body has. If anything is wrong with any of them, nothing is written,
/// and `rows` of the error has every finding. Of a service account only the title can be changed. For owners.
#[utoipa::path(patch, path = "/api/v2/users/{user_id}", operation_id = "user_update", tag = "users",
    params(
        ("user_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    request_body = UserChange,
    responses(
        (status = 200, description = "The user as they are.", body = Single<User>, headers(("ETag" = String))),
        (status = 400, description = "Not JSON, or a parameter or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "The address belongs to somebody else (`email_taken`), or it is a service account \
            (`conflict`).", body = ErrorBody),
        (status = 412, description = "Somebody has changed the user since.", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 422, description = "Fields that can't be used.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn patch(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    Ok(show(users::update(&app, &caller, user_id, &expected, body::read(&request, payload, &app.config.server)).await?))
}

/// Delete a user
///
/// With everything that names them: membership, password, API keys, groups, invitations. The audit log stays; it
/// has their id. The last owner can't be deleted. For owners.
#[utoipa::path(delete, path = "/api/v2/users/{user_id}", operation_id = "user_delete", tag = "users",
    params(
        ("user_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    responses(
        (status = 204, description = "The user is gone."),
        (status = 400, description = "A parameter or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 409, description = "The organization would have no owner left (`last_owner`).", body = ErrorBody),
        (status = 412, description = "Somebody has changed the user since.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    users::delete(&app, &caller, user_id, &expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Suspend a user
///
/// Everything that is theirs is kept, and their API keys open nothing until they are reactivated. The last owner can't
/// be suspended. For owners.
#[utoipa::path(post, path = "/api/v2/users/{user_id}/suspend", operation_id = "user_suspend", tag = "users",
    params(
        ("user_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    responses(
        (status = 200, description = "The user is suspended.", body = Single<User>, headers(("ETag" = String))),
        (status = 400, description = "A parameter or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 409, description = "The user is suspended already (`conflict`), or the organization would have no \
            owner left (`last_owner`).", body = ErrorBody),
        (status = 412, description = "Somebody has changed the user since.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn suspend(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    Ok(show(users::suspend(&app, &caller, user_id, &expected).await?))
}

/// Reactivate a suspended user
///
/// Their API keys open what they did before. For owners.
#[utoipa::path(post, path = "/api/v2/users/{user_id}/reactivate", operation_id = "user_reactivate", tag = "users",
    params(
        ("user_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    responses(
        (status = 200, description = "The user is active.", body = Single<User>, headers(("ETag" = String))),
        (status = 400, description = "A parameter or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 409, description = "The user is active already.", body = ErrorBody),
        (status = 412, description = "Somebody has changed the user since.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn reactivate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    Ok(show(users::reactivate(&app, &caller, user_id, &expected).await?))
}
