//! Making, rotating and revoking keys.

use chrono::{DateTime, Utc};

use super::create::no_user;
use super::{NewKey, Token};
use crate::app::App;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{ApiKey, Id, User};

pub(super) async fn create(
    change: &mut Change,
    key: &NewKey,
    secret_sha256: &[u8],
    asked_for_seconds: Option<i64>,
) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    let (actor, scopes) = (change.actor(), key.scopes.to_database());
    sqlx::query!(
        r#"
        insert into api_keys
            (organization_id, key_id, name, secret_sha256, permission_level, created_by_kind, created_by_id,
             created_at, expires_at, user_id, scopes)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        "#,
        organization_id,
        key.key_id.uuid(),
        key.name,
        secret_sha256,
        key.permission_level.as_str(),
        actor.kind(),
        actor.id(),
        key.created_at,
        key.expires_at,
        key.user_id.map(Id::uuid),
        scopes.as_deref(),
    )
    .execute(change.connection())
    .await
    .map_err(|error| match (constraint(&error), key.user_id) {
        // Deleted since they were looked for.
        (Some("api_keys_user_fkey"), Some(user_id)) => no_user(user_id),
        _ => Error::from(error),
    })?;
    change.record(Event::KeyCreated {
        key_id: key.key_id,
        user_id: key.user_id,
        permission_level: key.permission_level,
        scopes: key.scopes,
        expires_at: key.expires_at,
        asked_for_seconds,
    });
    Ok(())
}

fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

/// What decides whether a key can be rotated.
pub(super) struct State {
    pub(super) expires_at: DateTime<Utc>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
}

/// Waits for everybody else who is changing a key, and makes them wait.
pub(super) async fn lock(change: &mut Change, key_id: Id<ApiKey>) -> Result<Option<State>> {
    let organization_id = change.organization_id().uuid();
    let state = sqlx::query_as!(
        State,
        "select expires_at, revoked_at from api_keys where organization_id = $1 and key_id = $2 for update",
        organization_id,
        key_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(state)
}

/// Puts a new secret in the place of the one there is, and that in the place of the one before.
pub(super) async fn rotate(
    change: &mut Change,
    key_id: Id<ApiKey>,
    secret_sha256: &[u8],
    previous_expires_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        update api_keys
        set secret_sha256 = $3, rotated_at = $4, previous_expires_at = $5,
            previous_secret_sha256 = case when $5::timestamptz is not null then secret_sha256 end
        where organization_id = $1 and key_id = $2
        "#,
        organization_id,
        key_id.uuid(),
        secret_sha256,
        now,
        previous_expires_at,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Revokes a key. `false`: it had been before.
pub(super) async fn revoke(change: &mut Change, key_id: Id<ApiKey>) -> Result<bool> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let revoked = sqlx::query!(
        "update api_keys set revoked_at = $3 where organization_id = $1 and key_id = $2 and revoked_at is null",
        organization_id,
        key_id.uuid(),
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

/// Revokes all keys of a user that work, and tells which those were. In the order of their ids, so that two that
/// do this wait for each other instead of deadlocking.
pub(super) async fn revoke_all(change: &mut Change, user_id: Id<User>) -> Result<Vec<Id<ApiKey>>> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let revoked = sqlx::query_scalar!(
        r#"
        with live as (
            select key_id from api_keys
            where organization_id = $1 and user_id = $2 and revoked_at is null and expires_at > $3
            order by key_id
            for update
        )
        update api_keys k set revoked_at = $3
        from live
        where k.organization_id = $1 and k.key_id = live.key_id
        returning k.key_id as "key_id: Id<ApiKey>"
        "#,
        organization_id,
        user_id.uuid(),
        now,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(revoked)
}

/// Notes that a key was used, beside the request. Not a [`Change`]: it is bookkeeping that
/// nobody asked for, at most once a minute, and no event is due for it.
pub(super) fn record_use(app: &App, token: &Token, now: DateTime<Utc>) {
    let pool = app.db.interactive.clone();
    let (organization_id, key_id) = (token.organization_id.uuid(), token.id.uuid());
    tokio::spawn(async move {
        let touched = sqlx::query!(
            r#"
            update api_keys set last_used_at = $3
            where organization_id = $1 and key_id = $2
                and (last_used_at is null or last_used_at < $3)
            "#,
            organization_id,
            key_id,
            now,
        )
        .execute(&pool)
        .await;
        if let Err(error) = touched {
            tracing::warn!(%error, "the last use of an API key could not be noted");
        }
    });
}
