//! Changing memberships.

use crate::audit::Event;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, User};
use crate::users::lock;

/// Changes the own level of members from one to another. Locks the users' rows in the order of their IDs, as other
/// lists of users do.
pub(crate) async fn set_level(
    change: &mut Change,
    users: &[Id<User>],
    from: PermissionLevel,
    to: PermissionLevel,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let actor = change.actor();
    sqlx::query!(
        r#"
        update users set revision = revision + 1, updated_at = $3
        from (
            select user_id from users where organization_id = $1 and user_id = any($2)
            order by user_id for no key update
        ) as locked
        where organization_id = $1 and users.user_id = locked.user_id
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        now,
    )
    .execute(change.connection())
    .await?;
    lock::memberships(change, users).await?;
    sqlx::query!(
        r#"
        update collaborators
        set permission_level = $3, granted_by_kind = $4, granted_by_id = $5, granted_at = $6
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        to.as_str(),
        actor.kind.as_str(),
        actor.id,
        now,
    )
    .execute(change.connection())
    .await?;
    for user_id in users {
        change.record(Event::CollaboratorUpdated { user_id: *user_id, from, to });
    }
    Ok(())
}
