//! `/api/v2/scim/…`: the migration of permissions to the groups of a directory.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Single, single};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{extract, log};
use crate::id::{Id, Organization};
use crate::policies::{self, AffectedOwner};

/// The changes that the migration would make.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MigrationPreview {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    users_with_changes: Vec<UserWithChanges>,
    /// Always empty: the migration removes no users.
    #[schema(value_type = Vec<Object>)]
    users_to_remove: [(); 0],
}

/// A user whose permissions would change.
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

/// A change of the role in the organization.
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
    fn new(user: AffectedOwner, organization_id: Id<Organization>) -> Self {
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

/// Preview the migration of permissions to the groups of a directory
///
/// Users that are owners by their membership, but not through a group, would become collaborators. If no directory
/// manages groups, nothing would change. Requires an owner.
#[utoipa::path(get, path = "/api/v2/scim/scim-migration-preview", operation_id = "scim_migration_preview",
    tag = "policies",
    responses((status = 200, description = "The changes.", body = Single<MigrationPreview>)))]
pub(in crate::http) async fn preview(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let affected = policies::preview(&app, &caller).await?;
    log::rows(&request, affected.len());
    let organization_id = caller.organization_id;
    let result = MigrationPreview {
        organization_id: organization_id.to_string(),
        users_with_changes: affected.into_iter().map(|user| UserWithChanges::new(user, organization_id)).collect(),
        users_to_remove: [],
    };
    Ok(single(result))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MigrationQuery {
    /// `false` to migrate; `true` (default) to report the changes only. Optionally capitalized as in Python.
    dry_run: Option<String>,
    /// Number of users whose removal the caller accepts: a whole number, without effect, because this server removes none.
    #[param(value_type = Option<u32>)]
    acknowledge_user_removal_count: Option<String>,
}

/// The result of the migration.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Migration {
    #[schema(example = "org_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    organization_id: String,
    total_users_processed: usize,
    users_migrated: Vec<MigratedUser>,
    /// Always empty: the migration succeeds or fails as a whole.
    #[schema(value_type = Vec<String>)]
    errors: [(); 0],
    /// Always empty: the migration removes no users.
    #[schema(value_type = Vec<Object>)]
    users_to_remove: [(); 0],
    dry_run: bool,
}

/// A user whose permissions changed.
#[derive(Serialize, ToSchema)]
struct MigratedUser {
    user_id: String,
    user_email: String,
    #[schema(example = "ide_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    identity_id: String,
    /// Always true.
    org_owner_demoted: bool,
}

impl From<AffectedOwner> for MigratedUser {
    fn from(user: AffectedOwner) -> Self {
        Self {
            user_id: user.user_id.to_string(),
            user_email: user.email,
            identity_id: user.identity_id.to_string(),
            org_owner_demoted: true,
        }
    }
}

/// Migrate permissions to the groups of a directory
///
/// Makes the changes of the preview, all or none. Requires an owner.
#[utoipa::path(post, path = "/api/v2/scim/migrate-permissions", operation_id = "scim_migrate", tag = "policies",
    params(MigrationQuery),
    responses(
        (status = 200, description = "The changes.", body = Single<Migration>),
        (status = 409, description = "No owner would remain (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn migrate(
    request: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
) -> Result<HttpResponse> {
    let query: MigrationQuery = extract::query(&request)?;
    let dry_run = extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(true);
    // A 32-bit number, as in the description.
    if query.acknowledge_user_removal_count.is_some_and(|count| !count.parse::<i32>().is_ok_and(|count| count >= 0)) {
        return Err(Error::invalid("`acknowledge_user_removal_count` must be a whole number"));
    }
    let migrated = policies::migrate(&app, &caller, dry_run).await?;
    log::rows(&request, migrated.len());
    let result = Migration {
        organization_id: caller.organization_id.to_string(),
        total_users_processed: migrated.len(),
        users_migrated: migrated.into_iter().map(MigratedUser::from).collect(),
        errors: [],
        users_to_remove: [],
        dry_run,
    };
    Ok(single(result))
}
