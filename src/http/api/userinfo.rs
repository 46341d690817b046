//! `GET /api/v2/userinfo/`: who am I? The first thing that the vendor's client asks.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::Single;
use crate::caller::KeyHolder;
use crate::http::error::ErrorBody;
use crate::http::extract::WhoAmI;

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
pub(in crate::http) async fn get(WhoAmI(holder): WhoAmI) -> HttpResponse {
    HttpResponse::Ok().json(Single { result: info(&holder) })
}

fn info(holder: &KeyHolder) -> UserInfo {
    let (id, name, lastname, email) = match &holder.user {
        Some(user) => (user.user_id.to_string(), &user.name, user.lastname.clone(), user.email.clone()),
        None => (holder.key_id.to_string(), &holder.key_name, None, format!("{}@api-key.invalid", holder.key_id)),
    };
    UserInfo {
        id,
        username: email.clone(),
        email,
        name: name.clone(),
        lastname,
        verified: true,
        organization_permission_level: holder.permission.as_str(),
        organization_ids: vec![holder.organization_id.to_string()],
        organizations: vec![Organization {
            id: holder.organization_id.to_string(),
            name: holder.organization_name.clone(),
            public_identifier: holder.public_identifier.clone(),
            is_general_platform_enabled: false,
            is_private_endpoints_enabled: false,
            is_usage_blocked: false,
        }],
        ld_hash: "",
        ld_hash_fields: Vec::new(),
        pylon_hash: "",
    }
}
