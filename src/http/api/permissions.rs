//! `GET /api/v2/scim/list-user-permissions`: the permissions of users.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use muster_client::PermissionHolder;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::extract;
use crate::http::stream::{self, Pieces};
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
    org_owners: Vec<PermissionHolder>,
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

/// List the permissions of users
///
/// All owners and all users in one response of any size, which is streamed. Requires an owner.
#[utoipa::path(get, path = "/api/v2/scim/list-user-permissions", operation_id = "permission_list", tag = "policies",
    params(PermissionsQuery),
    responses((status = 200, description = "The permissions.", body = Single<UserPermissions>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: PermissionsQuery = extract::query(&request)?;
    let user_id = query.user_id.as_deref().filter(|user_id| !user_id.is_empty());
    let permissions = Permissions::begin(app.into_inner(), &caller, user_id).await?;
    stream::answer(PermissionsBody { permissions, written: Written::Nothing }).await
}

/// The streamed body of [`list`].
struct PermissionsBody {
    permissions: Permissions,
    written: Written,
}

/// The last element that was written.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    /// Owners; `true` before the first one.
    Owners(bool),
    /// Users; `true` before the first one.
    Users(bool),
    All,
}

impl Pieces for PermissionsBody {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if matches!(self.written, Written::All) {
            return Ok(None);
        }
        let part = self.permissions.next().await?;
        let mut piece = Vec::new();
        if matches!(self.written, Written::Nothing) {
            let organization_id = self.permissions.organization_id();
            let head = format!(r#"{{"result":{{"organization_id":"{organization_id}","org_owners":["#);
            piece.extend_from_slice(head.as_bytes());
            self.written = Written::Owners(true);
        }
        self.write(part, &mut piece)?;
        Ok(Some(piece.into()))
    }
}

impl PermissionsBody {
    fn write(&mut self, part: Option<PermissionPage>, piece: &mut Vec<u8>) -> Result<()> {
        if matches!(self.written, Written::Owners(_)) && !matches!(part, Some(PermissionPage::Owners(_))) {
            piece.extend_from_slice(br#"],"users":["#);
            self.written = Written::Users(true);
        }
        match (part, &mut self.written) {
            (Some(PermissionPage::Owners(owners)), Written::Owners(is_first)) => {
                stream::items(piece, is_first, owners.into_iter().map(PermissionHolder::from))?;
            }
            (Some(PermissionPage::Users(users)), Written::Users(is_first)) => {
                let user = |holder| UserInClouds { user: PermissionHolder::from(holder), clouds: [] };
                stream::items(piece, is_first, users.into_iter().map(user))?;
            }
            _ => {
                piece.extend_from_slice(b"]}}");
                self.written = Written::All;
            }
        }
        Ok(())
    }
}
