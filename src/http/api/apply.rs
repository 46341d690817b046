//! `POST /api/v2/users/admin_batch_apply`: applying a list of users as the wished state.

use actix_web::{HttpResponse, web};
use muster_client::{AppliedUser, AppliedUsers, AppliedUsersMetadata, ChangedField, RowFinding};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::apply::{self, Applied, Request, UserAction};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, headers, log};

/// The wished state of a user. Fields that are absent stay as they are, or get their default for a new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what apply::apply reads, which reports on wrong types too")]
pub(in crate::http) struct WishedUser {
    /// ID or current e-mail address of an existing user. Without it, `email` names the user, who is created if there is none.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user: Option<String>,
    /// First name or full name: 1 to 255 characters, no control characters. Required for a new user.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: Option<String>,
    /// E-mail address; with `user`, the new one. Required for a new user.
    #[schema(max_length = 254, example = "ada@example.com")]
    email: Option<String>,
    /// Initial password of a new user.
    #[schema(max_length = 256, format = "password", example = "")]
    password: Option<String>,
    /// Whether the user signs in through the organization's identity provider; `true` removes the password. Required for a new
    /// user.
    is_sso_user: Option<bool>,
    /// Last name; `null` removes it.
    #[schema(max_length = 255, example = "King")]
    lastname: Option<String>,
    /// Job title; `null` removes it.
    #[schema(max_length = 255, example = "Countess of Lovelace")]
    title: Option<String>,
    /// Hash of an existing password of a new user, instead of `password`; the formats are those of `admin_batch_create`.
    #[schema(max_length = 512)]
    password_hash: Option<String>,
    /// Whether a new user must change the password at the first sign-in; only with `password_hash`.
    must_change_password: Option<bool>,
    /// Permission level of the membership itself, without groups: `collaborator` or `owner`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    /// Custom attributes: the given ones replace their values, `null` removes one, the others stay (RFC 7396).
    #[schema(value_type = Option<Object>, example = json!({"department": "Research"}))]
    attributes: Option<Map<String, Value>>,
    /// `active` or `suspended`; a new user is active.
    #[schema(example = "active")]
    status: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// `true` to return the differences and a plan without writing.
    dry_run: Option<String>,
    /// `true` to suspend active people who are not in the list. Owners and service accounts are never suspended for that.
    suspend_missing: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what http::headers reads")]
pub(in crate::http) struct Headers {
    /// The `plan` of a dry run: reject the request if the list or one of its users has changed since.
    #[param(rename = "Muster-Plan")]
    muster_plan: Option<String>,
}

/// Apply a list of users as the wished state, all or none
///
/// Creates the users that do not exist, changes those that differ and, with `suspend_missing`, suspends those that are not in
/// the list, in one transaction. Service accounts can't be in the list. The last owner can't be demoted or suspended. If any row
/// is invalid, nothing is written, and `rows` of the error contains all findings about all rows. Idempotent: a repeated list
/// changes nothing. Requires an owner; a key with scopes needs `users:read` and `users:write`.
#[utoipa::path(post, path = "/api/v2/users/admin_batch_apply", operation_id = "user_batch_apply", tag = "users",
    params(Query, Headers),
    request_body = Vec<WishedUser>,
    responses(
        (status = 200, description = "The users that differ from the list; with `dry_run`, also the plan.",
            body = AppliedUsers),
        (status = 409, description = "Addresses belong to other accounts (`batch_conflict`), the plan no longer applies \
            (`plan_changed`), or no owner would remain (`last_owner`, with `rows`).", body = ErrorBody),
        (status = 422, description = "Rows with findings (`batch_rejected`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn post(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let query: Query = extract::query(&body.request)?;
    let request = Request {
        dry_run: extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false),
        suspend_missing: extract::flag("suspend_missing", query.suspend_missing.as_deref())?.unwrap_or(false),
        plan: headers::plan(&body.request)?,
    };
    if request.dry_run && request.plan.is_some() {
        return Err(Error::invalid("a dry run does not accept a plan; omit `Muster-Plan`"));
    }
    let applied = apply::apply(&app.into_inner(), &caller, &request, body.read()).await?;
    log::rows(&body.request, applied.total);
    Ok(HttpResponse::Ok().json(response(applied, request.dry_run)))
}

fn response(applied: Applied, dry_run: bool) -> AppliedUsers {
    let Applied { users, total, plan, warnings } = applied;
    let count = |action| apply::count(&users, action);
    let (created, changed) = (count(UserAction::Create), count(UserAction::Change));
    AppliedUsers {
        metadata: AppliedUsersMetadata {
            total,
            next_paging_token: None,
            created,
            changed,
            suspended: count(UserAction::Suspend),
            unchanged: total.saturating_sub(created + changed),
            warnings: warnings.into_iter().map(RowFinding::from).collect(),
        },
        plan: dry_run.then(|| plan.to_string()),
        results: users.into_iter().map(applied_user).collect(),
    }
}

fn applied_user(user: apply::AppliedUser) -> AppliedUser {
    let changes = user.changes.into_iter().map(|change| ChangedField {
        field: change.field.into_owned(),
        before: change.before,
        after: change.after,
    });
    AppliedUser {
        action: user.action.as_str().to_owned(),
        user_id: user.user_id.map(|user_id| user_id.to_string()),
        email: user.email,
        changes: changes.collect(),
    }
}
