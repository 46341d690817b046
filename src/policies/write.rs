//! Writing policy bindings.

use crate::audit::Event;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Group, Id, Organization};

/// Replaces all bindings of the organization. The groups are locked.
pub(super) async fn replace(change: &mut Change, owners: Vec<Id<Group>>, collaborators: Vec<Id<Group>>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        "delete from organization_policy_bindings where organization_id = $1",
        organization_id as Id<Organization>
    )
    .execute(change.connection())
    .await?;
    let with_role = |role: PermissionLevel, groups: &[Id<Group>]| -> Vec<(&'static str, Id<Group>)> {
        groups.iter().map(|id| (role.as_str(), *id)).collect()
    };
    let all =
        [with_role(PermissionLevel::Owner, &owners), with_role(PermissionLevel::Collaborator, &collaborators)].concat();
    let (roles, groups): (Vec<&str>, Vec<Id<Group>>) = all.into_iter().unzip();
    sqlx::query!(
        r#"
        insert into organization_policy_bindings (organization_id, bound_at, role_name, group_id)
        select $1, $2, role_name, group_id from unnest($3::text[], $4::uuid[]) as bound (role_name, group_id)
        "#,
        organization_id as Id<Organization>,
        now,
        &roles as &[&str],
        &groups[..] as &[Id<Group>],
    )
    .execute(change.connection())
    .await?;
    change.record(Event::PolicySet { organization_id, owners, collaborators });
    Ok(())
}
