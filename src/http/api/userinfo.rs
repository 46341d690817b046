//! `GET /api/v2/userinfo/`: who am I? The first thing that the vendor's client asks.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::Single;
use crate::http::error::ErrorBody;
use crate::http::extract::WhoAmI;
use crate::keys::Identity;
use crate::users::Profile;

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
pub(in crate::http) async fn get(WhoAmI(identity): WhoAmI) -> HttpResponse {
    HttpResponse::Ok().json(Single { result: info(&identity) })
}

fn info(identity: &Identity) -> UserInfo {
    let (id, profile) = match &identity.user {
        Some((user_id, profile)) => (user_id.to_string(), profile.clone()),
        None => {
            let email = format!("{}@api-key.invalid", identity.key_id);
            (identity.key_id.to_string(), Profile { name: identity.key_name.clone(), lastname: None, email })
        }
    };
    let organization = &identity.organization;
    UserInfo {
        id,
        username: profile.email.clone(),
        email: profile.email,
        name: profile.name,
        lastname: profile.lastname,
        verified: true,
        organization_permission_level: identity.permission.as_str(),
        organization_ids: vec![organization.organization_id.to_string()],
        organizations: vec![Organization {
            id: organization.organization_id.to_string(),
            name: organization.name.clone(),
            public_identifier: organization.public_identifier.clone(),
            is_general_platform_enabled: false,
            is_private_endpoints_enabled: false,
            is_usage_blocked: false,
        }],
        ld_hash: "",
        ld_hash_fields: Vec::new(),
        pylon_hash: "",
    }
}
