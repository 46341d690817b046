//! Reading keys.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{KeyStatus, Token};
use crate::app::App;
use crate::audit::ActorRef;
use crate::caller::{
    Action, Caller, HolderOrganization, HolderUser, InvalidKey, KeyHolder, KeyState, LastUse, PermissionLevel,
    Principal, Scopes, SecretDigest,
};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{ApiKey, Id, Organization, User};
use crate::page::{Page, PageRequest};
use crate::users::Status;

/// A key, without its secret.
#[derive(Debug)]
pub struct Summary {
    /// The key's ID.
    pub key_id: Id<ApiKey>,
    /// The user on whose behalf the key acts; `None` for a key without a user.
    pub user_id: Option<Id<User>>,
    /// The user's status; `None` for a key without a user, and for one that was just created.
    pub user_status: Option<Status>,
    /// The name.
    pub name: String,
    /// The level. The level of the user limits it further.
    pub permission_level: PermissionLevel,
    /// The names of the scopes; `None` for all scopes.
    pub scopes: Option<Vec<String>>,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The key that created this one; `None` for the local operator.
    pub created_by: Option<Id<ApiKey>>,
    /// The end of the lifetime.
    pub expires_at: DateTime<Utc>,
    /// The latest use, with a precision of one minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The latest rotation of the secret.
    pub rotated_at: Option<DateTime<Utc>>,
    /// The end of the previous secret's validity; can be in the past.
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// The time of revocation.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Summary {
    /// Whether the key is valid.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> KeyStatus {
        match self.revoked_at {
            Some(_) => KeyStatus::Revoked,
            None if self.expires_at <= now => KeyStatus::Expired,
            None => KeyStatus::Active,
        }
    }

    /// Whether the key belongs to the caller's user, or is the key in use.
    fn is_of(&self, caller: &Caller) -> bool {
        match caller.principal {
            Principal::Operator => true,
            Principal::ApiKey { id, user_id, .. } => {
                self.key_id == id || (user_id.is_some() && self.user_id == user_id)
            }
            Principal::Session { user_id, .. } => self.user_id == Some(user_id),
            Principal::Invitation(_) | Principal::System => false,
        }
    }
}

/// Selects keys: `$condition` completes the `where` clause. `$1` is the organization.
macro_rules! keys {
    ($condition:literal, $($values:tt)+) => {
        sqlx::query_as!(
            Summary,
            r#"
            select
                key_id as "key_id: Id<ApiKey>", user_id as "user_id: Id<User>", name,
                permission_level as "permission_level: PermissionLevel", scopes, created_at,
                case created_by_kind when 'api_key' then created_by_id end as "created_by: Id<ApiKey>", expires_at,
                last_used_at, rotated_at, previous_expires_at, revoked_at,
                (
                    select status from users u where u.organization_id = $1 and u.user_id = api_keys.user_id
                ) as "user_status: Status"
            from api_keys
            where organization_id = $1 and
            "# + $condition,
            $($values)+
        )
    };
}

/// The keys that a request is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// The caller's own keys; for an owner, all keys.
    #[default]
    Visible,
    /// The caller's own keys.
    Own,
    /// All keys. For owners.
    Anybody,
}

/// Restricts a list of keys.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The keys to choose from.
    pub whose: Whose,
    /// The keys of this user. Only owners may list the keys of another user.
    pub user_id: Option<Id<User>>,
    /// The keys of this name.
    pub name: Option<String>,
    /// The keys that this key created.
    pub created_by: Option<Id<ApiKey>>,
}

/// The keys that end soon.
#[derive(Debug)]
pub struct Ending {
    /// Their number.
    pub keys: i64,
    /// The name of the first.
    pub name: String,
    /// When the first ends.
    pub expires_at: DateTime<Utc>,
    /// The latest use of the first.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The keys, of all users, that end before a time; `None` if there are none.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn ending(app: &App, caller: &Caller, before: DateTime<Utc>) -> Result<Option<Ending>> {
    let mut read = app.read(caller, Action::KeyOthers).await?;
    let ending = sqlx::query_as!(
        Ending,
        r#"
        select count(*) over () as "keys!", name, expires_at, last_used_at
        from api_keys
        where organization_id = $1 and revoked_at is null and expires_at > $2 and expires_at < $3
        order by expires_at, key_id
        limit 1
        "#,
        caller.organization_id as Id<Organization>,
        app.clock.now(),
        before,
    );
    Ok(ending.fetch_optional(&mut *read).await?)
}

/// Lists keys, oldest first. An owner sees all keys, other callers only their own.
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, caller: &Caller, filter: Filter, page: &PageRequest<ApiKey>) -> Result<Page<Summary>> {
    app.authorize(caller, Action::KeyList).await?;
    let own = caller.user_id();
    if filter.whose == Whose::Anybody || (filter.user_id.is_some() && filter.user_id != own) {
        app.authorize(caller, Action::KeyOthers).await?;
    }
    let (user_id, key_id) = match caller.principal {
        Principal::ApiKey { id, .. } if filter.whose == Whose::Own || !caller.may(Action::KeyOthers) => {
            (own, own.is_none().then_some(id))
        }
        Principal::Session { .. } if filter.whose == Whose::Own || !caller.may(Action::KeyOthers) => (own, None),
        _ => (filter.user_id, None),
    };
    let mut read = app.read(caller, Action::KeyList).await?;
    let keys = keys!(
        r#"
        ($2::uuid is null or key_id > $2) and ($3::uuid is null or user_id = $3) and ($4::uuid is null or key_id = $4)
        and ($6::text is null or name = $6) and ($7::uuid is null or created_by_id = $7)
        order by key_id
        limit $5
        "#,
        caller.organization_id as Id<Organization>,
        page.after as Option<Id<ApiKey>>,
        user_id as Option<Id<User>>,
        key_id as Option<Id<ApiKey>>,
        page.limit(),
        filter.name,
        filter.created_by as Option<Id<ApiKey>>,
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(Page::new(page, keys, |key| key.key_id))
}

/// Counts the valid keys of the caller's user.
///
/// # Errors
/// `forbidden`.
pub async fn count_own(app: &App, caller: &Caller) -> Result<usize> {
    let mut read = app.read(caller, Action::KeyList).await?;
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from api_keys
        where organization_id = $1 and user_id = $2 and revoked_at is null and expires_at > $3
        "#,
        caller.organization_id as Id<Organization>,
        caller.user_id() as Option<Id<User>>,
        app.clock.now(),
    )
    .fetch_one(&mut *read)
    .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Reads a key: one of the caller's own or, as an owner, any.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<Summary> {
    Ok(allowed(app, caller, Action::KeyList, key_id).await?.key)
}

/// A key that the caller may see.
pub(super) struct Known {
    pub(super) key: Summary,
    /// Whether the key is the caller's own.
    pub(super) is_own: bool,
    /// The level of the key's user.
    pub(super) user_level: Option<PermissionLevel>,
    pub(super) is_of_service_account: bool,
}

/// Finds a key to which the caller may apply `action`. Only owners learn whether a key of another user exists.
///
/// # Errors
/// `forbidden`; `not_found`.
pub(super) async fn allowed(app: &App, caller: &Caller, action: Action, key_id: Id<ApiKey>) -> Result<Known> {
    let mut read = app.read(caller, action).await?;
    let known = known(&mut read, caller, key_id).await?;
    drop(read);
    if !known.as_ref().is_some_and(|known| known.is_own) {
        app.authorize(caller, Action::KeyOthers).await?;
    }
    known.ok_or_else(|| Error::not_found("API key", key_id))
}

/// Reads a key as the caller sees it.
pub(super) async fn known(connection: &mut PgConnection, caller: &Caller, key_id: Id<ApiKey>) -> Result<Option<Known>> {
    let key = keys!("key_id = $2", caller.organization_id as Id<Organization>, key_id as Id<ApiKey>)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(key) = key else { return Ok(None) };
    let user = match key.user_id {
        Some(user_id) => Some(holder(connection, caller.organization_id, user_id).await?),
        None => None,
    };
    Ok(Some(Known {
        is_own: key.is_of(caller),
        key,
        user_level: user.as_ref().map(|user| user.level),
        is_of_service_account: user.is_some_and(|user| user.is_service_account),
    }))
}

/// Finds a key of the caller's own.
///
/// # Errors
/// `forbidden`; `not_found` for any other key.
pub(super) async fn own(app: &App, caller: &Caller, action: Action, key_id: Id<ApiKey>) -> Result<Known> {
    let mut read = app.read(caller, action).await?;
    let known = known(&mut read, caller, key_id).await?.filter(|known| known.is_own);
    known.ok_or_else(|| Error::not_found("API key", key_id))
}

/// The organization's maximum lifetime of keys, in days, if it has one. It stays the same until the transaction ends. Only
/// [`crate::organizations::set_max_key_days`] waits for this lock, not changes of owners.
pub(super) async fn max_days(change: &mut Change) -> Result<Option<u32>> {
    let organization_id = change.organization_id();
    let days = sqlx::query_scalar!(
        "select max_key_days from organizations where organization_id = $1 for key share",
        organization_id as Id<Organization>,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(days.flatten().and_then(|days| u32::try_from(days).ok()))
}

/// A user as a holder of keys.
pub(crate) struct Holder {
    /// Whether the user is a service account.
    pub(crate) is_service_account: bool,
    /// The effective level: the user's own, or through a group.
    pub(crate) level: PermissionLevel,
}

/// Finds a user as a holder of keys.
///
/// # Errors
/// `not_found`.
pub(crate) async fn holder(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Holder> {
    let row = sqlx::query!(
        r#"
        select
            is_service_account,
            exists (
                select from effective_owners o where o.organization_id = $1 and o.user_id = $2
            ) as "is_owner!"
        from users
        where organization_id = $1 and user_id = $2
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_optional(connection)
    .await?
    .ok_or_else(|| Error::not_found("user", user_id))?;
    Ok(Holder { is_service_account: row.is_service_account, level: level(row.is_owner) })
}

/// The effective permission of a user.
const fn level(is_owner: bool) -> PermissionLevel {
    if is_owner { PermissionLevel::Owner } else { PermissionLevel::Collaborator }
}

/// The result of looking a token up.
pub(super) enum Found {
    /// The token is valid.
    Holder(Arc<KeyHolder>),
    /// The token is not valid.
    Denied {
        /// The reason.
        why: InvalidKey,
        /// The key, if the secret is or was its secret.
        actor: ActorRef,
    },
}

/// Finds the key of a token, and its holder, with one query by primary keys.
pub(super) async fn find(app: &App, token: &Token, now: DateTime<Utc>) -> Result<Found> {
    let row = sqlx::query!(
        r#"
        select
            k.name as key_name, k.secret_sha256, k.previous_secret_sha256, k.previous_expires_at,
            k.permission_level as "permission_level: PermissionLevel", k.scopes, k.expires_at, k.last_used_at, k.revoked_at, k.user_id as "user_id: Id<User>",
            o.name as organization_name, o.public_identifier,
            u.name as "user_name?", u.lastname, u.email as "email?", u.status as "status?: Status",
            u.expires_at as "user_expires_at?",
            exists (
                select from effective_owners e where e.organization_id = $1 and e.user_id = k.user_id
            ) as "is_owner!"
        from api_keys k
        join organizations o using (organization_id)
        left join users u on u.organization_id = $1 and u.user_id = k.user_id
        where k.organization_id = $1 and k.key_id = $2
        "#,
        token.organization_id as Id<Organization>,
        token.id as Id<ApiKey>,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    let unknown = Found::Denied { why: InvalidKey::UNKNOWN, actor: ActorRef::ANONYMOUS };
    let Some(row) = row else { return Ok(unknown) };
    let state = KeyState {
        secret_sha256: &row.secret_sha256,
        previous_secret_sha256: row.previous_secret_sha256.as_deref(),
        previous_expires_at: row.previous_expires_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        is_user_suspended: row.status == Some(Status::Suspended),
        user_expires_at: row.user_expires_at,
    };
    let secret = SecretDigest(token.sha256());
    let Some(expires_at) = state.expiry(secret) else { return Ok(unknown) };
    if let Err(why) = state.check(expires_at, now) {
        return Ok(Found::Denied { why, actor: ActorRef::api_key(token.id) });
    }
    let user = match (row.user_id, row.user_name, row.email) {
        (Some(user_id), Some(name), Some(email)) => Some(HolderUser { user_id, name, lastname: row.lastname, email }),
        _ => None,
    };
    let holder = KeyHolder {
        key_id: token.id,
        key_name: row.key_name,
        expires_at: row.user_expires_at.map_or(expires_at, |user| expires_at.min(user)),
        secret,
        organization: HolderOrganization {
            organization_id: token.organization_id,
            name: row.organization_name,
            public_identifier: row.public_identifier,
        },
        permission: if user.is_some() {
            row.permission_level.at_most(level(row.is_owner))
        } else {
            row.permission_level
        },
        user,
        scopes: Scopes::from_database(row.scopes.as_deref()),
        last_use: LastUse::new(row.last_used_at),
    };
    Ok(Found::Holder(Arc::new(holder)))
}
