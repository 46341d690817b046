//! `/api/v2/policy/…`: what the members of groups may do.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::body;
use crate::http::error::ErrorBody;
use crate::policies::{self, BindingRequest, Resource};

/// What groups are bound to.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Policy {
    /// Owners first. Roles that no group is bound to are left out.
    bindings: Vec<Binding>,
    /// Always `success`: a policy holds at once.
    #[schema(example = "success")]
    sync_status: &'static str,
}

/// A role and the groups whose members have it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Binding {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    role_name: String,
    /// Ids of groups.
    #[schema(example = json!(["ug_01k9h6m3x0e8wbz1v5n7q2r4t6"]))]
    principals: Vec<String>,
}

/// What groups are to be bound to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPolicy {
    /// All of them: what is not here ends. Each role once.
    bindings: Vec<Binding>,
}

impl Policy {
    fn show(bindings: Vec<policies::Binding>) -> Self {
        let show = |binding: policies::Binding| Binding {
            role_name: binding.role.as_str().to_owned(),
            principals: binding.groups.iter().map(ToString::to_string).collect(),
        };
        Self { bindings: bindings.into_iter().map(show).collect(), sync_status: "success" }
    }
}

/// What the policy in the path is about.
fn resource(request: &HttpRequest) -> Resource {
    let part = |name| request.match_info().get(name).unwrap_or_default().to_owned();
    Resource { kind: part("resource_type"), id: part("resource_id") }
}

/// Look at the policy of the organization
///
/// There are no policies of clouds and projects: this server has neither.
#[utoipa::path(get, path = "/api/v2/policy/{resource_type}/{resource_id}", operation_id = "policy_get",
    tag = "policies",
    params(
        ("resource_type" = String, Path, description = "`organization`", example = "organization"),
        ("resource_id" = String, Path, description = "The organization's id, or `_` for one's own", example = "_"),
    ),
    responses(
        (status = 200, description = "The policy.", body = Single<Policy>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 404, description = "Not the caller's organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let bindings = policies::get(&app, &caller, &resource(&request)).await?;
    Ok(HttpResponse::Ok().json(Single { result: Policy::show(bindings) }))
}

/// Replace the policy of the organization
///
/// It holds at once: members of a group that is bound to `owner` are owners until the binding or their
/// membership ends. All of it is set, or nothing, and then `rows` of the error has every finding. For owners;
/// a key that makes groups owners needs the scope `users:write`, too.
#[utoipa::path(put, path = "/api/v2/policy/{resource_type}/{resource_id}", operation_id = "policy_set",
    tag = "policies",
    params(
        ("resource_type" = String, Path, description = "`organization`", example = "organization"),
        ("resource_id" = String, Path, description = "The organization's id, or `_` for one's own", example = "_"),
    ),
    request_body = NewPolicy,
    responses(
        (status = 200, description = "The policy as it is now.", body = Single<Policy>),
        (status = 400, description = "Not JSON, or of another shape.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key, or one without the scope.", body = ErrorBody),
        (status = 404, description = "Not the caller's organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "Nobody would be an owner (`last_owner`).", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 422, description = "Roles or groups that are unknown, or there twice (`policy_rejected`).",
            body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn set(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let asked = async { asked(body::object(&request, payload, &app.config.server).await) };
    let bindings = policies::set(&app, &caller, &resource(&request), asked).await?;
    Ok(HttpResponse::Ok().json(Single { result: Policy::show(bindings) }))
}

fn asked(policy: Result<NewPolicy>) -> Result<Vec<BindingRequest>> {
    let bindings = policy?.bindings.into_iter();
    Ok(bindings.map(|Binding { role_name, principals }| BindingRequest { role_name, principals }).collect())
}

/// The policy of a cloud or a project, of which there is none.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ResourcePolicy {
    resource_id: String,
    /// `cloud` or `project`.
    resource_type: String,
    bindings: Vec<Binding>,
    sync_status: String,
}

/// List the policies of clouds
///
/// Always empty: this server has no clouds.
#[utoipa::path(get, path = "/api/v2/policy/clouds", operation_id = "policy_list_clouds", tag = "policies",
    responses(
        (status = 200, description = "None.", body = Listing<ResourcePolicy>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn clouds(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    none(&app, &caller).await
}

/// List the policies of projects
///
/// Always empty: this server has no projects.
#[utoipa::path(get, path = "/api/v2/policy/projects", operation_id = "policy_list_projects", tag = "policies",
    responses(
        (status = 200, description = "None.", body = Listing<ResourcePolicy>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn projects(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    none(&app, &caller).await
}

async fn none(app: &App, caller: &Caller) -> Result<HttpResponse> {
    policies::list_none(app, caller).await?;
    let results: Vec<ResourcePolicy> = Vec::new();
    let metadata = Metadata { total: Some(0), next_paging_token: None };
    Ok(HttpResponse::Ok().json(Listing { results, metadata }))
}
