//! Changing groups and who is in them.

use uuid::Uuid;

use super::GroupName;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, User};

/// Makes a group.
pub(super) async fn insert(change: &mut Change, group_id: Id<id::Group>, name: &GroupName) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        insert into user_groups (organization_id, group_id, name, name_key, source, created_at, updated_at)
        values ($1, $2, $3, $4, 'user', $5, $5)
        "#,
        organization_id,
        group_id.uuid(),
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

/// Gives a group, whose row is locked, another name.
pub(super) async fn rename(change: &mut Change, group_id: Id<id::Group>, name: &GroupName) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        update user_groups set name = $3, name_key = $4, updated_at = $5
        where organization_id = $1 and group_id = $2
        "#,
        organization_id,
        group_id.uuid(),
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

/// What it means that a group could not be given this name.
fn taken(error: sqlx::Error, name: &GroupName) -> Error {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    if constraint == Some("user_groups_name_key_key") {
        return Error::new(Code::Conflict, format!("there is a group called `{}` already", name.as_str()));
    }
    error.into()
}

/// Deletes a group, whose row is locked, with its memberships and bindings.
pub(super) async fn delete(change: &mut Change, group_id: Id<id::Group>) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    sqlx::query!(
        "delete from user_groups where organization_id = $1 and group_id = $2",
        organization_id,
        group_id.uuid(),
    )
    .execute(change.connection())
    .await?;
    change.record(Event::GroupDeleted(group_id));
    Ok(())
}

/// Puts users into a group; gives those who were not in it.
pub(super) async fn add(change: &mut Change, group_id: Id<id::Group>, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let user_ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    let added = sqlx::query_scalar!(
        r#"
        insert into user_group_members (organization_id, group_id, user_id, added_at)
        select $1, $2, user_id, $4 from unnest($3::uuid[]) as asked (user_id) order by user_id
        on conflict on constraint user_group_members_pkey do nothing
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id,
        group_id.uuid(),
        &user_ids,
        now,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(added)
}

/// Takes users out of a group; gives those who were in it.
pub(super) async fn remove(change: &mut Change, group_id: Id<id::Group>, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let organization_id = change.organization_id().uuid();
    let user_ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    let removed = sqlx::query_scalar!(
        r#"
        delete from user_group_members where organization_id = $1 and group_id = $2 and user_id = any($3)
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id,
        group_id.uuid(),
        &user_ids,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(removed)
}
