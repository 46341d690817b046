//! Finding keys.

use chrono::{DateTime, Utc};

use super::token::Token;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{ApiKey, Id, User};

/// A key as its owners see it.
#[derive(Debug)]
pub struct Summary {
    /// Which.
    pub key_id: Id<ApiKey>,
    /// What it is for.
    pub name: String,
    /// `owner` or `collaborator`.
    pub permission_level: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
    /// Its latest use, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Summary {
    /// `active`, `expired` or `revoked`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> &'static str {
        match self.revoked_at {
            Some(_) => "revoked",
            None if self.expires_at <= now => "expired",
            None => "active",
        }
    }
}

/// Lists all keys of the organization, oldest first.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<Summary>> {
    let mut read = app.read(caller, Action::KeyList).await?;
    let keys = sqlx::query_as!(
        Summary,
        r#"
        select
            key_id as "key_id: Id<ApiKey>", name, permission_level, created_at, expires_at, last_used_at,
            revoked_at
        from api_keys
        where organization_id = $1
        order by key_id
        "#,
        caller.organization_id.uuid(),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(keys)
}

/// What is needed to let a key's holder in.
pub(super) struct Stored {
    pub(super) user_id: Option<Id<User>>,
    pub(super) name: String,
    pub(super) permission_level: String,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
}

/// Finds the key of a token, if the secret is right.
pub(super) async fn find(app: &App, token: &Token) -> Result<Option<Stored>> {
    let row = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", name, secret_sha256, permission_level, expires_at, last_used_at, revoked_at
        from api_keys
        where organization_id = $1 and key_id = $2
        "#,
        token.organization_id.uuid(),
        token.key_id.uuid(),
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    Ok(row.filter(|row| token.matches(&row.secret_sha256)).map(|row| Stored {
        user_id: row.user_id,
        name: row.name,
        permission_level: row.permission_level,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    }))
}
