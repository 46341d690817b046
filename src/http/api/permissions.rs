//! `GET /api/v2/scim/list-user-permissions`: the permissions of users.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::{OwnerPermission, PermissionHolder};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::http::stream::{self, Json, Source};
use crate::policies::{self, PermissionPage, Permissions};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PermissionsQuery {
    /// Only this user; all users if empty or absent.
    user_id: Option<String>,
}

/// The permissions of users. The response is streamed in this format.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserPermissions {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    /// All owners, by their membership or through a group.
    org_owners: Vec<OwnerPermission>,
    /// All users, or the requested user.
    users: Vec<UserInClouds>,
}

/// A user and their permissions in clouds.
#[derive(Serialize, ToSchema)]
struct UserInClouds {
    #[serde(flatten)]
    user: PermissionHolder,
    /// Always empty: this server has no clouds.
    #[schema(value_type = Vec<Object>)]
    clouds: [(); 0],
}

impl From<policies::PermissionHolder> for PermissionHolder {
    fn from(holder: policies::PermissionHolder) -> Self {
        Self {
            user_id: holder.user_id.to_string(),
            user_email: holder.email,
            is_service_account: holder.is_service_account,
        }
    }
}

fn owner_permission(owner: policies::Owner) -> OwnerPermission {
    let policies::Owner { user, is_own_level, groups } = owner;
    OwnerPermission { user: user.into(), is_own_level, groups }
}

/// List the permissions of users
///
/// All owners and all users in one response of any size, which is streamed. Requires an owner.
#[utoipa::path(get, path = "/api/v2/scim/list-user-permissions", operation_id = "permission_list", tag = "policies",
    params(PermissionsQuery),
    responses(
        (status = 200, description = "The permissions.", body = Single<UserPermissions>),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
    ))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: PermissionsQuery = extract::query(&request)?;
    let user_id = query.user_id.as_deref().filter(|user_id| !user_id.is_empty());
    let permissions = Permissions::begin(app.into_inner(), &caller, user_id).await?;
    let organization_id = caller.organization_id;
    let head = format!(r#"{{"result":{{"organization_id":"{organization_id}","org_owners":["#);
    stream::answer(&head, PermissionsSource { permissions, has_owners: false }).await
}

/// The streamed lists of [`list`].
struct PermissionsSource {
    permissions: Permissions,
    /// Whether all owners were written.
    has_owners: bool,
}

impl Source for PermissionsSource {
    type Part = PermissionPage;

    async fn next(&mut self) -> Result<Option<PermissionPage>> {
        self.permissions.next().await
    }

    fn write(&mut self, page: Option<PermissionPage>, json: &mut Json) -> Result<()> {
        if !matches!(page, Some(PermissionPage::Owners(_))) && !std::mem::replace(&mut self.has_owners, true) {
            json.text(r#"],"users":["#);
        }
        let user = |holder| UserInClouds { user: PermissionHolder::from(holder), clouds: [] };
        match page {
            Some(PermissionPage::Owners(owners)) => {
                owners.into_iter().try_for_each(|owner| json.item(&owner_permission(owner)))
            }
            Some(PermissionPage::Users(users)) => users.into_iter().try_for_each(|holder| json.item(&user(holder))),
            None => {
                json.text("]}}");
                Ok(())
            }
        }
    }
}
