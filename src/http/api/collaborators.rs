//! `GET /api/v2/organization_collaborators/`.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Listing, Metadata};
use crate::app::App;
use crate::caller::Caller;
use crate::collaborators::{self, CollaboratorType, Filter};
use crate::error::{Error, Result};
use crate::http::error::{ErrorBody, Failure};
use crate::http::{extract, log};
use crate::page::{Page, PageRequest};

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
    fn filter(&self) -> Result<Filter> {
        let collaborator_type = match self.collaborator_type.as_deref() {
            None => None,
            Some("all_accounts") => Some(CollaboratorType::All),
            Some("only_service_accounts") => Some(CollaboratorType::OnlyServiceAccounts),
            Some("only_user_accounts") => Some(CollaboratorType::OnlyUserAccounts),
            Some(_) => {
                return Err(Error::invalid(
                    "`collaborator_type` has to be all_accounts, only_service_accounts or only_user_accounts",
                ));
            }
        };
        Ok(Filter {
            email: self.email.clone(),
            name: self.name.clone(),
            collaborator_type,
            is_service_account: extract::flag("is_service_account", self.is_service_account.as_deref())?,
        })
    }
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
    /// `owner` or `collaborator`.
    permission_level: String,
    base_role: String,
    additional_roles: Vec<String>,
    is_service_account: bool,
    created_at: DateTime<Utc>,
}

/// List the members of the organization
///
/// In the order in which they were created, a page at a time.
#[utoipa::path(get, path = "/api/v2/organization_collaborators/", operation_id = "collaborator_list",
    tag = "collaborators", params(Query),
    responses(
        (status = 200, description = "A page of them.", body = Listing<Collaborator>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Answer {
    let page = page(&request, &app, &caller).await.map_err(|error| Failure::new(&request, error))?;
    log::rows(&request, page.rows.len());
    let results = page.rows.into_iter().map(show).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
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
        base_role: collaborator.permission_level.clone(),
        permission_level: collaborator.permission_level,
        additional_roles: Vec::new(),
        is_service_account: collaborator.is_service_account,
        created_at: collaborator.created_at,
    }
}
