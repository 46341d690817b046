//! `/api/v2/scim/…`: leaving permissions to a directory's groups.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Single;
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::{extract, log};
use crate::id::{Id, Organization};
use crate::policies::{self, AffectedOwner};

/// What leaving permissions to a directory's groups changes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MigrationPreview {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    users_with_changes: Vec<UserWithChanges>,
    /// Always empty: nobody is removed.
    #[schema(value_type = Vec<Object>)]
    users_to_remove: [(); 0],
}

/// Somebody who would be allowed something else.
#[derive(Serialize, ToSchema)]
struct UserWithChanges {
    user_id: String,
    user_email: String,
    /// Always empty: this server has no clouds.
    #[schema(value_type = Vec<Object>)]
    cloud_changes: [(); 0],
    /// Always empty: this server has no projects.
    #[schema(value_type = Vec<Object>)]
    project_changes: [(); 0],
    org_role_change: RoleChange,
}

/// What somebody is in the organization, and would be.
#[derive(Serialize, ToSchema)]
struct RoleChange {
    resource_id: String,
    resource_name: String,
    #[schema(example = "owner")]
    old_role: &'static str,
    #[schema(example = "collaborator")]
    new_role: &'static str,
}

impl UserWithChanges {
    fn show(user: AffectedOwner, organization_id: Id<Organization>) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            user_email: user.email,
            cloud_changes: [],
            project_changes: [],
            org_role_change: RoleChange {
                resource_id: organization_id.to_string(),
                resource_name: user.organization_name,
                old_role: PermissionLevel::Owner.as_str(),
                new_role: PermissionLevel::Collaborator.as_str(),
            },
        }
    }
}

/// Find out what leaving permissions to a directory's groups would change
///
/// Where no directory keeps groups: nothing. Else people who are owners by their own level, and would not be by
/// the groups they are in, would become collaborators. For owners.
#[utoipa::path(get, path = "/api/v2/scim/scim-migration-preview", operation_id = "scim_migration_preview",
    tag = "policies",
    responses(
        (status = 200, description = "What would change.", body = Single<MigrationPreview>),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn migration_preview(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let affected = policies::preview(&app, &caller).await?;
    log::rows(&request, affected.len());
    let organization_id = caller.organization_id;
    let result = MigrationPreview {
        organization_id: organization_id.to_string(),
        users_with_changes: affected.into_iter().map(|user| UserWithChanges::show(user, organization_id)).collect(),
        users_to_remove: [],
    };
    Ok(HttpResponse::Ok().json(Single { result }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MigrationQuery {
    /// `false`: do it. `true` or absent: only find out what it would do. Also as Python spells them.
    dry_run: Option<String>,
}

/// What leaving permissions to a directory's groups has changed.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Migration {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    total_users_processed: usize,
    users_migrated: Vec<MigratedUser>,
    /// Always empty: it is done as a whole, or refused.
    #[schema(value_type = Vec<String>)]
    errors: [(); 0],
    /// Always empty: nobody is removed.
    #[schema(value_type = Vec<Object>)]
    users_to_remove: [(); 0],
    dry_run: bool,
}

/// Somebody who is allowed something else.
#[derive(Serialize, ToSchema)]
struct MigratedUser {
    user_id: String,
    user_email: String,
    #[schema(example = "ide_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    identity_id: String,
    /// Always: an owner is a collaborator.
    org_owner_demoted: bool,
}

/// Leave permissions to a directory's groups
///
/// Does what the preview tells, all of it or nothing. For owners.
#[utoipa::path(post, path = "/api/v2/scim/migrate-permissions", operation_id = "scim_migrate", tag = "policies",
    params(MigrationQuery),
    responses(
        (status = 200, description = "It is done, or could be.", body = Single<Migration>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 409, description = "Nobody would be an owner (`last_owner`).", body = ErrorBody),
        (status = 503, description = "Too busy, or the database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn migrate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let query: MigrationQuery = extract::query(&request)?;
    let dry_run = extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(true);
    let migrated = policies::migrate(&app, &caller, dry_run).await?;
    log::rows(&request, migrated.len());
    let show = |user: AffectedOwner| MigratedUser {
        user_id: user.user_id.to_string(),
        user_email: user.email,
        identity_id: user.identity_id.to_string(),
        org_owner_demoted: true,
    };
    let result = Migration {
        organization_id: caller.organization_id.to_string(),
        total_users_processed: migrated.len(),
        users_migrated: migrated.into_iter().map(show).collect(),
        errors: [],
        users_to_remove: [],
        dry_run,
    };
    Ok(HttpResponse::Ok().json(Single { result }))
}
