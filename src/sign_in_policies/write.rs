//! Writing policies.

use super::{SignInPolicy, SsoMode};
use crate::audit::Event;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization};

/// Waits for the changes that create users, which refer to the organization, and for those that start sessions, which lock a
/// membership, and makes later ones wait until the policy is written.
pub(super) async fn lock(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id();
    // A stronger lock than that of the last-owner rule, in the same place of the order.
    sqlx::query!(
        "select from organizations where organization_id = $1 for update",
        organization_id as Id<Organization>
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "select from collaborators where organization_id = $1 order by user_id for no key update",
        organization_id as Id<Organization>
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Writes the policy and ends the sessions that it does not allow. Returns the number of those that were not over.
pub(super) async fn set(change: &mut Change, before: SignInPolicy, policy: SignInPolicy) -> Result<usize> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        insert into sign_in_policies (organization_id, sso_mode, owners_sso, changed_at) values ($1, $2, $3, $4)
        on conflict on constraint sign_in_policies_pkey
        do update set sso_mode = excluded.sso_mode, owners_sso = excluded.owners_sso, changed_at = excluded.changed_at
        "#,
        organization_id as Id<Organization>,
        policy.sso_mode.as_str(),
        policy.owners_sso.as_str(),
        now,
    )
    .execute(change.connection())
    .await?;
    let sessions = end_sessions(change, policy.sso_mode).await?;
    let rules = |policy: SignInPolicy| [policy.sso_mode.as_str(), policy.owners_sso.as_str()];
    change.record(Event::SignInPolicySet { organization_id, before: rules(before), after: rules(policy), sessions });
    Ok(sessions)
}

/// Ends the sessions of users whom the policy does not allow to have them. It is written already.
async fn end_sessions(change: &mut Change, mode: SsoMode) -> Result<usize> {
    let reason = match mode {
        SsoMode::Off => "sso_off",
        SsoMode::Required => "sso_required",
        SsoMode::Optional => return Ok(0),
    };
    let (organization_id, now) = (change.organization_id(), change.now());
    let ended = sqlx::query_scalar!(
        r#"
        with locked as (
            select session_id from sessions s
            where organization_id = $1 and ended_at is null and case $3
                when 'sso_off' then method = 'sso'
                else method not in ('sso', 'recovery')
                    and exists (select from sso_bound_users b where b.organization_id = $1 and b.user_id = s.user_id)
            end
            order by session_id
            for no key update
        )
        update sessions s set ended_at = $2, end_reason = $3
        from locked
        where s.organization_id = $1 and s.session_id = locked.session_id
        returning s.expires_at > $2 and s.idle_expires_at > $2 as "was_alive!"
        "#,
        organization_id as Id<Organization>,
        now,
        reason,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(ended.into_iter().filter(|was_alive| *was_alive).count())
}
