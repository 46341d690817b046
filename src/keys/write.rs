//! Creating, rotating and revoking keys.

use chrono::{DateTime, Utc};

use super::{Summary, Token};
use crate::app::App;
use crate::audit::Event;
use crate::caller::{Principal, Scopes};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, Organization, User};

/// Inserts a key, whose user is locked ([`lock_and_count`]).
///
/// # Errors
/// `precondition_failed` if there is a key with this ID.
pub(super) async fn create(
    change: &mut Change,
    key: &Summary,
    scopes: Scopes,
    secret_sha256: &[u8],
    asked_for_seconds: Option<i64>,
) -> Result<()> {
    let organization_id = change.organization_id();
    let actor = change.actor();
    let inserted = sqlx::query!(
        r#"
        insert into api_keys
            (organization_id, key_id, name, secret_sha256, permission_level, created_by_kind, created_by_id,
             created_at, expires_at, user_id, scopes)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        on conflict on constraint api_keys_pkey do nothing
        "#,
        organization_id as Id<Organization>,
        key.key_id as Id<ApiKey>,
        key.name,
        secret_sha256,
        key.permission_level.as_str(),
        actor.kind.as_str(),
        actor.id,
        key.created_at,
        key.expires_at,
        key.user_id as Option<Id<User>>,
        key.scopes.as_deref(),
    )
    .execute(change.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Error::new(Code::PreconditionFailed, format!("API key {} exists already", key.key_id)));
    }
    change.record(Event::KeyCreated {
        key_id: key.key_id,
        user_id: key.user_id,
        permission_level: key.permission_level,
        scopes,
        expires_at: key.expires_at,
        asked_for_seconds,
    });
    Ok(())
}

/// Locks a user, then counts the user's active keys, so that concurrent changes count each other's keys. For keys without a
/// user, the organization is locked.
///
/// # Errors
/// `not_found` for a user deleted in the meantime; but `unauthenticated` if the caller's key was deleted with the user.
pub(super) async fn lock_and_count(change: &mut Change, user_id: Option<Id<User>>) -> Result<i64> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let locked = match user_id {
        Some(user_id) => {
            sqlx::query_scalar!(
                "select 1 as one from users where organization_id = $1 and user_id = $2 for no key update",
                organization_id as Id<Organization>,
                user_id as Id<User>,
            )
            .fetch_optional(change.connection())
            .await?
        }
        None => {
            sqlx::query_scalar!(
                "select 1 as one from organizations where organization_id = $1 for no key update",
                organization_id as Id<Organization>,
            )
            .fetch_optional(change.connection())
            .await?
        }
    };
    if let (Some(user_id), None) = (user_id, locked) {
        change.confirm_access().await?;
        return Err(Error::not_found("user", user_id));
    }
    let active = sqlx::query_scalar!(
        r#"
        select count(*) as "active!" from api_keys
        where organization_id = $1 and (user_id = $2 or ($2::uuid is null and user_id is null))
            and revoked_at is null and expires_at > $3
        "#,
        organization_id as Id<Organization>,
        user_id as Option<Id<User>>,
        now,
    )
    .fetch_one(change.connection())
    .await?;
    Ok(active)
}

/// Locks a key and the caller's own until the change ends, in the order of their IDs, so that keys that revoke each other
/// wait for each other instead of deadlocking. Confirms the caller's access before the change can end it.
pub(super) async fn lock(change: &mut Change, key_id: Id<ApiKey>) -> Result<()> {
    lock_all(change, vec![key_id], None).await
}

/// As [`lock`], for all keys of a user.
pub(crate) async fn lock_keys_of(change: &mut Change, user_id: Id<User>) -> Result<()> {
    lock_all(change, Vec::new(), Some(user_id)).await
}

async fn lock_all(change: &mut Change, mut keys: Vec<Id<ApiKey>>, user_id: Option<Id<User>>) -> Result<()> {
    let organization_id = change.organization_id();
    if let Principal::ApiKey { id, .. } = change.caller().principal {
        keys.push(id);
    }
    change.lock_own_membership().await?;
    sqlx::query!(
        r#"
        select from api_keys
        where organization_id = $1 and (key_id = any($2) or user_id = $3)
        order by key_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        &keys as &[Id<ApiKey>],
        user_id as Option<Id<User>>,
    )
    .execute(change.connection())
    .await?;
    change.confirm_access().await
}

/// Replaces the secret, which becomes the previous one.
pub(super) async fn rotate(
    change: &mut Change,
    key_id: Id<ApiKey>,
    secret_sha256: &[u8],
    expires_at: DateTime<Utc>,
    previous_expires_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update api_keys
        set secret_sha256 = $3, rotated_at = $4, previous_expires_at = $5, expires_at = $6,
            previous_secret_sha256 = case when $5::timestamptz is not null then secret_sha256 end
        where organization_id = $1 and key_id = $2
        "#,
        organization_id as Id<Organization>,
        key_id as Id<ApiKey>,
        secret_sha256,
        now,
        previous_expires_at,
        expires_at,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Revokes a locked key. `false` if the key was revoked before.
pub(super) async fn revoke(change: &mut Change, key_id: Id<ApiKey>) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let revoked = sqlx::query!(
        "update api_keys set revoked_at = $3 where organization_id = $1 and key_id = $2 and revoked_at is null",
        organization_id as Id<Organization>,
        key_id as Id<ApiKey>,
        now,
    )
    .execute(change.connection())
    .await?;
    if revoked.rows_affected() == 0 {
        return Ok(false);
    }
    change.record(Event::KeyRevoked(key_id));
    Ok(true)
}

/// Revokes all active keys of a user and returns their IDs: until a statement finds none, because a key can create
/// another one while the statement that revokes it waits.
pub(crate) async fn revoke_all(change: &mut Change, user_id: Id<User>) -> Result<Vec<Id<ApiKey>>> {
    let mut all = Vec::new();
    loop {
        let revoked = revoke_active(change, user_id).await?;
        if revoked.is_empty() {
            return Ok(all);
        }
        all.extend(revoked);
    }
}

/// Revokes the active keys of a user. Locks them in the order of their IDs, so that concurrent calls do not deadlock.
async fn revoke_active(change: &mut Change, user_id: Id<User>) -> Result<Vec<Id<ApiKey>>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let revoked = sqlx::query_scalar!(
        r#"
        with live as (
            select key_id from api_keys
            where organization_id = $1 and user_id = $2 and revoked_at is null and expires_at > $3
            order by key_id
            for no key update
        )
        update api_keys k set revoked_at = $3
        from live
        where k.organization_id = $1 and k.key_id = live.key_id
        returning k.key_id as "key_id: Id<ApiKey>"
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(revoked)
}

/// Records the use of a key in the background, at most once a minute. Not a [`Change`]: no caller requests it, and it
/// has no audit event.
pub(super) fn record_use(app: &App, token: &Token, now: DateTime<Utc>) {
    let (organization_id, key_id, running) = (token.organization_id, token.id, app.clone());
    let record = async move {
        let (mut transaction, _) = running.begin(&running.db.interactive).await?;
        sqlx::query!(
            r#"
            update api_keys set last_used_at = $3
            where organization_id = $1 and key_id = $2
                and (last_used_at is null or last_used_at < $3)
            "#,
            organization_id as Id<Organization>,
            key_id as Id<ApiKey>,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        Ok::<_, Error>(transaction.commit().await?)
    };
    drop(app.start_task(async move {
        if let Err(error) = record.await {
            tracing::warn!(error = error.chain(), "failed to record the last use of an API key");
        }
    }));
}
