//! Finding keys.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use chrono::{DateTime, Utc};

use super::Token;
use super::identity::Identity;
use crate::app::App;
use crate::caller::{Action, Actor, Caller, Origin, PermissionLevel, Scopes};
use crate::error::Result;
use crate::id::{ApiKey, Id, User};
use crate::organizations;
use crate::users::Profile;

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

/// What the database says of a token.
pub(super) enum Found {
    /// Its holder is let in.
    Holder(Arc<Identity>),
    /// It opens nothing: why, as a code and a sentence, and who shows it, as far as that is known.
    Refused(&'static str, &'static str, Actor),
}

/// Finds the key of a token, with all that has to be known of its holder. One query, by primary keys.
pub(super) async fn find(app: &App, token: &Token, now: DateTime<Utc>) -> Result<Found> {
    let row = sqlx::query!(
        r#"
        select
            k.name as key_name, k.secret_sha256, k.previous_secret_sha256, k.previous_expires_at, k.permission_level,
            k.scopes, k.expires_at, k.last_used_at, k.revoked_at, k.user_id as "user_id: Id<User>",
            o.name as organization_name, o.public_identifier, o.created_at as organization_created_at,
            u.name as "user_name?", u.lastname, u.email as "email?", u.status as "status?",
            c.permission_level as "user_level?",
            exists (
                select from user_group_members m
                join organization_policy_bindings b using (organization_id, group_id)
                where m.organization_id = k.organization_id and m.user_id = k.user_id and b.role_name = 'owner'
            ) as "is_owner_by_group!"
        from api_keys k
        join organizations o using (organization_id)
        left join users u on u.organization_id = k.organization_id and u.user_id = k.user_id
        left join collaborators c on c.organization_id = k.organization_id and c.user_id = k.user_id
        where k.organization_id = $1 and k.key_id = $2
        "#,
        token.organization_id.uuid(),
        token.id.uuid(),
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    let unknown = Found::Refused("unknown_key", "this API key is unknown", Actor::Anonymous);
    let Some(row) = row else { return Ok(unknown) };
    let expires_at = match (row.previous_secret_sha256, row.previous_expires_at) {
        _ if token.matches(&row.secret_sha256) => row.expires_at,
        (Some(previous), Some(until)) if token.matches(&previous) => row.expires_at.min(until),
        _ => return Ok(unknown),
    };
    let user_level = match row.user_level.as_deref().map(PermissionLevel::from_database) {
        _ if row.is_owner_by_group => Some(PermissionLevel::Owner),
        level => level,
    };
    let key_level = PermissionLevel::from_database(&row.permission_level);
    let user = match (row.user_id, row.user_name, row.email) {
        (Some(user_id), Some(name), Some(email)) => Some((user_id, Profile { name, lastname: row.lastname, email })),
        _ => None,
    };
    let identity = Identity {
        key_id: token.id,
        key_name: row.key_name,
        expires_at,
        organization: organizations::Summary {
            organization_id: token.organization_id,
            name: row.organization_name,
            public_identifier: row.public_identifier,
            created_at: row.organization_created_at,
        },
        // Of a user who is no longer a member, the least.
        permission: match user {
            Some(_) => key_level.at_most(user_level.unwrap_or(PermissionLevel::Collaborator)),
            None => key_level,
        },
        user,
        scopes: Scopes::from_database(row.scopes.as_deref()),
        noted_at: AtomicI64::new(row.last_used_at.map_or(0, |at| at.timestamp())),
    };
    let refused = |reason, sentence| Ok(Found::Refused(reason, sentence, identity.caller(Origin::default()).actor));
    if row.revoked_at.is_some() {
        return refused("revoked_key", "this API key has been revoked");
    }
    if expires_at <= now {
        return refused("expired_key", "this API key has expired");
    }
    if row.status.as_deref() == Some("suspended") {
        return refused("suspended_user", "the account of this API key is suspended");
    }
    Ok(Found::Holder(Arc::new(identity)))
}
