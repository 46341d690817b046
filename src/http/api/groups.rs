//! `/api/v2/user_groups/`: groups. Who is in them: `group_members.rs`.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Metadata, Single};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::error::Result;
use crate::groups;
use crate::http::error::ErrorBody;
use crate::http::{body, extract, log};
use crate::id::{self, Id, Kind, Organization};
use crate::page::{Page, PageRequest};

/// Users who get permissions together.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserGroup {
    #[schema(example = "ug_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    #[schema(example = "Platform team")]
    name: String,
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    org_id: String,
    /// `user`: made and edited here. `scim`: kept by a directory, and not to be edited here.
    #[schema(example = "user")]
    source: String,
    /// What the organization's policy lets its members be; `null`: nothing in particular.
    organization_permissions: Option<OrganizationPermissions>,
    created_at: DateTime<Utc>,
    /// When it got its name.
    updated_at: DateTime<Utc>,
}

/// What the members of a group are in the organization.
#[derive(Serialize, ToSchema)]
pub(super) struct OrganizationPermissions {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    base_role: String,
    /// Always empty.
    additional_roles: Vec<String>,
}

impl UserGroup {
    fn show(group: groups::Group, organization_id: Id<Organization>) -> Self {
        let permissions = |role: PermissionLevel| OrganizationPermissions {
            base_role: role.as_str().to_owned(),
            additional_roles: Vec::new(),
        };
        Self {
            id: group.group_id.to_string(),
            name: group.name,
            org_id: organization_id.to_string(),
            source: group.source.to_string(),
            organization_permissions: group.base_role.map(permissions),
            created_at: group.created_at,
            updated_at: group.updated_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PageQuery {
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    count: Option<String>,
}

/// Which page.
pub(super) fn page<K: Kind>(request: &HttpRequest) -> Result<PageRequest<K>> {
    let query: PageQuery = extract::query(request)?;
    PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())
}

/// Which group. An id that is none is nothing's, like one that is unknown.
pub(super) fn group_id(request: &HttpRequest) -> Result<Id<id::Group>> {
    extract::id(request, "group_id", "group")
}

/// List groups
///
/// In the order in which they were made, a page at a time.
#[utoipa::path(get, path = "/api/v2/user_groups/", operation_id = "group_list", tag = "groups", params(PageQuery),
    responses(
        (status = 200, description = "A page of them.", body = Listing<UserGroup>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page: Page<groups::Group> = groups::list(&app, &caller, &page(&request)?).await?;
    log::rows(&request, page.rows.len());
    let results = page.rows.into_iter().map(|group| UserGroup::show(group, caller.organization_id)).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
}

/// The name of a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct GroupName {
    /// 1 to 255 characters on one line. No two groups of an organization have names that differ in case only.
    #[schema(min_length = 1, max_length = 255, example = "Platform team")]
    name: String,
}

async fn name(request: &HttpRequest, payload: Payload, app: &App) -> Result<String> {
    Ok(body::object::<GroupName>(request, payload, &app.config.server).await?.name)
}

/// Make a group
///
/// Of nobody, at first. For owners.
#[utoipa::path(post, path = "/api/v2/user_groups/", operation_id = "group_create", tag = "groups",
    request_body = GroupName,
    responses(
        (status = 200, description = "The group.", body = Single<UserGroup>),
        (status = 400, description = "Not JSON, or a name that can't be one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "A group has this name.", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn create(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let group = groups::create(&app, &caller, name(&request, payload, &app)).await?;
    Ok(HttpResponse::Ok().json(Single { result: UserGroup::show(group, caller.organization_id) }))
}

/// Look at a group
#[utoipa::path(get, path = "/api/v2/user_groups/{group_id}", operation_id = "group_get", tag = "groups",
    params(("group_id" = String, Path)),
    responses(
        (status = 200, description = "The group.", body = Single<UserGroup>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "A key without the scope.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let group = groups::get(&app, &caller, group_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: UserGroup::show(group, caller.organization_id) }))
}

/// Give a group another name
///
/// For owners.
#[utoipa::path(patch, path = "/api/v2/user_groups/{group_id}", operation_id = "group_update", tag = "groups",
    params(("group_id" = String, Path)),
    request_body = GroupName,
    responses(
        (status = 200, description = "The group.", body = Single<UserGroup>),
        (status = 400, description = "Not JSON, or a name that can't be one.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "Another group has this name, or a directory keeps the group.", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn update(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    let name = name(&request, payload, &app);
    let group = groups::rename(&app, &caller, group_id(&request)?, name).await?;
    Ok(HttpResponse::Ok().json(Single { result: UserGroup::show(group, caller.organization_id) }))
}

/// Delete a group
///
/// Its members stay, without what it was bound to. Answers the group as it was. For owners.
#[utoipa::path(delete, path = "/api/v2/user_groups/{group_id}", operation_id = "group_delete", tag = "groups",
    params(("group_id" = String, Path)),
    responses(
        (status = 200, description = "It is deleted.", body = Single<UserGroup>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such group in this organization.", body = ErrorBody),
        (status = 409, description = "A directory keeps the group (`conflict`), or nobody would be an owner without \
            it (`last_owner`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let group = groups::delete(&app, &caller, group_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(Single { result: UserGroup::show(group, caller.organization_id) }))
}
