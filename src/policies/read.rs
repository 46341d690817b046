//! Finding what groups are bound to.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Binding;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Group, Id, Organization};

/// The organization's bindings, owners first, groups by id.
pub(super) async fn bindings(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<Vec<Binding>> {
    let rows = sqlx::query!(
        r#"
        select role_name, group_id as "group_id: Id<Group>" from organization_policy_bindings
        where organization_id = $1
        order by role_name desc, group_id
        "#,
        organization_id.uuid(),
    )
    .fetch_all(connection)
    .await?;
    let mut bindings: Vec<Binding> = Vec::new();
    for row in rows {
        let role = PermissionLevel::from_database(&row.role_name);
        match bindings.last_mut() {
            Some(last) if last.role == role => last.groups.push(row.group_id),
            _ => bindings.push(Binding { role, groups: vec![row.group_id] }),
        }
    }
    Ok(bindings)
}

/// Those of the groups that there are; nobody can delete them until the change ends.
pub(super) async fn lock_groups(change: &mut Change, groups: &[Id<Group>]) -> Result<HashSet<Uuid>> {
    let organization_id = change.organization_id().uuid();
    let ids: Vec<Uuid> = groups.iter().map(|id| id.uuid()).collect();
    let there = sqlx::query_scalar!(
        r#"
        select group_id from user_groups
        where organization_id = $1 and group_id = any($2)
        order by group_id
        for key share
        "#,
        organization_id,
        &ids,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(there.into_iter().collect())
}
