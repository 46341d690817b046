//! `/api/v2/user_groups/`: groups. `group_members.rs` has their members.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{Group, GroupPermissions};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Single, single};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::error::Result;
use crate::groups;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::id::{self, Id, Kind, Organization};
use crate::page::PageRequest;

fn to_group(group: groups::Group, organization_id: Id<Organization>) -> Group {
    let permissions = |role: PermissionLevel| GroupPermissions {
        base_role: Some(role.as_str().to_owned()),
        additional_roles: Vec::new(),
    };
    Group {
        id: group.group_id.to_string(),
        name: group.name,
        org_id: organization_id.to_string(),
        source: Some(group.source.to_string()),
        organization_permissions: group.base_role.map(permissions),
        created_at: group.created_at,
        updated_at: group.updated_at,
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PageQuery {
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Items per page: 1 to 50, default 50.
    count: Option<String>,
}

pub(super) fn page<K: Kind>(request: &HttpRequest) -> Result<PageRequest<K>> {
    let query: PageQuery = extract::query(request)?;
    PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())
}

pub(super) fn group_id(request: &HttpRequest) -> Result<Id<id::Group>> {
    extract::id(request, "group_id", "group")
}

/// List groups
///
/// In the order of their creation.
#[utoipa::path(get, path = "/api/v2/user_groups/", operation_id = "group_list", tag = "groups", params(PageQuery),
    responses((status = 200, description = "A page of groups.", body = Listing<Group>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page = groups::list(&app, &caller, &page(&request)?).await?;
    Ok(super::page(&request, page, |group| to_group(group, caller.organization_id)))
}

/// The name of a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct GroupName {
    /// 1 to 255 characters on one line, unique in the organization regardless of case.
    #[schema(min_length = 1, max_length = 255, example = "Platform team")]
    name: String,
}

async fn name(body: &mut Body) -> Result<String> {
    Ok(body.object::<GroupName>().await?.name)
}

/// Create an empty group
///
/// Requires an owner.
#[utoipa::path(post, path = "/api/v2/user_groups/", operation_id = "group_create", tag = "groups",
    request_body = GroupName,
    responses(
        (status = 200, description = "The created group.", body = Single<Group>),
        (status = 409, description = "Another group has this name.", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let group = groups::create(&app, &caller, name(&mut body)).await?;
    Ok(single(to_group(group, caller.organization_id)))
}

/// Get a group
#[utoipa::path(get, path = "/api/v2/user_groups/{group_id}", operation_id = "group_get", tag = "groups",
    params(("group_id" = String, Path)),
    responses((status = 200, description = "The group.", body = Single<Group>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let group = groups::get(&app, &caller, group_id(&request)?).await?;
    Ok(single(to_group(group, caller.organization_id)))
}

/// Rename a group
///
/// Requires an owner.
#[utoipa::path(patch, path = "/api/v2/user_groups/{group_id}", operation_id = "group_update", tag = "groups",
    params(("group_id" = String, Path)),
    request_body = GroupName,
    responses(
        (status = 200, description = "The renamed group.", body = Single<Group>),
        (status = 409, description = "Another group has this name, or a directory manages the group.", body = ErrorBody),
    ))]
pub(in crate::http) async fn update(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let group_id = group_id(&body.request)?;
    let group = groups::rename(&app, &caller, group_id, name(&mut body)).await?;
    Ok(single(to_group(group, caller.organization_id)))
}

/// Delete a group
///
/// The accounts of its members remain, without the permissions of the group. Returns the last state of the group.
/// Requires an owner.
#[utoipa::path(delete, path = "/api/v2/user_groups/{group_id}", operation_id = "group_delete", tag = "groups",
    params(("group_id" = String, Path)),
    responses(
        (status = 200, description = "The deleted group.", body = Single<Group>),
        (status = 409, description = "A directory manages the group (`conflict`), or no owner would remain \
            (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let group = groups::delete(&app, &caller, group_id(&request)?).await?;
    Ok(single(to_group(group, caller.organization_id)))
}
