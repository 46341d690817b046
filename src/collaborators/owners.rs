//! An organization never loses its last owner.
//!
//! Whatever may take an owner away (a lesser level, a suspension, a deletion, leaving a group, another policy)
//! does so between [`lock`] and [`hold`]. Two that would each leave the other as the last one are so made
//! one after the other, and the second is refused.

use uuid::Uuid;

use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};
use crate::report::Report;

/// Waits for everybody else who may be taking owners away, and makes them wait.
pub(crate) async fn lock(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    // Not in the way of those who only refer to the organization.
    sqlx::query!("select from organizations where organization_id = $1 for no key update", organization_id)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Which of these users are owners, as [`hold`] counts them. For a list, before it takes them away.
pub(crate) async fn among(change: &mut Change, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let organization_id = change.organization_id().uuid();
    let ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    let owners = sqlx::query_scalar!(
        r#"
        select u.user_id as "user_id: Id<User>"
        from users u
        where u.organization_id = $1 and u.user_id = any($2) and u.status = 'active' and not u.is_service_account
            and exists (select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id)
        "#,
        organization_id,
        &ids,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(owners)
}

/// As [`hold`], for a list: the refusal has this report, with a finding for each owner that the list takes away.
/// If nobody is left, none of them can go, and no other row is to blame.
///
/// # Errors
/// `last_owner`.
pub(crate) async fn hold_against(change: &mut Change, report: Report) -> Result<()> {
    hold(change).await.map_err(|error| if error.code() == Code::LastOwner { error.with_rows(report) } else { error })
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
            select from effective_owners o
            join users u using (user_id)
            where o.organization_id = $1 and u.organization_id = $1
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
