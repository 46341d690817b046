//! Changing groups and their members.

use super::GroupName;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Organization, User};
use crate::postgres::is_unique_violation;

/// Inserts a group.
pub(super) async fn insert(change: &mut Change, group_id: Id<id::Group>, name: &GroupName) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        insert into user_groups (organization_id, group_id, name, name_key, source, created_at, updated_at)
        values ($1, $2, $3, $4, 'user', $5, $5)
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        name.as_str(),
        name.key(),
        now,
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    change.record(Event::GroupCreated(group_id));
    Ok(())
}

/// Renames a locked group.
pub(super) async fn rename(change: &mut Change, group_id: Id<id::Group>, name: &GroupName) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update user_groups set name = $3, name_key = $4, updated_at = $5
        where organization_id = $1 and group_id = $2
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        name.as_str(),
        name.key(),
        now,
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    change.record(Event::GroupUpdated(group_id));
    Ok(())
}

/// Maps a unique violation to `conflict`: the name is the only value of a group that can collide.
fn taken(error: sqlx::Error, name: &GroupName) -> Error {
    if is_unique_violation(&error) {
        return Error::new(Code::Conflict, format!("a group named `{}` already exists", name.as_str()));
    }
    error.into()
}

/// Deletes a locked group with its memberships and policy bindings, which are locked first ([`crate::change`]).
pub(super) async fn delete(change: &mut Change, group_id: Id<id::Group>) -> Result<()> {
    let organization_id = change.organization_id();
    lock_members(change, group_id, None).await?;
    sqlx::query!(
        r#"
        select from organization_policy_bindings
        where organization_id = $1 and group_id = $2
        order by role_name
        for update
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
    )
    .execute(change.connection())
    .await?;
    change.confirm_access().await?;
    sqlx::query!(
        "delete from user_groups where organization_id = $1 and group_id = $2",
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::GroupDeleted(group_id));
    Ok(())
}

/// Adds users to a group. Returns those who were not members before.
pub(super) async fn add(change: &mut Change, group_id: Id<id::Group>, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let added = sqlx::query_scalar!(
        r#"
        insert into user_group_members (organization_id, group_id, user_id, added_at)
        select $1, $2, user_id, $4 from unnest($3::uuid[]) as added (user_id) order by user_id
        on conflict on constraint user_group_members_pkey do nothing
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        users as &[Id<User>],
        now,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(added)
}

/// Removes users from a group, after locking their memberships ([`crate::change`]). Returns those who were members.
pub(super) async fn remove(change: &mut Change, group_id: Id<id::Group>, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let organization_id = change.organization_id();
    lock_members(change, group_id, Some(users)).await?;
    change.confirm_own_access(users).await?;
    let removed = sqlx::query_scalar!(
        r#"
        delete from user_group_members where organization_id = $1 and group_id = $2 and user_id = any($3)
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?;
    Ok(removed)
}

/// Locks the memberships of these users, or of all members.
async fn lock_members(change: &mut Change, group_id: Id<id::Group>, users: Option<&[Id<User>]>) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        select from user_group_members
        where organization_id = $1 and group_id = $2 and ($3::uuid[] is null or user_id = any($3))
        order by user_id
        for update
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        users as Option<&[Id<User>]>,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
