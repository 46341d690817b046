//! `GET /api/v2/scim/list-user-permissions`: who may do what.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::http::stream::{self, Pieces};
use crate::policies::{PermissionHolder, PermissionPage, Permissions};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PermissionsQuery {
    /// Only this user; all of them if it is empty or absent.
    user_id: Option<String>,
}

/// Who may do what: what is written piece by piece.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct UserPermissions {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    /// All owners, by their own level or through a group.
    org_owners: Vec<OrganizationOwner>,
    /// All users, or the one that was asked for.
    users: Vec<UserInClouds>,
}

/// Somebody who is an owner.
#[derive(Serialize, ToSchema)]
struct OrganizationOwner {
    #[schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    user_id: String,
    #[schema(example = "ada@example.com")]
    user_email: String,
    is_service_account: bool,
}

/// A user, and what they may do in clouds.
#[derive(Serialize, ToSchema)]
struct UserInClouds {
    #[serde(flatten)]
    user: OrganizationOwner,
    /// Always empty: this server has no clouds.
    #[schema(value_type = Vec<Object>)]
    clouds: [(); 0],
}

impl OrganizationOwner {
    fn show(holder: PermissionHolder) -> Self {
        Self {
            user_id: holder.user_id.to_string(),
            user_email: holder.email,
            is_service_account: holder.is_service_account,
        }
    }
}

/// List who may do what
///
/// All owners and all users in one answer, however many they are: it is written while it is read. For owners.
#[utoipa::path(get, path = "/api/v2/scim/list-user-permissions", operation_id = "permission_list", tag = "policies",
    params(PermissionsQuery),
    responses(
        (status = 200, description = "Who may do what.", body = Single<UserPermissions>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 404, description = "No such user in this organization.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: PermissionsQuery = extract::query(&request)?;
    let user_id = query.user_id.as_deref().filter(|user_id| !user_id.is_empty());
    let permissions = Permissions::begin(app.into_inner(), &caller, user_id).await?;
    stream::answer(PermissionsBody { permissions, written: Written::Nothing }).await
}

/// What is written piece by piece, and how far.
struct PermissionsBody {
    permissions: Permissions,
    written: Written,
}

/// What was written last.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    /// Owners; whether there is none yet.
    Owners(bool),
    /// Users; whether there is none yet.
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
                stream::items(piece, is_first, owners.into_iter().map(OrganizationOwner::show))?;
            }
            (Some(PermissionPage::Users(users)), Written::Users(is_first)) => {
                let show = |holder| UserInClouds { user: OrganizationOwner::show(holder), clouds: [] };
                stream::items(piece, is_first, users.into_iter().map(show))?;
            }
            _ => {
                piece.extend_from_slice(b"]}}");
                self.written = Written::All;
            }
        }
        Ok(())
    }
}
