//! `GET /api/v2/userinfo/`: who am I? The first thing that the vendor's client asks.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Single};
use crate::app::App;
use crate::caller::{Actor, Caller};
use crate::error::{Error, Result};
use crate::http::error::{ErrorBody, Failure};
use crate::organizations;
use crate::users::{self, Profile};

/// Who calls. Fields that a key doesn't have are empty: the vendor's client needs them there.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserInfo {
    /// The user whose API key it is, or the key itself if it is nobody's.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    /// The user's; for a key that is nobody's one that has no mailbox.
    email: String,
    /// The user's name, or the key's.
    name: String,
    lastname: Option<String>,
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
    let info = info(&app, &caller).await.map_err(|error| Failure::new(&request, error))?;
    Ok(HttpResponse::Ok().json(Single { result: info }))
}

async fn info(app: &App, caller: &Caller) -> Result<UserInfo> {
    let Actor::ApiKey { id: key_id, name: key_name, user_id, permission } = &caller.actor else {
        return Err(Error::internal("only keys come in here"));
    };
    let organization = organizations::get(app, caller).await?;
    let (id, profile) = match user_id {
        Some(user_id) => (user_id.to_string(), users::own_profile(app, caller, *user_id).await?),
        None => {
            let email = format!("{key_id}@api-key.invalid");
            (key_id.to_string(), Profile { name: key_name.clone(), lastname: None, email })
        }
    };
    Ok(UserInfo {
        id,
        username: profile.email.clone(),
        email: profile.email,
        name: profile.name,
        lastname: profile.lastname,
        verified: true,
        organization_permission_level: permission.as_str(),
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
    })
}
