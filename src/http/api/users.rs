//! `POST /api/v2/users/admin_batch_create`.

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use super::batches::Batch;
use super::created_users::{BatchMetadata, CreatedUsers, render};
use crate::app::App;
use crate::batches::{self, Mode, Planned, Request};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{body, extract, headers, log};
use crate::users::{Credential, Line, NewUser};

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
    /// Instead of a password: its hash, made elsewhere. A PHC string (argon2id, argon2i, argon2d, scrypt,
    /// pbkdf2-sha256, pbkdf2-sha512) or bcrypt's own form, within bounds for its cost. One that is
    /// weaker than today's recommendation is named in `warnings`.
    #[schema(max_length = 512, example = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW")]
    password_hash: Option<String>,
    /// With `password_hash` only: somebody else chose the password, so that the user has to choose
    /// another at the first sign-in. Default false. For `password` the server's setting decides.
    must_change_password: Option<bool>,
    /// What the membership allows: `collaborator` (default) or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// `true`: find out what would be done, and do nothing.
    pub(super) dry_run: Option<String>,
}

/// What is asked for in headers.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what http::headers reads")]
pub(in crate::http) struct Headers {
    /// Names this request, so that sending it again does nothing twice: it gets the answer that the first one
    /// got. 1 to 255 visible characters of ASCII, bare or in quotes; remembered for 24 hours.
    #[param(rename = "Idempotency-Key", example = "8e03978e-40d5-43dd-bc93-6894a57f9324")]
    idempotency_key: Option<String>,
    /// `respond-async` (RFC 7240), perhaps with `wait=SECONDS`: answer 202 if it takes longer, and go on.
    #[param(rename = "Prefer", example = "respond-async, wait=5")]
    prefer: Option<String>,
    /// The `plan` of a dry run: create only what was planned.
    #[param(rename = "Muster-Plan")]
    muster_plan: Option<String>,
    /// The name of the file that the list comes from, percent-encoded UTF-8, to be remembered.
    #[param(rename = "Muster-File-Name", example = "users.yaml")]
    muster_file_name: Option<String>,
    /// SHA-256 of that file, in hex; only its HMAC is kept.
    #[param(rename = "Muster-File-SHA256")]
    muster_file_sha256: Option<String>,
}

/// A user who would be created.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PlannedUser {
    email: String,
    name: String,
    is_sso_user: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// `collaborator` or `owner`.
    permission_level: &'static str,
}

/// What a dry run found.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PlannedUsers {
    /// In the order of the request.
    results: Vec<PlannedUser>,
    metadata: BatchMetadata,
    /// Send it as `Muster-Plan` with the same list to create exactly this.
    #[schema(example = "plan1_…")]
    plan: String,
}

/// What a list is answered with: users who were created or, with `dry_run`, would be.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes that there are two answers; each is written by itself")]
pub(in crate::http) enum CreatedOrPlanned {
    Created(CreatedUsers),
    Planned(PlannedUsers),
}

/// Create a list of users, all of them or none
///
/// The users are active at once, without e-mail verification, and collaborators of the key's
/// organization. Results come in the order of the request. If anything is wrong with any row,
/// nothing is created, and `rows` of the error has every finding on every row.
///
/// Send an `Idempotency-Key` and repeat the request as often as needed until there is an answer: it is
/// carried out once. With `Prefer: respond-async` a batch with many passwords is answered with 202 and its
/// `Location` once its rows are known to be fine.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_create", operation_id = "user_batch_create", tag = "users",
    params(Query, Headers),
    request_body = Vec<AdminCreateUser>,
    responses(
        (status = 200, description = "All of them were created or, with `dry_run`, could be.",
            body = CreatedOrPlanned, headers(
                ("Idempotency-Replayed" = Option<String>, description = "`true`: created by an earlier request with this key."))),
        (status = 202, description = "All rows are fine, and it goes on; look at `Location`.", body = Single<Batch>,
            headers(("Location" = String), ("Retry-After" = u64))),
        (status = 400, description = "Not a JSON list of users, or an empty one; a header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "Accounts exist (`batch_conflict`), the request with this key is at work \
            (`idempotency_key_in_use`), it is not as planned (`plan_changed`), or the batch was cancelled or \
            undone (`conflict`).", body = ErrorBody),
        (status = 413, description = "Too many bytes or too many users.", body = ErrorBody),
        (status = 422, description = "Rows can't be created (`batch_rejected`), or the key belongs to another request \
            (`idempotency_key_reused`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn admin_batch_create(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let app = app.into_inner();
    let asked = asked(&request)?;
    let body = body::read(&request, payload, &app.config.server);
    let answer = batches::create(&app, &caller, asked, body).await?;
    let mut response = match &answer {
        batches::Answer::Running(_) => HttpResponse::Accepted(),
        _ => HttpResponse::Ok(),
    };
    Ok(match answer {
        batches::Answer::Created(created) => {
            log::rows(&request, created.users);
            if created.is_replayed {
                response.insert_header(("idempotency-replayed", "true"));
            }
            response.content_type("application/json").body(created.body)
        }
        batches::Answer::Running(batch) => {
            let location = format!("/api/v2/batches/{}", batch.batch_id);
            response
                .insert_header((LOCATION, location))
                .insert_header(("preference-applied", "respond-async"))
                .insert_header((RETRY_AFTER, "1"))
                .json(Single { result: Batch::show(*batch, &app.clock) })
        }
        batches::Answer::Planned(planned) => {
            log::rows(&request, planned.users.len());
            response.json(show_planned(planned))
        }
    })
}

fn asked(request: &HttpRequest) -> Result<Request> {
    let query: Query = extract::query(request)?;
    let plan = headers::plan(request)?;
    let mode = match extract::flag("dry_run", query.dry_run.as_deref())? {
        Some(true) if plan.is_some() => {
            return Err(Error::invalid("a dry run makes a plan and can't be held to one: leave `Muster-Plan` out"));
        }
        Some(true) => Mode::DryRun,
        Some(false) | None => Mode::Create { wait: headers::prefer_async(request) },
    };
    Ok(Request {
        source: extract::source(request),
        file: headers::file(request)?,
        key: headers::idempotency_key(request)?,
        plan,
        mode,
        render,
    })
}

fn show_planned(planned: Planned) -> PlannedUsers {
    let show = |user: &NewUser| PlannedUser {
        email: user.email.as_str().to_owned(),
        name: user.name.as_str().to_owned(),
        is_sso_user: matches!(user.credential, Credential::Sso),
        lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
        title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
        permission_level: user.permission_level.as_str(),
    };
    let results: Vec<PlannedUser> = planned.users.iter().map(show).collect();
    let metadata = BatchMetadata::new(results.len(), None, planned.warnings);
    PlannedUsers { results, metadata, plan: planned.plan.to_string() }
}
