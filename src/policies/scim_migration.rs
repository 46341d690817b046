//! The SCIM migration: leaves owner permissions to the groups of a directory. The vendor's client calls this enforcing
//! them.
//!
//! The migration applies only if a directory manages groups (source `scim`). Each person who is an owner by their own
//! level, but not through a group, becomes a collaborator. No user is removed. Service accounts keep their level,
//! because directories manage people.

use sqlx::PgConnection;

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::collaborators::{self, owners};
use crate::error::Result;
use crate::id::{Id, Membership, Organization, User};

/// An owner whom the migration makes a collaborator.
#[derive(Clone, Debug)]
pub struct AffectedOwner {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The ID of the membership.
    pub identity_id: Id<Membership>,
    /// The address as it was entered.
    pub email: String,
    /// The name of the organization.
    pub organization_name: String,
}

/// Lists the owners whom the migration would affect.
///
/// # Errors
/// `forbidden`.
pub async fn preview(app: &App, caller: &Caller) -> Result<Vec<AffectedOwner>> {
    let mut read = app.read(caller, Action::ScimMigrationPreview).await?;
    affected(&mut read, caller.organization_id).await
}

/// Executes the migration, or rolls back in a dry run. Returns the affected owners.
///
/// # Errors
/// `forbidden`; `last_owner`.
pub async fn migrate(app: &App, caller: &Caller, dry_run: bool) -> Result<Vec<AffectedOwner>> {
    app.change(caller, Action::ScimMigration, Target::Organization(caller.organization_id), async |change| {
        owners::lock(change).await?;
        let affected = affected(change.connection(), caller.organization_id).await?;
        if dry_run {
            change.dry_run();
            return Ok(affected);
        }
        let user_ids: Vec<Id<User>> = affected.iter().map(|owner| owner.user_id).collect();
        let (from, to) = (PermissionLevel::Owner, PermissionLevel::Collaborator);
        collaborators::write::set_level(change, &user_ids, from, to).await?;
        change.record(Event::ScimMigrated { organization_id: caller.organization_id, users: user_ids.len() });
        owners::require_one(change).await?;
        Ok(affected)
    })
    .await
}

async fn affected(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<Vec<AffectedOwner>> {
    let affected = sqlx::query_as!(
        AffectedOwner,
        r#"
        select
            user_id as "user_id: Id<User>", c.identity_id as "identity_id: Id<Membership>", u.email,
            o.name as organization_name
        from collaborators c
        join users u using (organization_id, user_id)
        join organizations o using (organization_id)
        where organization_id = $1 and c.permission_level = 'owner' and not u.is_service_account
            and exists (select from user_groups g where g.organization_id = $1 and g.source = 'scim')
            and not exists (
                select from effective_owners e
                where e.organization_id = $1 and e.user_id = c.user_id and e.through_group
            )
        order by user_id
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_all(connection)
    .await?;
    Ok(affected)
}
