//! Keys for a page: with the names of their users and of who created them, filtered, in both directions.
//!
//! # Decisions
//!
//! *A page costs one statement*, whatever its rows: filters that are absent vanish from its plan.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{KeyStatus, Summary, read, rotate};
use crate::app::App;
use crate::audit::ActorKind;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{ApiKey, Id, Organization, User};
use crate::page::{Position, Slice, Span};
use crate::users::Status;

/// The most keys that [`made_by`] returns.
pub const MOST_MADE: usize = 200;

/// Restricts a list of keys for a page.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// The keys of these users; `None` for all that the caller may see.
    pub users: Option<Vec<Id<User>>>,
    /// The keys that this key created.
    pub created_by: Option<Id<ApiKey>>,
    /// The keys of this status.
    pub status: Option<KeyStatus>,
    /// The keys that end before.
    pub ends_before: Option<DateTime<Utc>>,
    /// The keys whose latest use, or else their creation, was before.
    pub unused_since: Option<DateTime<Utc>>,
}

/// A key, with the names of its user and of who created it.
#[derive(Debug)]
pub struct ListedKey {
    /// The key.
    pub key: Summary,
    /// The user on whose behalf the key acts.
    pub user: Option<KeyUser>,
    /// Who created the key.
    pub creator: Creator,
}

/// The user of a key.
#[derive(Debug)]
pub struct KeyUser {
    /// The ID.
    pub user_id: Id<User>,
    /// First and last name.
    pub name: String,
    /// The address.
    pub email: String,
    /// Whether the user is a service account.
    pub is_service_account: bool,
    /// The effective level: the user's own, or through a group. It limits that of the key.
    pub level: PermissionLevel,
}

/// Who created a key.
#[derive(Debug)]
pub enum Creator {
    /// The local operator, or muster itself.
    Operator,
    /// Another key, with its name unless it was deleted.
    Key(Id<ApiKey>, Option<String>),
    /// A person in a browser, with first and last name.
    Person(Id<User>, String),
    /// Somebody whose session is no longer known.
    Unknown,
}

impl ListedKey {
    /// The permission level of the key, limited by that of its user.
    #[must_use]
    pub fn level(&self) -> PermissionLevel {
        let level = self.key.permission_level;
        self.user.as_ref().map_or(level, |user| level.at_most(user.level))
    }
}

/// A key, and what the caller may do with it.
#[derive(Debug)]
pub struct KeyDetails {
    /// The key.
    pub listed: ListedKey,
    /// Whether the key is active and the caller may rotate it.
    pub may_rotate: bool,
}

struct Row {
    key_id: Id<ApiKey>,
    user_id: Option<Id<User>>,
    name: String,
    permission_level: PermissionLevel,
    scopes: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    created_by_kind: ActorKind,
    created_by_id: Option<Uuid>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    rotated_at: Option<DateTime<Utc>>,
    previous_expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    user_name: String,
    user_email: Option<String>,
    user_status: Option<Status>,
    user_is_service_account: Option<bool>,
    user_is_owner: bool,
    creator_key: Option<String>,
    creator_user_id: Option<Id<User>>,
    creator_name: String,
}

impl From<Row> for ListedKey {
    fn from(row: Row) -> Self {
        let creator = match (row.created_by_kind, row.created_by_id, row.creator_user_id) {
            (ActorKind::Operator | ActorKind::System, ..) => Creator::Operator,
            (ActorKind::ApiKey, Some(id), _) => Creator::Key(Id::from_uuid(id), row.creator_key),
            (ActorKind::Session, _, Some(user_id)) => Creator::Person(user_id, row.creator_name),
            _ => Creator::Unknown,
        };
        let created_by = match &creator {
            Creator::Key(key_id, _) => Some(*key_id),
            _ => None,
        };
        let level = if row.user_is_owner { PermissionLevel::Owner } else { PermissionLevel::Collaborator };
        let user = match (row.user_id, row.user_email) {
            (Some(user_id), Some(email)) => Some(KeyUser {
                user_id,
                name: row.user_name,
                email,
                is_service_account: row.user_is_service_account.unwrap_or_default(),
                level,
            }),
            _ => None,
        };
        let key = Summary {
            key_id: row.key_id,
            user_id: row.user_id,
            user_status: row.user_status,
            name: row.name,
            permission_level: row.permission_level,
            scopes: row.scopes,
            created_at: row.created_at,
            created_by,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            rotated_at: row.rotated_at,
            previous_expires_at: row.previous_expires_at,
            revoked_at: row.revoked_at,
        };
        Self { key, user, creator }
    }
}

/// Selects keys: `$condition` completes the `where` clause. `$1` is the organization.
macro_rules! listed {
    ([$($condition:literal),+], $($values:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"
            select
                k.key_id as "key_id: Id<ApiKey>", k.user_id as "user_id: Id<User>", k.name,
                k.permission_level as "permission_level: PermissionLevel", k.scopes, k.created_at,
                k.created_by_kind as "created_by_kind: ActorKind", k.created_by_id, k.expires_at, k.last_used_at,
                k.rotated_at, k.previous_expires_at, k.revoked_at,
                concat_ws(' ', u.name, nullif(u.lastname, '')) as "user_name!", u.email as "user_email?",
                u.status as "user_status?: Status", u.is_service_account as "user_is_service_account?",
                exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = k.user_id
                ) as "user_is_owner!",
                c.name as "creator_key?", m.user_id as "creator_user_id?: Id<User>",
                concat_ws(' ', m.name, nullif(m.lastname, '')) as "creator_name!"
            from api_keys k
            left join users u on u.organization_id = $1 and u.user_id = k.user_id
            left join api_keys c
                on c.organization_id = $1 and c.key_id = k.created_by_id and k.created_by_kind = 'api_key'
            left join sessions s
                on s.organization_id = $1 and s.session_id = k.created_by_id and k.created_by_kind = 'session'
            left join users m on m.organization_id = $1 and m.user_id = s.user_id
            where k.organization_id = $1 and "# $(+ $condition)+,
            $($values),+
        )
    };
}

/// Selects the keys that match a filter. `$order` is the place in the list, `$8`, and the order.
macro_rules! matching {
    ($order:literal, $organization_id:expr, $users:expr, $filter:expr, $now:expr, $start:expr, $limit:expr) => {
        listed!(
            [
                r#"
            ($2::uuid[] is null or k.user_id = any($2))
            and ($3::uuid is null or (k.created_by_id = $3 and k.created_by_kind = 'api_key'))
            and case $4::text
                when 'active' then k.revoked_at is null and k.expires_at > $5
                when 'expired' then k.revoked_at is null and k.expires_at <= $5
                when 'revoked' then k.revoked_at is not null
                else true
            end
            and ($6::timestamptz is null or k.expires_at < $6)
            and ($7::timestamptz is null or coalesce(k.last_used_at, k.created_at) < $7)
            and "#,
                $order,
                " limit $9"
            ],
            $organization_id as Id<Organization>,
            $users as Option<&[Id<User>]>,
            $filter.created_by as Option<Id<ApiKey>>,
            $filter.status.map(KeyStatus::as_str),
            $now,
            $filter.ends_before,
            $filter.unused_since,
            $start as Option<Id<ApiKey>>,
            $limit,
        )
    };
}

/// Lists a part of the keys, the newest first. An owner sees all keys, other callers only their own.
///
/// # Errors
/// `forbidden`, also for a filter that names another user, unless the caller is an owner.
pub async fn browse(app: &App, caller: &Caller, filter: &KeyFilter, span: &Span) -> Result<Slice<ListedKey>> {
    app.authorize(caller, Action::KeyList).await?;
    let own = caller.user_id();
    if filter.users.iter().flatten().any(|user_id| Some(*user_id) != own) {
        app.authorize(caller, Action::KeyOthers).await?;
    }
    let users: Option<Vec<Id<User>>> = match &filter.users {
        Some(users) => Some(users.clone()),
        None if caller.may(Action::KeyOthers) => None,
        None => Some(own.into_iter().collect()),
    };
    let (organization_id, users, now) = (caller.organization_id, users.as_deref(), app.clock.now());
    let start = span.start().map(|position| Id::<ApiKey>::from_uuid(position.id));
    let mut read = app.read_planned(caller, Action::KeyList).await?;
    let rows = match span.is_backward() {
        false => {
            matching!(
                "($8::uuid is null or k.key_id < $8) order by k.key_id desc",
                organization_id,
                users,
                filter,
                now,
                start,
                span.limit()
            )
            .fetch_all(&mut *read)
            .await?
        }
        true => {
            matching!(
                "($8::uuid is null or k.key_id > $8) order by k.key_id",
                organization_id,
                users,
                filter,
                now,
                start,
                span.limit()
            )
            .fetch_all(&mut *read)
            .await?
        }
    };
    let rows = rows.into_iter().map(ListedKey::from).collect();
    Ok(Slice::new(span, rows, None, |row: &ListedKey| Position::new("", row.key.key_id)))
}

/// Reads a key, with what the caller may do with it: one of the caller's own or, as an owner, any.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn details(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<KeyDetails> {
    let known = read::allowed(app, caller, Action::KeyList, key_id).await?;
    let mut read = app.read(caller, Action::KeyList).await?;
    let row = listed!(["k.key_id = $2"], caller.organization_id as Id<Organization>, key_id as Id<ApiKey>)
        .fetch_optional(&mut *read)
        .await?;
    let listed = ListedKey::from(row.ok_or_else(|| Error::not_found("API key", key_id))?);
    let is_active = listed.key.status(app.clock.now()) == KeyStatus::Active;
    Ok(KeyDetails { may_rotate: is_active && rotate::denies(caller, &known).is_none(), listed })
}

/// The active keys that a key has created, and that those have created, the oldest first and at most 200. Callers who are not owners
/// see their own.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn made_by(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<Vec<ListedKey>> {
    read::allowed(app, caller, Action::KeyList, key_id).await?;
    let only = (!caller.may(Action::KeyOthers)).then(|| caller.user_id()).flatten();
    let mut read = app.read(caller, Action::KeyList).await?;
    let rows = listed!(
        [r#"
            k.key_id in (
                with recursive made as (
                    select key_id from api_keys
                    where organization_id = $1 and created_by_kind = 'api_key' and created_by_id = $2
                    union
                    select a.key_id from api_keys a
                    join made on a.created_by_id = made.key_id
                    where a.organization_id = $1 and a.created_by_kind = 'api_key'
                )
                select key_id from made
            )
            and k.revoked_at is null and k.expires_at > $3 and ($4::uuid is null or k.user_id = $4)
            order by k.key_id
            limit $5
        "#],
        caller.organization_id as Id<Organization>,
        key_id as Id<ApiKey>,
        app.clock.now(),
        only as Option<Id<User>>,
        i64::try_from(MOST_MADE).unwrap_or(i64::MAX),
    );
    Ok(rows.fetch_all(&mut *read).await?.into_iter().map(ListedKey::from).collect())
}
