//! `/api/v2/policy/…`: the policy of the organization, which assigns roles to groups.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{Policy, PolicyAffectedUser, PolicyBinding, PolicyChanges};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{DryRun, Listing, Metadata, Single, is_dry_run, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::headers;
use crate::policies::{self, BindingRequest, Resource, SetMode};

/// A new policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPolicy {
    /// All bindings of the new policy, each role once.
    #[serde(deserialize_with = "policies::bindings")]
    #[schema(max_items = 10)]
    bindings: Vec<BindingRequest>,
}

fn to_policy(bindings: Vec<policies::Binding>) -> Policy {
    let binding = |binding: policies::Binding| PolicyBinding {
        role_name: binding.role.as_str().to_owned(),
        principals: binding.groups.iter().map(ToString::to_string).collect(),
    };
    Policy { bindings: bindings.into_iter().map(binding).collect(), sync_status: "success".to_owned(), changes: None }
}

fn to_changes(changes: policies::PolicyChanges) -> PolicyChanges {
    let policies::PolicyChanges { gained, lost, plan } = changes;
    let user = |user: policies::AffectedUser| PolicyAffectedUser {
        user_id: user.user_id.to_string(),
        email: user.email,
        name: user.name,
        lastname: user.lastname,
        is_service_account: user.is_service_account,
        groups: user.groups,
    };
    PolicyChanges {
        gained: gained.into_iter().map(user).collect(),
        lost: lost.into_iter().map(user).collect(),
        plan: plan.to_string(),
    }
}

fn resource(request: &HttpRequest) -> Resource {
    let part = |name| request.match_info().get(name).unwrap_or_default().to_owned();
    Resource { kind: part("resource_type"), id: part("resource_id") }
}

/// Get the policy of the organization
///
/// Clouds and projects have no policies, because this server has neither.
#[utoipa::path(get, path = "/api/v2/policy/{resource_type}/{resource_id}", operation_id = "policy_get",
    tag = "policies",
    params(
        ("resource_type" = String, Path, description = "`organization`", example = "organization"),
        ("resource_id" = String, Path, description = "ID of the organization, or `_` for the caller's", example = "_"),
    ),
    responses((status = 200, description = "The policy.", body = Single<Policy>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let bindings = policies::get(&app, &caller, &resource(&request)).await?;
    Ok(single(to_policy(bindings)))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what http::headers reads")]
pub(in crate::http) struct PlanHeader {
    /// The `plan` of a dry run: reject the request if it would change other permissions than planned.
    #[param(rename = "Muster-Plan")]
    muster_plan: Option<String>,
}

/// Replace the policy of the organization
///
/// Takes effect immediately: members of a group with the role `owner` are owners until the binding or their membership
/// ends. All bindings are set or none; on an error, `rows` contains all findings. With `dry_run`, nothing is written, and
/// `changes` lists the users who would gain or lose permissions. Requires an owner; to make a group an owner, a key must
/// not be limited to scopes.
#[utoipa::path(put, path = "/api/v2/policy/{resource_type}/{resource_id}", operation_id = "policy_set",
    tag = "policies",
    params(
        ("resource_type" = String, Path, description = "`organization`", example = "organization"),
        ("resource_id" = String, Path, description = "ID of the organization, or `_` for the caller's", example = "_"),
        DryRun, PlanHeader,
    ),
    request_body = NewPolicy,
    responses(
        (status = 200, description = "The new policy.", body = Single<Policy>),
        (status = 409, description = "No owner would remain (`last_owner`), or the plan no longer applies (`plan_changed`).",
            body = ErrorBody),
        (status = 422, description = "Unknown or duplicate roles or groups (`policy_rejected`).",
            body = ErrorBody),
    ))]
pub(in crate::http) async fn set(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let resource = resource(&body.request);
    let mode = match (is_dry_run(&body.request)?, headers::policy_plan(&body.request)?) {
        (true, Some(_)) => return Err(Error::invalid("a dry run does not accept a plan; omit `Muster-Plan`")),
        (true, None) => SetMode::DryRun,
        (false, Some(plan)) => SetMode::Planned(plan),
        (false, None) => SetMode::Set,
    };
    let bindings = async { Ok(body.object::<NewPolicy>().await?.bindings) };
    let (bindings, changes) = policies::set(&app, &caller, &resource, mode, bindings).await?;
    Ok(single(Policy { changes: changes.map(to_changes), ..to_policy(bindings) }))
}

/// The policy of a cloud or a project. There are none.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ResourcePolicy {
    resource_id: String,
    /// `cloud` or `project`.
    resource_type: String,
    bindings: Vec<PolicyBinding>,
    sync_status: String,
}

/// List the policies of clouds
///
/// Always empty: this server has no clouds.
#[utoipa::path(get, path = "/api/v2/policy/clouds", operation_id = "policy_list_clouds", tag = "policies",
    responses((status = 200, description = "An empty list.", body = Listing<ResourcePolicy>)))]
pub(in crate::http) async fn clouds(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    none(&app, &caller).await
}

/// List the policies of projects
///
/// Always empty: this server has no projects.
#[utoipa::path(get, path = "/api/v2/policy/projects", operation_id = "policy_list_projects", tag = "policies",
    responses((status = 200, description = "An empty list.", body = Listing<ResourcePolicy>)))]
pub(in crate::http) async fn projects(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    none(&app, &caller).await
}

async fn none(app: &App, caller: &Caller) -> Result<HttpResponse> {
    policies::list_none(app, caller).await?;
    let metadata = Metadata { total: Some(0), next_paging_token: None };
    Ok(HttpResponse::Ok().json(Listing::<ResourcePolicy> { results: Vec::new(), metadata }))
}
