//! `/api/v2/organization_collaborators/`: who belongs to the organization.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Metadata, Single, revised};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::collaborators::{self, CollaboratorFilter, CollaboratorType, Search, SearchText};
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{body, extract, headers, log};
use crate::id::{self, Id};
use crate::page::{Page, PageRequest};
use crate::users::Status;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// The address, in any spelling.
    email: Option<String>,
    /// The display name, exactly: the name, or name and last name.
    name: Option<String>,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    collaborator_type: Option<String>,
    /// `true` or `false`; also as Python spells them.
    is_service_account: Option<String>,
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    count: Option<String>,
}

impl Query {
    fn filter(&self) -> Result<CollaboratorFilter> {
        Ok(CollaboratorFilter {
            email: self.email.clone(),
            name: self.name.clone(),
            collaborator_type: collaborator_type(self.collaborator_type.as_deref())?,
            is_service_account: extract::flag("is_service_account", self.is_service_account.as_deref())?,
        })
    }
}

fn collaborator_type(text: Option<&str>) -> Result<Option<CollaboratorType>> {
    match text {
        None => Ok(None),
        Some("all_accounts") => Ok(Some(CollaboratorType::All)),
        Some("only_service_accounts") => Ok(Some(CollaboratorType::OnlyServiceAccounts)),
        Some("only_user_accounts") => Ok(Some(CollaboratorType::OnlyUserAccounts)),
        Some(_) => Err(Error::invalid(
            "`collaborator_type` has to be all_accounts, only_service_accounts or only_user_accounts",
        )),
    }
}

fn permission_level(text: &str) -> Result<PermissionLevel> {
    PermissionLevel::parse(text).ok_or_else(|| Error::invalid("`permission_level` has to be `owner` or `collaborator`"))
}

/// A member of the organization.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Collaborator {
    /// The membership's id: not the user's.
    #[schema(example = "ide_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    name: String,
    full_name: String,
    email: String,
    /// What they may do, by their own level and by their groups: `owner` or `collaborator`.
    #[schema(example = "collaborator")]
    permission_level: String,
    /// What they may do by their own level.
    #[schema(example = "collaborator")]
    base_role: String,
    additional_roles: Vec<String>,
    is_service_account: bool,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: String,
    created_at: DateTime<Utc>,
}

/// List the members of the organization
///
/// In the order in which they were created, a page at a time; people and programs, suspended ones included.
#[utoipa::path(get, path = "/api/v2/organization_collaborators/", operation_id = "collaborator_list",
    tag = "collaborators", params(Query),
    responses(
        (status = 200, description = "A page of them.", body = Listing<Collaborator>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page = page(&request, &app, &caller).await?;
    Ok(show_page(&request, page))
}

fn show_page(request: &HttpRequest, page: Page<collaborators::Collaborator>) -> HttpResponse {
    log::rows(request, page.rows.len());
    let results = page.rows.into_iter().map(show).collect();
    HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } })
}

async fn page(request: &HttpRequest, app: &App, caller: &Caller) -> Result<Page<collaborators::Collaborator>> {
    let query: Query = extract::query(request)?;
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    collaborators::list(app, caller, &query.filter()?, &page).await
}

fn show(collaborator: collaborators::Collaborator) -> Collaborator {
    Collaborator {
        id: collaborator.identity_id.to_string(),
        user_id: collaborator.user_id.to_string(),
        full_name: collaborator.full_name(),
        name: collaborator.name,
        email: collaborator.email,
        base_role: collaborator.own_level.as_str().to_owned(),
        permission_level: collaborator.permission_level.as_str().to_owned(),
        additional_roles: Vec::new(),
        is_service_account: collaborator.is_service_account,
        status: collaborator.status.to_string(),
        created_at: collaborator.created_at,
    }
}

/// Whom to search for: all that is given has to hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SearchBody {
    /// A piece of the name, of name and last name, or of the address, without regard to case. 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, example = "lovel")]
    query: String,
    /// `all_accounts`, `only_service_accounts` or `only_user_accounts`.
    #[schema(example = "only_user_accounts")]
    collaborator_type: Option<String>,
    /// `owner` or `collaborator`, by their own level and by their groups.
    #[schema(example = "collaborator")]
    permission_level: Option<String>,
    is_service_account: Option<bool>,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    #[schema(minimum = 1, maximum = 50, example = 50)]
    count: Option<u16>,
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
}

impl SearchBody {
    fn search(&self) -> Result<Search> {
        let status = self.status.as_deref().map(|text| {
            Status::parse(text).ok_or_else(|| Error::invalid("`status` has to be `active` or `suspended`"))
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
/// By a piece of the name or of the address. In the order in which they were created, a page at a time. `%` and
/// `_` are no signs for anything else. It changes nothing.
#[utoipa::path(post, path = "/api/v2/organization_collaborators/search", operation_id = "collaborator_search",
    tag = "collaborators", request_body = SearchBody,
    responses(
        (status = 200, description = "A page of them.", body = Listing<Collaborator>),
        (status = 400, description = "Not JSON, or a field that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "An API key without the scope `users:read`.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn search(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let asked: SearchBody = body::object(&request, payload, &app.config.server).await?;
    let page = PageRequest::new(asked.count, asked.paging_token.as_deref())?;
    let page = collaborators::search(&app, &caller, &asked.search()?, &page).await?;
    Ok(show_page(&request, page))
}

/// For what takes no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// Which membership. An id that is none is nothing's, like one that is unknown.
fn identity_id(request: &HttpRequest) -> Result<Id<id::Membership>> {
    extract::id(request, "identity_id", "collaborator")
}

/// Look at a member of the organization
#[utoipa::path(get, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_get",
    tag = "collaborators", params(("identity_id" = String, Path, description = "The membership's id: not the user's.")),
    responses(
        (status = 200, description = "The member.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "An API key without the scope `users:read`.", body = ErrorBody),
        (status = 404, description = "No such membership in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let found = collaborators::get(&app, &caller, identity_id(&request)?).await?;
    Ok(revised(found.revision, show(found)))
}

/// What a membership is to allow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LevelBody {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    permission_level: String,
}

/// Change what a member may do
///
/// Their own level; what their groups allow stays. The last owner can't be made less. For owners.
#[utoipa::path(put, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_update",
    tag = "collaborators", params(
        ("identity_id" = String, Path, description = "The membership's id: not the user's."),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    request_body = LevelBody,
    responses(
        (status = 200, description = "The member as they are.", body = Single<Collaborator>, headers(("ETag" = String))),
        (status = 400, description = "Not JSON, or a field or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such membership in this organization.", body = ErrorBody),
        (status = 408, description = "The body took too long to arrive.", body = ErrorBody),
        (status = 409, description = "The organization would have no owner left (`last_owner`).", body = ErrorBody),
        (status = 412, description = "Somebody has changed it since.", body = ErrorBody),
        (status = 413, description = "Too many bytes.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn put(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    payload: Payload,
) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let (identity_id, expected) = (identity_id(&request)?, headers::if_match(&request)?);
    let level = async {
        let body: LevelBody = body::object(&request, payload, &app.config.server).await?;
        permission_level(&body.permission_level)
    };
    let changed = collaborators::set_permission_level(&app, &caller, identity_id, &expected, level).await?;
    Ok(revised(changed.revision, show(changed)))
}

/// Remove a member from the organization
///
/// Ends the membership and deletes the account, of a person or of a program: the same as deleting the user. The last
/// owner can't be removed. For owners.
#[utoipa::path(delete, path = "/api/v2/organization_collaborators/{identity_id}", operation_id = "collaborator_remove",
    tag = "collaborators", params(
        ("identity_id" = String, Path, description = "The membership's id: not the user's."),
        ("If-Match" = Option<String>, Header, description = "Only if the `ETag` is still this one."),
    ),
    responses(
        (status = 204, description = "The member is gone."),
        (status = 400, description = "A parameter or header that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such membership in this organization.", body = ErrorBody),
        (status = 409, description = "The organization would have no owner left (`last_owner`).", body = ErrorBody),
        (status = 412, description = "Somebody has changed it since.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    extract::query::<NoQuery>(&request)?;
    let expected = headers::if_match(&request)?;
    collaborators::remove(&app, &caller, identity_id(&request)?, &expected).await?;
    Ok(HttpResponse::NoContent().finish())
}
