//! `/api/v2/organization_collaborators/`: the members of the organization.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{Collaborator, CollaboratorType};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{IfMatch, Listing, NoQuery, Single, with_etag};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::collaborators::{self, CollaboratorFilter, Search, SearchText};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{extract, headers};
use crate::id::{self, Id};
use crate::page::PageRequest;
use crate::users::{Status, UserDetails};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// E-mail address, compared without regard to case and encoding (Unicode or punycode).
    email: Option<String>,
    /// Display name, exact: the name, or first and last name.
    name: Option<String>,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    collaborator_type: Option<String>,
    /// `true` or `false`, optionally capitalized as in Python.
    is_service_account: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Members per page: 1 to 50, default 50.
    count: Option<String>,
}

fn collaborator_type(text: Option<&str>) -> Result<Option<CollaboratorType>> {
    let invalid = || {
        let kinds = "`all_accounts`, `only_service_accounts` or `only_user_accounts`";
        Error::invalid(format!("invalid `collaborator_type`; expected {kinds}"))
    };
    text.map(|text| CollaboratorType::parse(text).ok_or_else(invalid)).transpose()
}

pub(super) fn permission_level(text: &str) -> Result<PermissionLevel> {
    PermissionLevel::parse(text)
        .ok_or_else(|| Error::invalid("invalid `permission_level`; expected `owner` or `collaborator`"))
}

/// List the members of the organization
///
/// Users and service accounts, including suspended ones, in the order of their creation.
#[utoipa::path(get, path = "/api/v2/organization_collaborators/", operation_id = "collaborator_list",
    tag = "collaborators", params(Query),
    responses((status = 200, description = "A page of members.", body = Listing<Collaborator>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let filter = CollaboratorFilter {
        collaborator_type: collaborator_type(query.collaborator_type.as_deref())?,
        is_service_account: extract::flag("is_service_account", query.is_service_account.as_deref())?,
        email: query.email,
        name: query.name,
    };
    let page = collaborators::list(&app, &caller, &filter, &page).await?;
    Ok(super::page(&request, page, Collaborator::from))
}

impl From<UserDetails> for Collaborator {
    fn from(collaborator: UserDetails) -> Self {
        Self {
            id: collaborator.identity_id.to_string(),
            user_id: Some(collaborator.user_id.to_string()),
            full_name: Some(collaborator.full_name()),
            name: collaborator.name,
            email: collaborator.email,
            base_role: Some(collaborator.own_level.as_str().to_owned()),
            permission_level: collaborator.permission_level.as_str().to_owned(),
            additional_roles: Vec::new(),
            is_service_account: Some(collaborator.is_service_account),
            status: Some(collaborator.status.to_string()),
            created_at: collaborator.created_at,
        }
    }
}

/// A search for members. A member must match all fields that are present.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SearchBody {
    /// Part of the name, the full name or the e-mail address, case-insensitive: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, example = "lovel")]
    query: String,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    #[schema(example = "only_user_accounts")]
    collaborator_type: Option<String>,
    /// Effective permission level, including groups: `owner` or `collaborator`.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    is_service_account: Option<bool>,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: Option<String>,
    /// Members per page: 1 to 50, default 50.
    #[schema(minimum = 1, maximum = 50, example = 50)]
    count: Option<u16>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
}

impl SearchBody {
    fn search(&self) -> Result<Search> {
        let status = self.status.as_deref().map(|text| {
            Status::parse(text).ok_or_else(|| Error::invalid("invalid `status`; expected `active` or `suspended`"))
        });
        Ok(Search {
            text: SearchText::parse(&self.query)?,
            collaborator_type: collaborator_type(self.collaborator_type.as_deref())?,
            is_service_account: self.is_service_account,
            permission_level: self.permission_level.as_deref().map(permission_level).transpose()?,
            status: status.transpose()?,
        })
    }
}

/// Search the members of the organization
///
/// By part of the name or the e-mail address, in the order of their creation. `%` and `_` are matched literally.
/// Read-only.
#[utoipa::path(post, path = "/api/v2/organization_collaborators/search", operation_id = "collaborator_search",
    tag = "collaborators", request_body = SearchBody,
    responses((status = 200, description = "A page of members.", body = Listing<Collaborator>)))]
pub(in crate::http) async fn search(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&body.request)?;
    let search: SearchBody = body.object().await?;
    let page = PageRequest::new(search.count, search.paging_token.as_deref())?;
    let page = collaborators::search(&app, &caller, &search.search()?, &page).await?;
    Ok(super::page(&body.request, page, Collaborator::from))
}

fn identity_id(request: &HttpRequest) -> Result<Id<id::Membership>> {
    extract::id(request, "identity_id", "collaborator")
}

/// Get a member of the organization
#[utoipa::path(get, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_get",
    tag = "collaborators", params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`.")),
    responses(
        (status = 200, description = "The member.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 400, description = "No parameters are accepted.", body = ErrorBody),
    ))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let member = collaborators::get(&app, &caller, identity_id(&request)?).await?;
    Ok(with_etag(member.revision, Collaborator::from(member)))
}

/// A new permission level.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LevelBody {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    permission_level: String,
}

/// Set the permission level of a member
///
/// Sets the permission level of the membership; the permissions of groups are unaffected. The last owner can't be
/// demoted. Requires an owner.
#[utoipa::path(put, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_update",
    tag = "collaborators",
    params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`."), IfMatch),
    request_body = LevelBody,
    responses(
        (status = 200, description = "The changed member.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn put(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&body.request)?;
    let (identity_id, expected) = (identity_id(&body.request)?, headers::if_match(&body.request)?);
    // The operation reads the body only after the permission check.
    let level = async {
        let level: LevelBody = body.object().await?;
        permission_level(&level.permission_level)
    };
    let member = collaborators::set_permission_level(&app, &caller, identity_id, &expected, level).await?;
    Ok(with_etag(member.revision, Collaborator::from(member)))
}

/// Remove a member from the organization
///
/// Ends the membership and deletes the account, like deleting the user. The last owner can't be removed. Requires an
/// owner.
#[utoipa::path(delete, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_remove",
    tag = "collaborators",
    params(("identity_id" = String, Path, description = "ID of the membership, `ide_…`."), IfMatch),
    responses(
        (status = 204, description = "The member is removed."),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let expected = headers::if_match(&request)?;
    collaborators::remove(&app, &caller, identity_id(&request)?, &expected).await?;
    Ok(HttpResponse::NoContent().finish())
}
