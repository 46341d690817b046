//! Making and revoking keys.

use chrono::{DateTime, Utc};

use super::{NewKey, Token};
use crate::app::App;
use crate::audit::Event;
use crate::caller::{Action, Caller, Scopes};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id};

pub(super) async fn create(change: &mut Change, key: &NewKey, secret_sha256: &[u8]) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    let actor = change.caller().actor.clone();
    sqlx::query!(
        r#"
        insert into api_keys
            (organization_id, key_id, name, secret_sha256, permission_level, created_by_kind, created_by_id,
             created_at, expires_at, user_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
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
    )
    .execute(change.connection())
    .await?;
    change.record(Event::KeyCreated {
        key_id: key.key_id,
        user_id: key.user_id,
        permission_level: key.permission_level,
        scopes: Scopes::All,
        expires_at: key.expires_at,
        asked_for_seconds: None,
    });
    Ok(())
}

/// Revokes a key: from now on it opens nothing, on any instance.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when it has been revoked before.
pub async fn revoke(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<()> {
    let mut change = app.change(caller, Action::KeyRevoke).await?;
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let before = sqlx::query_scalar!(
        "select revoked_at from api_keys where organization_id = $1 and key_id = $2 for update",
        organization_id,
        key_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?;
    match before {
        None => return Err(Error::new(Code::NotFound, format!("there is no API key {key_id}"))),
        Some(Some(_)) => {
            return Err(Error::new(Code::Conflict, format!("the API key {key_id} has been revoked before")));
        }
        Some(None) => {}
    }
    sqlx::query!(
        "update api_keys set revoked_at = $3 where organization_id = $1 and key_id = $2",
        organization_id,
        key_id.uuid(),
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::KeyRevoked(key_id));
    change.commit().await?;
    Ok(())
}

/// Notes that a key was used, beside the request. Not a [`Change`]: it is bookkeeping that
/// nobody asked for, at most once a minute, and no event is due for it.
pub(super) fn touch(app: &App, token: &Token, now: DateTime<Utc>) {
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
