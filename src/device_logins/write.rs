//! Writing login requests, and writing and fetching approvals.

use chrono::{DateTime, Utc};

use super::read::Approval;
use super::{Client, Otp, UserCode};
use crate::app::App;
use crate::caller::{PermissionLevel, Principal, Scopes, SecretDigest};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, User};

/// The most login requests at one time, of all clients.
const MOST_REQUESTS: i64 = 10_000;

/// The most login requests at one time of one network (/24, for IPv6 /64).
const MOST_OF_NETWORK: i64 = 100;

/// Stores the request of a login, unless there are too many, and deletes expired ones. Not a [`Change`]: no caller is known, and
/// nothing follows from a request without an approval. Concurrent requests may exceed the limits a little.
pub(super) async fn request(app: &App, otp: &Otp, code: &UserCode, client: &Client) -> Result<bool> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        r#"
        delete from login_requests
        where otp_sha256 in (
            select otp_sha256 from login_requests where expires_at <= $1 order by otp_sha256 limit 1000
            for update skip locked
        )
        "#,
        now,
    )
    .execute(&mut *transaction)
    .await?;
    let stored = sqlx::query!(
        r#"
        insert into login_requests
            (otp_sha256, user_code, requested_at, expires_at, client_address, user_agent, machine)
        select $1, $2, $3, $4, $5::text::inet, $6, $7
        where (select count(*) from login_requests where expires_at > $3) < $8
            and (
                select count(*) from login_requests
                where expires_at > $3
                    and client_address <<= network(set_masklen($5::text::inet, case family($5::text::inet) when 4 then 24 else 64 end))
            ) < $9
        on conflict do nothing
        "#,
        otp.sha256.as_slice(),
        code.as_str(),
        now,
        otp.expires_at,
        client.address.map(|address| address.to_string()),
        client.user_agent,
        client.machine,
        MOST_REQUESTS,
        MOST_OF_NETWORK,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(stored.rows_affected() == 1)
}

/// Deletes expired approvals of the organization, fetched or not.
pub(super) async fn delete_expired(change: &mut Change) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
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
        organization_id as Id<Organization>,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Writes an approval. `false` if the one-time password is already approved, in this or another organization.
pub(super) async fn approve(
    change: &mut Change,
    otp_sha256: &[u8; 32],
    expires_at: DateTime<Utc>,
    approval: &Approval,
) -> Result<bool> {
    let (organization_id, now, actor) = (change.organization_id(), change.now(), change.actor());
    let scopes = approval.scopes.to_database();
    let secret = match change.caller().principal {
        Principal::ApiKey { secret, .. } => secret,
        // A session keeps its ID when its secret is replaced.
        Principal::Session { .. } | Principal::Invitation(_) | Principal::Operator | Principal::System => None,
    };
    let approved = sqlx::query!(
        r#"
        insert into login_approvals
            (organization_id, otp_sha256, user_id, permission_level, scopes, approved_by_kind, approved_by_id,
             approved_at, expires_at, approved_by_secret_sha256)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict do nothing
        "#,
        organization_id as Id<Organization>,
        otp_sha256.as_slice(),
        approval.user_id as Option<Id<User>>,
        approval.permission_level.as_str(),
        scopes.as_deref(),
        actor.kind.as_str(),
        actor.id,
        now,
        expires_at,
        secret.as_ref().map(|SecretDigest(sha256)| sha256.as_slice()),
    )
    .execute(change.connection())
    .await?;
    Ok(approved.rows_affected() == 1)
}

/// Writes that a user denied a login: an approval that acts for nobody and was fetched already. `false` if the login is approved
/// or denied.
pub(super) async fn deny(change: &mut Change, otp_sha256: &[u8; 32], expires_at: DateTime<Utc>) -> Result<bool> {
    let (organization_id, now, actor) = (change.organization_id(), change.now(), change.actor());
    let denied = sqlx::query!(
        r#"
        insert into login_approvals
            (organization_id, otp_sha256, permission_level, approved_by_kind, approved_by_id, approved_at, expires_at, fetched_at)
        values ($1, $2, 'collaborator', $3, $4, $5, $6, $5)
        on conflict do nothing
        "#,
        organization_id as Id<Organization>,
        otp_sha256.as_slice(),
        actor.kind.as_str(),
        actor.id,
        now,
        expires_at,
    )
    .execute(change.connection())
    .await?;
    Ok(denied.rows_affected() == 1)
}

/// Marks an approval as fetched; its row stays until it expires. `None` if another request has fetched it.
pub(super) async fn fetch(change: &mut Change, otp: &Otp) -> Result<Option<Approval>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let fetched = sqlx::query!(
        r#"
        update login_approvals set fetched_at = $3
        where organization_id = $1 and otp_sha256 = $2 and fetched_at is null
        returning
            user_id as "user_id: Id<User>", permission_level as "permission_level: PermissionLevel", scopes
        "#,
        organization_id as Id<Organization>,
        otp.sha256.as_slice(),
        now,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(fetched.map(|row| Approval {
        user_id: row.user_id,
        permission_level: row.permission_level,
        scopes: Scopes::from_database(row.scopes.as_deref()),
    }))
}
