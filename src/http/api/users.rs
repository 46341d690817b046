//! `POST /api/v2/users/admin_batch_create`: creating a list of users.

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{Batch, PlannedCredential, PlannedUser};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::batches::to_batch;
use super::created_users::{BatchMetadata, CreatedUsers, render};
use crate::app::App;
use crate::batches::{self, Mode, Planned, Request, Slow};
use crate::caller::{Caller, Source};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{delivered, extract, headers, log};
use crate::report::Finding;
use crate::users::{Credential, Expiry, Line, NewUser};

/// A user to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what batches::List parses, which reports on wrong types too")]
pub(in crate::http) struct AdminCreateUser {
    /// First name or full name: 1 to 255 characters, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "name1")]
    name: String,
    /// E-mail address. Compared without regard to case and encoding (Unicode or punycode).
    #[schema(max_length = 254, example = "test1@anyscale.com")]
    email: String,
    /// Initial password. Without one, or with an empty one, the user can't sign in until a password is set. Not allowed for
    /// SSO users.
    #[schema(max_length = 256, format = "password", example = "")]
    password: Option<String>,
    /// Whether the user signs in through the organization's identity provider.
    is_sso_user: bool,
    /// Last name.
    #[schema(max_length = 255, example = "lastname1")]
    lastname: Option<String>,
    /// Job title.
    #[schema(max_length = 255, example = "title1")]
    title: Option<String>,
    /// Hash of an existing password, instead of `password`: a PHC string (argon2id, argon2i, argon2d, scrypt,
    /// pbkdf2-sha256, pbkdf2-sha512) or a bcrypt hash, with limits on the cost. `warnings` lists hashes that are weaker
    /// than the current recommendation.
    #[schema(max_length = 512, example = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW")]
    password_hash: Option<String>,
    /// Whether the user must change the password at the first sign-in; only with `password_hash`. Default: false. For
    /// `password`, a server setting applies.
    must_change_password: Option<bool>,
    /// Permission level: `collaborator` (default) or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// When the account expires: the last day of access in UTC, or a time of RFC 3339 with its zone.
    #[schema(example = "2027-12-31")]
    expires_at: Option<String>,
    /// Custom attributes: a flat object of texts, numbers and booleans, at most 64 and 8 KiB. Keys have letters, digits, `_`, `.`
    /// and `-`, at most 64.
    #[schema(value_type = Option<Object>, example = json!({"department": "Research"}))]
    attributes: Option<Map<String, Value>>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateQuery {
    /// `true`: change nothing; respond with what would happen. Default: `false`.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
    /// `true`: reject the list if there is any warning about it; `rows` of the error contains the warnings. Default: `false`.
    #[param(value_type = Option<bool>)]
    strict: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what http::headers reads")]
pub(in crate::http) struct Headers {
    /// Makes retries idempotent: a repeated request gets the first response. 1 to 255 visible ASCII characters, optionally
    /// quoted; stored for 24 hours.
    #[param(rename = "Idempotency-Key", example = "8e03978e-40d5-43dd-bc93-6894a57f9324")]
    idempotency_key: Option<String>,
    /// `respond-async` (RFC 7240), optionally with `wait=SECONDS`: respond with 202 if the batch takes longer.
    #[param(rename = "Prefer", example = "respond-async, wait=5")]
    prefer: Option<String>,
    /// The `plan` of a dry run: reject the request if its outcome differs from the plan.
    #[param(rename = "Muster-Plan")]
    muster_plan: Option<String>,
    /// Name of the file that the list comes from, in percent-encoded UTF-8. Stored with the batch.
    #[param(rename = "Muster-File-Name", example = "users.yaml")]
    muster_file_name: Option<String>,
    /// SHA-256 of that file in hexadecimal. Only its HMAC is stored.
    #[param(rename = "Muster-File-SHA256")]
    muster_file_sha256: Option<String>,
}

/// Result of a dry run.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PlannedUsers {
    /// The users, in the order of the request.
    results: Vec<PlannedUser>,
    metadata: BatchMetadata,
    /// The plan, to be sent as `Muster-Plan` with the same list.
    #[schema(example = "plan1_…")]
    plan: String,
}

/// A batch that continues in the background.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RunningBatch {
    result: Batch,
    metadata: BatchMetadata,
}

/// The created users or, in a dry run, the users that would be created.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes two alternatives; each is serialized by itself")]
pub(in crate::http) enum CreatedOrPlanned {
    Created(CreatedUsers),
    Planned(PlannedUsers),
}

/// Create a list of users, all or none
///
/// The users are active immediately, without e-mail verification, and members of the key's organization. Results are in
/// the order of the request. If any row is invalid, nothing is created, and `rows` of the error contains all findings
/// about all rows.
///
/// A request with an `Idempotency-Key` can be retried until there is a response; it is executed once. With `Prefer:
/// respond-async`, the server responds to a batch with many passwords with 202 and its `Location` once the rows are valid.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_create", operation_id = "user_batch_create", tag = "users",
    params(CreateQuery, Headers),
    request_body = Vec<AdminCreateUser>,
    responses(
        (status = 200, description = "The created users or, with `dry_run`, the plan.",
            body = CreatedOrPlanned, headers(
                ("Idempotency-Replayed" = Option<String>, description = "`true` if an earlier request with this key created the users."))),
        (status = 202, description = "The rows are valid, and the batch is running; poll `Location`.", body = RunningBatch,
            headers(("Location" = String), ("Retry-After" = u64))),
        (status = 409, description = "Accounts exist (`batch_conflict`), a request with this key is in progress \
            (`idempotency_key_in_use`), the plan no longer applies (`plan_changed`), or the batch was cancelled or \
            undone (`conflict`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`), or the key belongs to a different request \
            (`idempotency_key_reused`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let app = app.into_inner();
    let create = create_request(&app, &body.request)?;
    let answer = batches::create(&app, &caller, create, body.read()).await?;
    let mut response = match &answer {
        batches::Answer::Running(..) => HttpResponse::Accepted(),
        _ => HttpResponse::Ok(),
    };
    Ok(match answer {
        batches::Answer::Created(created) => {
            log::rows(&body.request, created.users);
            if created.is_replayed {
                response.insert_header(("idempotency-replayed", "true"));
            }
            response.content_type("application/json");
            match created.is_undelivered {
                true => response.body(delivered::body(app, caller.organization_id, created)),
                false => response.body(created.body),
            }
        }
        batches::Answer::InProgress(creating) => {
            let body = delivered::in_progress(app, caller.organization_id, body.request.clone(), creating);
            // nginx passes the blanks on instead of collecting them.
            response.content_type("application/json").insert_header(("x-accel-buffering", "no")).streaming(body)
        }
        batches::Answer::Running(batch, warnings) => {
            let location = format!("/api/v2/batches/{}", batch.batch_id);
            response
                .insert_header((LOCATION, location))
                .insert_header(("preference-applied", "respond-async"))
                .insert_header((RETRY_AFTER, "1"))
                .json(RunningBatch::new(to_batch(*batch, &app.clock), warnings))
        }
        batches::Answer::Planned(planned) => {
            log::rows(&body.request, planned.users.len());
            response.json(PlannedUsers::from(planned))
        }
    })
}

fn create_request(app: &App, request: &HttpRequest) -> Result<Request> {
    let query: CreateQuery = extract::query(request)?;
    let is_dry_run = extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false);
    let is_strict = extract::flag("strict", query.strict.as_deref())?.unwrap_or(false);
    let plan = headers::plan(request)?;
    let mode = match is_dry_run {
        true if plan.is_some() => {
            return Err(Error::invalid("a dry run does not accept a plan; omit `Muster-Plan`"));
        }
        true => Mode::DryRun,
        false => Mode::Create { wait: headers::prefer_async(request) },
    };
    let source = extract::source(request);
    Ok(Request {
        source,
        file: headers::file(request)?,
        key: headers::idempotency_key(request)?,
        plan,
        mode,
        is_strict,
        render,
        slow: (source == Source::VendorClient).then(|| Slow::new(app.config.server.limits.slow_batch)),
    })
}

impl RunningBatch {
    fn new(result: Batch, warnings: Vec<Finding>) -> Self {
        let total = usize::try_from(result.user_count).unwrap_or_default();
        let metadata = BatchMetadata::new(total, Some(result.batch_id.clone()), warnings);
        Self { result, metadata }
    }
}

impl From<Planned> for PlannedUsers {
    fn from(planned: Planned) -> Self {
        let results: Vec<PlannedUser> = planned.users.iter().map(to_planned_user).collect();
        let metadata = BatchMetadata::new(results.len(), None, planned.warnings);
        Self { results, metadata, plan: planned.plan.to_string() }
    }
}

fn to_planned_user(user: &NewUser) -> PlannedUser {
    PlannedUser {
        email: user.email.as_str().to_owned(),
        name: user.name.as_str().to_owned(),
        is_sso_user: matches!(user.credential, Credential::Sso),
        lastname: user.lastname.as_ref().map(Line::as_str).map(str::to_owned),
        title: user.title.as_ref().map(Line::as_str).map(str::to_owned),
        permission_level: user.permission_level.as_str().to_owned(),
        credential: match &user.credential {
            Credential::Sso => PlannedCredential::Sso,
            Credential::Password(_) => PlannedCredential::Password,
            Credential::Imported { .. } => PlannedCredential::PasswordHash,
            Credential::Unset => PlannedCredential::None,
        },
        expires_at: user.expires_at.map(Expiry::time),
        attributes: user.attributes.to_object(),
    }
}
