//! Changing memberships.

use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, User};

/// Sets a member's own level. The user's row is locked.
pub(super) async fn set_level(change: &mut Change, user_id: Id<User>, level: PermissionLevel) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let actor = change.actor();
    sqlx::query!(
        r#"
        update collaborators
        set permission_level = $3, granted_by_kind = $4, granted_by_id = $5, granted_at = $6
        where organization_id = $1 and user_id = $2
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        level.as_str(),
        actor.kind(),
        actor.id(),
        now,
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "update users set revision = revision + 1, updated_at = $3 where organization_id = $1 and user_id = $2",
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
