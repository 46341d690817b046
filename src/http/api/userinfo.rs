//! `GET /api/v2/userinfo/`: who am I? The first thing that the vendor's client asks.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Single};
use crate::app::App;
use crate::caller::{Actor, Caller};
use crate::http::error::{ErrorBody, Failure};
use crate::organizations;

/// Who calls. Fields that a key doesn't have are empty: the vendor's client needs them there.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserInfo {
    /// The API key's id.
    #[schema(example = "key_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    /// Made of the id: a key has no mailbox.
    #[schema(example = "key_01k9h6m3x0e8wbz1v5n7q2r4t6@api-key.invalid")]
    email: String,
    /// The API key's name.
    name: String,
    username: String,
    verified: bool,
    organization_permission_level: &'static str,
    organization_ids: Vec<String>,
    organizations: Vec<Organization>,
    ld_hash: &'static str,
    ld_hash_fields: Vec<String>,
    pylon_hash: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Organization {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    name: String,
    public_identifier: String,
    is_general_platform_enabled: bool,
    is_private_endpoints_enabled: bool,
    is_usage_blocked: bool,
}

/// Who the key is, and in which organization
#[utoipa::path(get, path = "/api/v2/userinfo/", operation_id = "user_info", tag = "client",
    responses(
        (status = 200, description = "Who calls.", body = Single<UserInfo>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Answer {
    let organization = organizations::get(&app, &caller).await.map_err(|error| Failure::new(&request, error))?;
    let (id, name, level) = match &caller.actor {
        Actor::ApiKey { id, name, permission } => (id.to_string(), name.clone(), permission.as_str()),
        Actor::Operator | Actor::Anonymous => (String::new(), String::new(), "collaborator"),
    };
    let info = UserInfo {
        email: format!("{id}@api-key.invalid"),
        username: name.clone(),
        id,
        name,
        verified: true,
        organization_permission_level: level,
        organization_ids: vec![organization.organization_id.to_string()],
        organizations: vec![Organization {
            id: organization.organization_id.to_string(),
            name: organization.name,
            public_identifier: organization.public_identifier,
            is_general_platform_enabled: false,
            is_private_endpoints_enabled: false,
            is_usage_blocked: false,
        }],
        ld_hash: "",
        ld_hash_fields: Vec::new(),
        pylon_hash: "",
    };
    Ok(HttpResponse::Ok().json(Single { result: info }))
}
