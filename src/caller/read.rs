//! Reading the current access of an API key or a session, in the transaction that depends on it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::access::{InvalidKey, InvalidSession, KeyState, SecretDigest, SessionState};
use super::{PermissionLevel, Scopes, Stage};
use crate::error::Result;
use crate::id::{ApiKey, Id, Organization, Session, User};

/// The permissions of a valid API key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyAccess {
    pub(crate) permission: PermissionLevel,
    pub(crate) scopes: Scopes,
}

/// An API key, the user on whose behalf it acts, and its secret that was presented, if one was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresentedKey {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) key_id: Id<ApiKey>,
    pub(crate) user_id: Option<Id<User>>,
    pub(crate) secret: Option<SecretDigest>,
}

/// Locks the access of a key until the transaction ends, then reads it, with a separate statement: the one that waits
/// for a lock does not see what was committed meanwhile.
pub(crate) async fn lock_key_access(
    connection: &mut PgConnection,
    key: PresentedKey,
    now: DateTime<Utc>,
) -> Result<Result<KeyAccess, InvalidKey>> {
    let is_in_owner_group = lock(connection, key.organization_id, key.user_id, Some(key.key_id)).await?;
    let row = sqlx::query!(
        r#"
        select
            k.secret_sha256, k.previous_secret_sha256, k.previous_expires_at, k.expires_at, k.revoked_at,
            k.permission_level as "permission_level: PermissionLevel", k.scopes,
            u.status = 'suspended' as "is_user_suspended?", u.expires_at as "user_expires_at?",
            c.permission_level as "own_level?: PermissionLevel"
        from api_keys k
        left join users u on u.organization_id = $1 and u.user_id = k.user_id
        left join collaborators c on c.organization_id = $1 and c.user_id = k.user_id
        where k.organization_id = $1 and k.key_id = $2
        "#,
        key.organization_id as Id<Organization>,
        key.key_id as Id<ApiKey>,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Err(InvalidKey::DELETED)) };
    let state = KeyState {
        secret_sha256: &row.secret_sha256,
        previous_secret_sha256: row.previous_secret_sha256.as_deref(),
        previous_expires_at: row.previous_expires_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        is_user_suspended: row.is_user_suspended.unwrap_or_default(),
        user_expires_at: row.user_expires_at,
    };
    let expires_at = match key.secret {
        None => Some(row.expires_at),
        Some(secret) => state.expiry(secret),
    };
    let checked = match expires_at {
        None => Err(InvalidKey::ROTATED),
        Some(expires_at) => state.check(expires_at, now),
    };
    let user_level = if is_in_owner_group { Some(PermissionLevel::Owner) } else { row.own_level };
    Ok(checked.map(|()| KeyAccess {
        permission: user_level.map_or(row.permission_level, |level| row.permission_level.at_most(level)),
        scopes: Scopes::from_database(row.scopes.as_deref()),
    }))
}

/// A session, its user, and its secret, if it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresentedSession {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) session_id: Id<Session>,
    pub(crate) user_id: Id<User>,
    pub(crate) secret: Option<SecretDigest>,
}

/// As [`lock_key_access`], for a session. Returns what it may do.
pub(crate) async fn lock_session_access(
    connection: &mut PgConnection,
    session: PresentedSession,
    now: DateTime<Utc>,
) -> Result<Result<(Stage, PermissionLevel), InvalidSession>> {
    let is_in_owner_group = lock(connection, session.organization_id, Some(session.user_id), None).await?;
    // The user does not change while the membership is locked; the session is read as it is once it is locked.
    let row = sqlx::query!(
        r#"
        select
            s.secret_sha256, s.stage, s.idle_expires_at, s.expires_at, s.ended_at is not null as "is_ended!",
            u.status = 'suspended' as "is_user_suspended!", u.expires_at as user_expires_at,
            c.permission_level as "own_level: PermissionLevel"
        from sessions s
        join users u on u.organization_id = $1 and u.user_id = s.user_id
        join collaborators c on c.organization_id = $1 and c.user_id = s.user_id
        where s.organization_id = $1 and s.session_id = $2 and s.user_id = $3
        for share of s
        "#,
        session.organization_id as Id<Organization>,
        session.session_id as Id<Session>,
        session.user_id as Id<User>,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Err(InvalidSession::UNKNOWN)) };
    let state = SessionState {
        secret_sha256: &row.secret_sha256,
        stage: Stage::parse(&row.stage),
        idle_expires_at: row.idle_expires_at,
        expires_at: row.expires_at,
        is_ended: row.is_ended,
        is_user_suspended: row.is_user_suspended,
        user_expires_at: row.user_expires_at,
    };
    let level = if is_in_owner_group { PermissionLevel::Owner } else { row.own_level };
    Ok(state.check(session.secret, now).map(|stage| (stage, level)))
}

/// Locks what the access of a user rests on, without keys and sessions.
pub(crate) async fn lock_membership(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Option<Id<User>>,
) -> Result<()> {
    lock(connection, organization_id, user_id, None).await?;
    Ok(())
}

/// Locks the rows on which the access rests: the membership, which also stands for the user; the membership of one group
/// of owners and its binding; and the key. Whatever lowers the access locks the rows that it changes in the same order,
/// then confirms its caller's access, then writes ([`crate::change`]). Returns whether the user is in a group of owners.
async fn lock(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Option<Id<User>>,
    key_id: Option<Id<ApiKey>>,
) -> Result<bool> {
    let locked = sqlx::query_scalar!(
        r#"
        with member as (
            select from collaborators where organization_id = $1 and user_id = $3
            for share
        ), owner_group as (
            select from user_group_members m
            join organization_policy_bindings b using (group_id)
            where m.organization_id = $1 and b.organization_id = $1 and m.user_id = $3 and b.role_name = 'owner'
            limit 1
            for share of m, b
        ), key as (
            select from api_keys where organization_id = $1 and key_id = $2
            for share
        )
        select false as "is_owner_group!" from member
        union all
        select true from owner_group
        union all
        select false from key
        "#,
        organization_id as Id<Organization>,
        key_id as Option<Id<ApiKey>>,
        user_id as Option<Id<User>>,
    )
    .fetch_all(connection)
    .await?;
    Ok(locked.contains(&true))
}
