//! `POST /api/v2/users/admin_batch_create`.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Listing, Metadata};
use crate::app::App;
use crate::batches::{self, Created};
use crate::caller::Caller;
use crate::http::error::{ErrorBody, Failure};
use crate::http::{body, extract, log};
use crate::users::{Account, Credential, Line};

/// A user to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what batches::check reads, which reports on wrong types too")]
pub(in crate::http) struct AdminCreateUser {
    /// First name, or the whole of it. 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "name1")]
    name: String,
    /// The address. Compared without regard to case and spelling (Unicode, punycode).
    #[schema(max_length = 254, example = "test1@anyscale.com")]
    email: String,
    /// The initial password; empty or absent: none, and no password opens the account until one
    /// is set. Not for SSO users.
    #[schema(max_length = 256, format = "password", example = "")]
    password: Option<String>,
    /// Signs in through the organization's identity provider.
    is_sso_user: bool,
    /// Last name.
    #[schema(max_length = 255, example = "lastname1")]
    lastname: Option<String>,
    /// Title or position.
    #[schema(max_length = 255, example = "title1")]
    title: Option<String>,
}

/// A user who was created.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AdminCreatedUser {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    /// As it was sent.
    email: String,
    /// The same for all users of a batch.
    created_at: DateTime<Utc>,
    name: String,
    is_sso_user: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// Create a list of users, all of them or none
///
/// The users are active at once, without e-mail verification, and collaborators of the key's
/// organization. Results come in the order of the request. If anything is wrong with any row,
/// nothing is created, and `rows` of the error has every finding on every row.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_create", operation_id = "user_batch_create", tag = "users",
    request_body = Vec<AdminCreateUser>,
    responses(
        (status = 200, description = "All of them were created.", body = Listing<AdminCreatedUser>),
        (status = 400, description = "Not a JSON list of users, or an empty one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "Nothing is wrong with the rows, but accounts exist.", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows can't be created.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn admin_batch_create(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Answer {
    let app = app.into_inner();
    let body = body::read(&request, payload, &app.config.server);
    let created = batches::create(&app, &caller, extract::source(&request), body)
        .await
        .map_err(|error| Failure::new(&request, error))?;
    log::rows(&request, created.accounts.len());
    Ok(HttpResponse::Ok().json(answer(&created)))
}

fn answer(created: &Created) -> Listing<AdminCreatedUser> {
    let results: Vec<AdminCreatedUser> =
        created.accounts.iter().map(|account| show(account, created.created_at)).collect();
    Listing { metadata: Metadata { total: Some(results.len()), next_paging_token: None }, results }
}

fn show(account: &Account, created_at: DateTime<Utc>) -> AdminCreatedUser {
    let user = &account.user;
    AdminCreatedUser {
        user_id: account.user_id.to_string(),
        email: user.email.as_str().to_owned(),
        created_at,
        name: user.name.as_str().to_owned(),
        is_sso_user: matches!(user.credential, Credential::Sso),
        lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
        title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
    }
}
