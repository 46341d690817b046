//! `/api/v2/users/{user_id}`: reading, changing, suspending, reactivating and deleting a user.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::User;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{IfMatch, NoQuery, Single, with_etag};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, headers};
use crate::id::{self, Id};
use crate::users::{self, Status, UserDetails};

impl From<UserDetails> for User {
    fn from(user: UserDetails) -> Self {
        let credential = match (user.is_sso_user, user.must_change_password) {
            (true, _) => "sso",
            (false, Some(false)) => "password",
            (false, Some(true)) => "initial_password",
            (false, None) => "none",
        };
        Self {
            credential: (!user.is_service_account).then(|| credential.to_owned()),
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
            expires_at: user.expires_at,
            last_signed_in_at: user.last_signed_in_at,
            attributes: user.attributes.to_object(),
        }
    }
}

/// A change of a user. Fields that are absent stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what users::update reads, which reports on wrong types too")]
pub(in crate::http) struct UserChange {
    /// First name or full name: 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// E-mail address. Compared without regard to case and encoding (Unicode or punycode).
    #[schema(max_length = 254, example = "ada@example.com")]
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
}

fn user_id(request: &HttpRequest) -> Result<Id<id::User>> {
    extract::query::<NoQuery>(request)?;
    extract::id(request, "user_id", "user")
}

fn response(user: UserDetails) -> HttpResponse {
    with_etag(user.revision, User::from(user))
}

/// Get a user
#[utoipa::path(get, path = "/api/v2/users/{user_id}", operation_id = "user_get", tag = "users",
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user.", body = Single<User>, headers(("ETag" = String))),
        (status = 400, description = "No parameters are accepted.", body = ErrorBody),
    ))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(response(users::get(&app, &caller, user_id(&request)?).await?))
}

/// Change a user
///
/// Changes the fields in the body: name, last name, title, e-mail address, sign-in method, permission level,
/// expiry, attributes. If any field is invalid, nothing is written, and `rows` of the error contains all findings. Only the title and the permission level of a
/// service account can be changed. The last owner can't be demoted. Requires an owner; to change the address or the sign-in method of an
/// owner, or to make one, a key must not be limited to scopes, and a session needs a recent sign-in.
#[utoipa::path(patch, path = "/api/v2/users/{user_id}", operation_id = "user_update", tag = "users",
    params(("user_id" = String, Path), IfMatch),
    request_body = UserChange,
    responses(
        (status = 200, description = "The changed user.", body = Single<User>, headers(("ETag" = String))),
        (status = 409, description = "The address belongs to another account (`email_taken`), the user is a service \
            account (`conflict`), or no permanent owner, or none who can sign in, would remain (`last_owner`).", body = ErrorBody),
        (status = 422, description = "Invalid fields.", body = ErrorBody),
    ))]
pub(in crate::http) async fn patch(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&body.request)?, headers::if_match(&body.request)?);
    Ok(response(users::update(&app, &caller, user_id, &expected, body.read()).await?))
}

/// Delete a user
///
/// Deletes the account and everything that refers to it: membership, password, API keys, group memberships, invitations.
/// The audit log keeps the user ID. The last owner can't be deleted. Requires an owner.
#[utoipa::path(delete, path = "/api/v2/users/{user_id}", operation_id = "user_delete", tag = "users",
    params(("user_id" = String, Path), IfMatch),
    responses(
        (status = 204, description = "The user is deleted."),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    users::delete(&app, &caller, user_id, &expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Suspend a user
///
/// Their data is kept, and their API keys are invalid until the user is reactivated. The last owner can't be suspended.
/// Idempotent: a suspended user is returned unchanged. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/{user_id}/suspend", operation_id = "user_suspend", tag = "users",
    params(("user_id" = String, Path), IfMatch),
    responses(
        (status = 200, description = "The suspended user.", body = Single<User>, headers(("ETag" = String))),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn suspend(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    Ok(response(users::set_status(&app, &caller, user_id, Status::Suspended, &expected).await?))
}

/// Reactivate a suspended user
///
/// Their API keys are valid again. Idempotent: an active user is returned unchanged. Requires an owner.
#[utoipa::path(post, path = "/api/v2/users/{user_id}/reactivate", operation_id = "user_reactivate", tag = "users",
    params(("user_id" = String, Path), IfMatch),
    responses(
        (status = 200, description = "The reactivated user.", body = Single<User>, headers(("ETag" = String))),
        (status = 409, description = "The account has expired (`conflict`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn reactivate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let (user_id, expected) = (user_id(&request)?, headers::if_match(&request)?);
    Ok(response(users::set_status(&app, &caller, user_id, Status::Active, &expected).await?))
}
