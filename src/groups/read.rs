//! Finding groups and who is in them.

use sqlx::PgConnection;

use super::{Group, Member, not_found};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::Result;
use crate::id::{self, Id, Organization, User};
use crate::page::{Page, PageRequest};

/// Lists groups in the order in which they were made.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn list(app: &App, caller: &Caller, page: &PageRequest<id::Group>) -> Result<Page<Group>> {
    let mut read = app.read(caller, Action::GroupList).await?;
    // Of the two roles `owner` is the greater word, and the greater role.
    let rows = sqlx::query_as!(
        Group,
        r#"
        select
            group_id as "group_id: Id<id::Group>", name, source, created_at, updated_at,
            (
                select max(b.role_name) from organization_policy_bindings b
                where b.organization_id = g.organization_id and b.group_id = g.group_id
            ) as base_role
        from user_groups g
        where organization_id = $1 and ($2::uuid is null or group_id > $2)
        order by group_id
        limit $3
        "#,
        caller.organization_id.uuid(),
        page.after.map(Id::uuid),
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, rows, |row| row.group_id))
}

/// Finds one group.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, group_id: Id<id::Group>) -> Result<Group> {
    let mut read = app.read(caller, Action::GroupList).await?;
    find(&mut read, caller.organization_id, group_id).await
}

/// Finds one group, on any connection.
pub(super) async fn find(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    group_id: Id<id::Group>,
) -> Result<Group> {
    let group = sqlx::query_as!(
        Group,
        r#"
        select
            group_id as "group_id: Id<id::Group>", name, source, created_at, updated_at,
            (
                select max(b.role_name) from organization_policy_bindings b
                where b.organization_id = g.organization_id and b.group_id = g.group_id
            ) as base_role
        from user_groups g
        where organization_id = $1 and group_id = $2
        "#,
        organization_id.uuid(),
        group_id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    group.ok_or_else(|| not_found(group_id))
}

/// Lists who is in a group, in the order in which the users were created.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn members(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    page: &PageRequest<User>,
) -> Result<Page<Member>> {
    let mut read = app.read(caller, Action::GroupList).await?;
    find(&mut read, caller.organization_id, group_id).await?;
    let rows = sqlx::query_as!(
        Member,
        r#"
        select
            user_id as "user_id: Id<User>", u.email, concat_ws(' ', u.name, nullif(u.lastname, '')) as "name!",
            m.added_at
        from user_group_members m
        join users u using (organization_id, user_id)
        where organization_id = $1 and m.group_id = $2 and ($3::uuid is null or user_id > $3)
        order by user_id
        limit $4
        "#,
        caller.organization_id.uuid(),
        group_id.uuid(),
        page.after.map(Id::uuid),
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, rows, |row| row.user_id))
}

/// Who keeps a group, whose row is locked with that; `None` for a group that there is not.
pub(super) async fn locked_source(change: &mut Change, group_id: Id<id::Group>) -> Result<Option<String>> {
    let organization_id = change.organization_id().uuid();
    let source = sqlx::query_scalar!(
        "select source from user_groups where organization_id = $1 and group_id = $2 for no key update",
        organization_id,
        group_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(source)
}

/// Whether the policy makes its members owners.
pub(super) async fn is_of_owners(change: &mut Change, group_id: Id<id::Group>) -> Result<bool> {
    let organization_id = change.organization_id().uuid();
    let is_of_owners = sqlx::query_scalar!(
        r#"
        select exists (
            select from organization_policy_bindings
            where organization_id = $1 and role_name = 'owner' and group_id = $2
        ) as "is_of_owners!"
        "#,
        organization_id,
        group_id.uuid(),
    )
    .fetch_one(change.connection())
    .await?;
    Ok(is_of_owners)
}
