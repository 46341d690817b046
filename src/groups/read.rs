//! Reading groups and their members.

use sqlx::PgConnection;

use super::{Group, GroupMember, GroupName, GroupSource, not_found};
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Organization, User};
use crate::page::{Page, PageRequest};

/// Selects groups: `$condition` completes the `where` clause. `$1` is the organization. `max` prefers `owner` to
/// `collaborator`, by alphabet.
macro_rules! groups {
    ($condition:literal, $($values:tt)+) => {
        sqlx::query_as!(
            Group,
            r#"
            select
                group_id as "group_id: Id<id::Group>", name, source as "source: GroupSource", created_at, updated_at,
                (
                    select max(b.role_name) from organization_policy_bindings b
                    where b.organization_id = $1 and b.group_id = g.group_id
                ) as "base_role: PermissionLevel"
            from user_groups g
            where organization_id = $1 and
            "# + $condition,
            $($values)+
        )
    };
}

/// Lists groups, ordered by creation time.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn list(app: &App, caller: &Caller, page: &PageRequest<id::Group>) -> Result<Page<Group>> {
    let mut read = app.read(caller, Action::GroupList).await?;
    let rows = groups!(
        "group_id > $2 order by group_id limit $3",
        caller.organization_id as Id<Organization>,
        page.after.unwrap_or(Id::MIN) as Id<id::Group>,
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, rows, |row| row.group_id))
}

/// Reads one group.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, group_id: Id<id::Group>) -> Result<Group> {
    let mut read = app.read(caller, Action::GroupList).await?;
    find(&mut read, caller.organization_id, group_id).await
}

/// Reads the group with a name, in any spelling.
///
/// # Errors
/// `forbidden`; `invalid_request` for an invalid name; `not_found`.
pub async fn by_name(app: &App, caller: &Caller, name: &str) -> Result<Group> {
    let mut read = app.read(caller, Action::GroupList).await?;
    let name = GroupName::parse(name.trim())?;
    let group = groups!("name_key = $2", caller.organization_id as Id<Organization>, name.key())
        .fetch_optional(&mut *read)
        .await?;
    group.ok_or_else(|| Error::new(Code::NotFound, "there is no group with this name"))
}

pub(super) async fn find(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    group_id: Id<id::Group>,
) -> Result<Group> {
    let group = groups!("group_id = $2", organization_id as Id<Organization>, group_id as Id<id::Group>)
        .fetch_optional(connection)
        .await?;
    group.ok_or_else(|| not_found(group_id))
}

/// Lists the members of a group, ordered by the creation time of the users.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn members(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    page: &PageRequest<User>,
) -> Result<Page<GroupMember>> {
    let mut read = app.read(caller, Action::GroupList).await?;
    find(&mut read, caller.organization_id, group_id).await?;
    let rows = sqlx::query_as!(
        GroupMember,
        r#"
        select
            user_id as "user_id: Id<User>", u.email, concat_ws(' ', u.name, nullif(u.lastname, '')) as "name!",
            m.added_at
        from user_group_members m
        join users u using (organization_id, user_id)
        where organization_id = $1 and m.group_id = $2 and user_id > $3
        order by user_id
        limit $4
        "#,
        caller.organization_id as Id<Organization>,
        group_id as Id<id::Group>,
        page.after.unwrap_or(Id::MIN) as Id<User>,
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, rows, |row| row.user_id))
}

/// Locks a group and returns the system that manages it; `None` for an unknown group.
pub(super) async fn lock_source(change: &mut Change, group_id: Id<id::Group>) -> Result<Option<GroupSource>> {
    let organization_id = change.organization_id();
    let source = sqlx::query_scalar!(
        r#"
        select source as "source: GroupSource" from user_groups
        where organization_id = $1 and group_id = $2
        for no key update
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(source)
}

/// Whether the policy makes the members of the group owners.
pub(super) async fn grants_owner(change: &mut Change, group_id: Id<id::Group>) -> Result<bool> {
    let organization_id = change.organization_id();
    let grants_owner = sqlx::query_scalar!(
        r#"
        select exists (
            select from organization_policy_bindings
            where organization_id = $1 and role_name = 'owner' and group_id = $2
        ) as "grants_owner!"
        "#,
        organization_id as Id<Organization>,
        group_id as Id<id::Group>,
    )
    .fetch_one(change.connection())
    .await?;
    Ok(grants_owner)
}
