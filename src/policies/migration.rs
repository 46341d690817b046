//! Leaving permissions to a directory's groups: what the vendor's client calls enforcing them.
//!
//! Only where a directory keeps groups (source `scim`) is there anything to leave to it. Then a person who is
//! an owner by their own level, and would not be one by the groups they are in, becomes a collaborator.
//! Nobody is removed, and programs' accounts stay what they are: directories know people.

use sqlx::PgConnection;

use super::write;
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller};
use crate::collaborators::owners;
use crate::error::Result;
use crate::id::{Id, Membership, Organization, User};

/// Somebody who is an owner, and becomes a collaborator.
#[derive(Clone, Debug)]
pub struct Affected {
    /// Who.
    pub user_id: Id<User>,
    /// Their membership.
    pub identity_id: Id<Membership>,
    /// The address as it was written.
    pub email: String,
    /// The name of the organization.
    pub organization_name: String,
}

/// Finds out whose permissions would change.
///
/// # Errors
/// `forbidden`.
pub async fn preview(app: &App, caller: &Caller) -> Result<Vec<Affected>> {
    let mut read = app.read(caller, Action::ScimMigrationPreview).await?;
    affected(&mut read, caller.organization_id).await
}

/// Changes their permissions, or only finds out whose.
///
/// # Errors
/// `forbidden`; `last_owner`.
pub async fn migrate(app: &App, caller: &Caller, dry_run: bool) -> Result<Vec<Affected>> {
    app.change(caller, Action::ScimMigration, Target::Organization(caller.organization_id), async |change| {
        owners::lock(change).await?;
        let affected = affected(change.connection(), caller.organization_id).await?;
        if dry_run {
            change.dry_run();
            return Ok(affected);
        }
        write::make_collaborators(change, &affected).await?;
        owners::require_one(change).await?;
        Ok(affected)
    })
    .await
}

async fn affected(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<Vec<Affected>> {
    let affected = sqlx::query_as!(
        Affected,
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
        organization_id.uuid(),
    )
    .fetch_all(connection)
    .await?;
    Ok(affected)
}
