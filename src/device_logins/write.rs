//! Writing down approvals, and taking them.

use super::Otp;
use super::read::Approval;
use crate::caller::{PermissionLevel, Scopes};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, User};

/// Forgets approvals that have expired, fetched or not.
pub(super) async fn forget_expired(change: &mut Change) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        delete from login_approvals
        where organization_id = $1 and otp_sha256 in (
            select otp_sha256 from login_approvals
            where organization_id = $1 and expires_at <= $2
            order by otp_sha256
            for update skip locked
        )
        "#,
        organization_id,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Writes an approval down. `false`: there is one, in this organization or another.
pub(super) async fn approve(change: &mut Change, otp: &Otp, approval: &Approval) -> Result<bool> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let (actor, scopes) = (change.actor(), approval.scopes.to_database());
    let approved = sqlx::query!(
        r#"
        insert into login_approvals
            (organization_id, otp_sha256, user_id, permission_level, scopes, approved_by_kind, approved_by_id,
             approved_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict do nothing
        "#,
        organization_id,
        otp.sha256.as_slice(),
        approval.user_id.map(Id::uuid),
        approval.permission_level.as_str(),
        scopes.as_deref(),
        actor.kind(),
        actor.id(),
        now,
        otp.expires_at,
    )
    .execute(change.connection())
    .await?;
    Ok(approved.rows_affected() == 1)
}

/// Takes an approval, which stays as used until it would have expired. `None`: somebody else has taken it.
pub(super) async fn take(change: &mut Change, otp: &Otp) -> Result<Option<Approval>> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let taken = sqlx::query!(
        r#"
        update login_approvals set fetched_at = $3
        where organization_id = $1 and otp_sha256 = $2 and fetched_at is null
        returning user_id as "user_id: Id<User>", permission_level, scopes
        "#,
        organization_id,
        otp.sha256.as_slice(),
        now,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(taken.map(|row| Approval {
        user_id: row.user_id,
        permission_level: PermissionLevel::from_database(&row.permission_level),
        scopes: Scopes::from_database(row.scopes.as_deref()),
    }))
}
