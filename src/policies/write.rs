//! Writing policy bindings.

use crate::audit::Event;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Group, Id, Organization};

/// Replaces the bindings of the organization. The groups are locked. A binding that stays is neither locked nor written:
/// the access of the group's members rests on its row ([`crate::change`]).
pub(super) async fn replace(change: &mut Change, owners: Vec<Id<Group>>, collaborators: Vec<Id<Group>>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let with_role = |role: PermissionLevel, groups: &[Id<Group>]| -> Vec<(&'static str, Id<Group>)> {
        groups.iter().map(|id| (role.as_str(), *id)).collect()
    };
    let all =
        [with_role(PermissionLevel::Owner, &owners), with_role(PermissionLevel::Collaborator, &collaborators)].concat();
    let (roles, groups): (Vec<&str>, Vec<Id<Group>>) = all.into_iter().unzip();
    sqlx::query!(
        r#"
        select from organization_policy_bindings
        where organization_id = $1
            and (role_name, group_id) not in (
                select role_name, group_id from unnest($2::text[], $3::uuid[]) as bound (role_name, group_id)
            )
        order by group_id, role_name
        for update
        "#,
        organization_id as Id<Organization>,
        &roles as &[&str],
        &groups[..] as &[Id<Group>],
    )
    .execute(change.connection())
    .await?;
    change.confirm_access().await?;
    sqlx::query!(
        r#"
        delete from organization_policy_bindings
        where organization_id = $1
            and (role_name, group_id) not in (
                select role_name, group_id from unnest($2::text[], $3::uuid[]) as bound (role_name, group_id)
            )
        "#,
        organization_id as Id<Organization>,
        &roles as &[&str],
        &groups[..] as &[Id<Group>],
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        r#"
        insert into organization_policy_bindings (organization_id, bound_at, role_name, group_id)
        select $1, $2, role_name, group_id from unnest($3::text[], $4::uuid[]) as bound (role_name, group_id)
        on conflict on constraint organization_policy_bindings_pkey do nothing
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
