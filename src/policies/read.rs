//! Reading policy bindings.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::Binding;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Group, Id, Organization};

/// The organization's bindings: owners first, groups by ID.
pub(super) async fn bindings(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<Vec<Binding>> {
    let rows = sqlx::query!(
        r#"
        select role_name as "role: PermissionLevel", group_id as "group_id: Id<Group>"
        from organization_policy_bindings
        where organization_id = $1
        order by role_name desc, group_id
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_all(connection)
    .await?;
    let mut bindings: Vec<Binding> = Vec::new();
    for row in rows {
        match bindings.last_mut() {
            Some(last) if last.role == row.role => last.groups.push(row.group_id),
            _ => bindings.push(Binding { role: row.role, groups: vec![row.group_id] }),
        }
    }
    Ok(bindings)
}

/// Locks groups against deletion until the transaction ends. Returns those that exist.
pub(super) async fn lock_groups(change: &mut Change, groups: &[Id<Group>]) -> Result<HashSet<Id<Group>>> {
    let organization_id = change.organization_id();
    let found = sqlx::query_scalar!(
        r#"
        select group_id as "group_id: Id<Group>" from user_groups
        where organization_id = $1 and group_id = any($2)
        order by group_id
        for key share
        "#,
        organization_id as Id<Organization>,
        groups as &[Id<Group>],
    )
    .fetch_all(change.connection())
    .await?;
    Ok(found.into_iter().collect())
}
