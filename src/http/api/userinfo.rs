//! `GET /api/v2/userinfo/`: the caller. The vendor's client requests it first.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Single, single};
use crate::app::App;
use crate::caller::HolderUser;
use crate::error::Result;
use crate::http::extract::{self, Holder};
use crate::sign_in_policies::{self, SignInInfo, SsoMode};

/// The caller. Fields without a value are empty, because the vendor's client requires them.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserInfo {
    /// ID of the user, or of the key if it has no user.
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    id: String,
    /// E-mail address of the user; for a key without a user, an address without a mailbox.
    email: String,
    /// Name of the user, or of the key if it has no user.
    name: String,
    lastname: Option<String>,
    username: String,
    verified: bool,
    /// Whether the user has a password.
    has_password: bool,
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
    /// Whether the organization requires single sign-on.
    sso_required: bool,
    /// `off`, `optional` or `required`: whether people sign in through identity providers.
    sso_mode: &'static str,
    /// ID of the first enabled identity provider, by name; `null` if there is none.
    #[schema(example = "sso_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    sso_config_id: Option<String>,
    is_general_platform_enabled: bool,
    is_private_endpoints_enabled: bool,
    is_usage_blocked: bool,
}

/// Get the caller and their organization
#[utoipa::path(get, path = "/api/v2/userinfo/", operation_id = "user_info", tag = "client",
    responses((status = 200, description = "The caller.", body = Single<UserInfo>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let (holder, caller) = extract::holder(&request).await?;
    let sign_in = sign_in_policies::info(&app, caller.organization_id, caller.user_id()).await?;
    Ok(single(info(&holder, sign_in)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FlagQuery {
    /// Name of the flag; any.
    #[expect(dead_code, reason = "no flag is on")]
    flag_key: Option<String>,
}

/// A feature flag of the vendor's service.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeatureFlag {
    /// Always `false`.
    is_on: bool,
}

/// Ask for a feature flag of the vendor's service
///
/// The commands of the vendor's client for clouds ask for flags. None is on: this server has none of their features.
#[utoipa::path(get, path = "/api/v2/userinfo/check_is_feature_flag_on", operation_id = "feature_flag_get",
    tag = "client", params(FlagQuery),
    responses((status = 200, description = "The flag.", body = Single<FeatureFlag>)))]
pub(in crate::http) async fn feature_flag(request: HttpRequest) -> Result<HttpResponse> {
    extract::holder(&request).await?;
    let FlagQuery { .. } = extract::query(&request)?;
    Ok(single(FeatureFlag { is_on: false }))
}

fn info(holder: &Holder, sign_in: SignInInfo) -> UserInfo {
    let of_user =
        |user: &HolderUser| (user.user_id.to_string(), user.name.clone(), user.lastname.clone(), user.email.clone());
    let ((id, name, lastname, email), permission, organization) = match holder {
        Holder::Session(session) => (of_user(&session.user), session.permission, &session.organization),
        Holder::Key(key) => {
            let without_user =
                || (key.key_id.to_string(), key.key_name.clone(), None, format!("{}@api-key.invalid", key.key_id));
            (key.user.as_ref().map_or_else(without_user, of_user), key.permission, &key.organization)
        }
    };
    UserInfo {
        id,
        username: email.clone(),
        email,
        name,
        lastname,
        verified: true,
        has_password: sign_in.has_password,
        organization_permission_level: permission.as_str(),
        organization_ids: vec![organization.organization_id.to_string()],
        organizations: vec![Organization {
            id: organization.organization_id.to_string(),
            name: organization.name.clone(),
            public_identifier: organization.public_identifier.clone(),
            sso_required: sign_in.sso_mode == SsoMode::Required,
            sso_mode: sign_in.sso_mode.as_str(),
            sso_config_id: sign_in.provider_id.map(|id| id.to_string()),
            is_general_platform_enabled: false,
            is_private_endpoints_enabled: false,
            is_usage_blocked: false,
        }],
        ld_hash: "",
        ld_hash_fields: Vec::new(),
        pylon_hash: "",
    }
}
