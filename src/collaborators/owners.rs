//! An organization never loses its last owner.
//!
//! Whatever may take an owner away (a lesser level, a suspension, a deletion, leaving a group, another policy)
//! does so between [`lock`] and [`hold`]. Two that would each leave the other as the last one are so made
//! one after the other, and the second is refused.

use crate::change::Change;
use crate::error::{Code, Error, Result};

/// Waits for everybody else who may be taking owners away, and makes them wait.
pub(crate) async fn lock(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    // Not in the way of those who only refer to the organization.
    sqlx::query!("select from organizations where organization_id = $1 for no key update", organization_id)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Refuses the change if it leaves nobody who is an owner: a person, active, by their own level or
/// through a group.
///
/// # Errors
/// `last_owner`.
pub(crate) async fn hold(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    let is_held = sqlx::query_scalar!(
        r#"
        select exists (
            select from collaborators c
            join users u using (organization_id, user_id)
            where c.organization_id = $1 and c.permission_level = 'owner'
                and u.status = 'active' and not u.is_service_account
        ) or exists (
            select from organization_policy_bindings b
            join user_group_members m using (organization_id, group_id)
            join users u using (organization_id, user_id)
            where b.organization_id = $1 and b.role_name = 'owner'
                and u.status = 'active' and not u.is_service_account
        ) as "is_held!"
        "#,
        organization_id,
    )
    .fetch_one(change.connection())
    .await?;
    if is_held {
        return Ok(());
    }
    Err(Error::new(
        Code::LastOwner,
        "this would leave the organization without an active owner, and nothing was written: make somebody else an \
         owner first",
    ))
}
