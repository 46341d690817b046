//! Reading users.
//!
//! # Decisions
//!
//! *Addresses are looked up one by one, regardless of the planner's estimates.* With 10,000 addresses, `email_key = any(…)`
//! scans a table of 1,000,000 users on three cores: 94 ms. A lateral subquery that can't be flattened (`offset 0`)
//! leaves only the index: 30 ms, regardless of the size of the table. Keys in the order of the index find its pages in the
//! cache.
//!
//! *IDs are passed as an array whose length the planner can't see* (`any(array(select unnest($2)))`). The planner
//! then assumes ten elements. If it sees two, it prefers a custom plan each time, and planning takes four times as long
//! as the lookup: 2,000 instead of 12,900 queries per second for two users each.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Access, Attributes, EmailAddress, Facts, GroupOfUser, Status};
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Batch, Group, Id, Membership, Organization, User};

/// A user with their membership.
#[derive(Clone, Debug)]
pub struct UserDetails {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The ID of the membership.
    pub identity_id: Id<Membership>,
    /// The address as it was entered.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Title or position.
    pub title: Option<String>,
    /// Whether the user signs in through the organization's identity provider.
    pub is_sso_user: bool,
    /// Whether the account is a service account.
    pub is_service_account: bool,
    /// Active or suspended.
    pub status: Status,
    /// The effective permission: by the member's own level or through a group.
    pub permission_level: PermissionLevel,
    /// The member's own level.
    pub own_level: PermissionLevel,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the user or their level was last changed.
    pub updated_at: DateTime<Utc>,
    /// Incremented by every change of the user or of their level.
    pub revision: i64,
    /// When the account expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// The last sign-in. It is no change of the user: the revision stays.
    pub last_signed_in_at: Option<DateTime<Utc>>,
    /// Whether the password must be changed at the next sign-in; `None` without a password. It is no change of the user, either.
    pub must_change_password: Option<bool>,
    /// Custom attributes.
    pub attributes: Attributes,
}

impl UserDetails {
    /// First and last name.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.lastname.as_deref() {
            None | Some("") => self.name.clone(),
            Some(lastname) => format!("{} {lastname}", self.name),
        }
    }
}

/// Selects users with their memberships: the conditions complete the `where` clause over `users u` and `collaborators c`,
/// and may continue with `order by` and `limit`. `$1` is the organization.
macro_rules! user_details {
    ($first:literal $(+ $more:literal)*, $($values:tt)+) => {
        sqlx::query_as!(
            $crate::users::UserDetails,
            r#"
            select
                u.user_id as "user_id: Id<User>", c.identity_id as "identity_id: Id<Membership>", u.email, u.name,
                u.lastname, u.title, u.is_sso_user, u.is_service_account, u.status as "status: Status",
                case when exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
                ) then 'owner' else 'collaborator' end as "permission_level!: PermissionLevel",
                c.permission_level as "own_level: PermissionLevel", u.created_at, u.updated_at, u.revision,
                u.expires_at, u.last_signed_in_at,
                (
                    select p.must_change from passwords p where p.organization_id = $1 and p.user_id = u.user_id
                ) as must_change_password,
                u.attributes as "attributes: crate::users::Attributes"
            from users u
            join collaborators c using (organization_id, user_id)
            where u.organization_id = $1 and
            "# + $first $(+ $more)*,
            $($values)+
        )
    };
}
pub(crate) use user_details;

/// Reads the current state of one user.
pub(super) async fn one(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Option<UserDetails>> {
    let user = user_details!("u.user_id = $2", organization_id as Id<Organization>, user_id as Id<User>);
    Ok(user.fetch_optional(connection).await?)
}

/// Reads the current state of several users. Returns those that exist, in the order of their IDs.
pub(crate) async fn details(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    users: &[Id<User>],
) -> Result<Vec<UserDetails>> {
    let users = user_details!(
        "u.user_id = any(array(select unnest($2::uuid[]))) order by u.user_id",
        organization_id as Id<Organization>,
        users as &[Id<User>]
    );
    Ok(users.fetch_all(connection).await?)
}

/// Reads how a user came here, and signs in.
pub(super) async fn facts(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
    now: DateTime<Utc>,
) -> Result<Facts> {
    let facts = sqlx::query_as!(
        Facts,
        r#"
        select
            u.batch_id as "batch_id: Id<Batch>", b.file_name as "file_name?", p.set_at as "password_set_at?",
            exists (
                select from sso_bound_users s where s.organization_id = $1 and s.user_id = $2
            ) as "is_bound_to_sso!",
            (
                select max(l.expires_at) from password_links l
                where l.organization_id = $1 and l.user_id = $2 and l.used_at is null and l.revoked_at is null
                    and l.expires_at > $3
            ) as link_expires_at
        from users u
        left join batches b on b.organization_id = $1 and b.batch_id = u.batch_id
        left join passwords p on p.organization_id = $1 and p.user_id = $2
        where u.organization_id = $1 and u.user_id = $2
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(facts.unwrap_or_default())
}

/// Reads the groups of a user, by name.
pub(super) async fn groups(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Vec<GroupOfUser>> {
    let groups = sqlx::query_as!(
        GroupOfUser,
        r#"
        select
            g.group_id as "group_id: Id<Group>", g.name,
            exists (
                select from organization_policy_bindings b
                where b.organization_id = $1 and b.group_id = g.group_id and b.role_name = 'owner'
            ) as "grants_owner!"
        from user_group_members m
        join user_groups g using (organization_id, group_id)
        where m.organization_id = $1 and m.user_id = $2
        order by g.name_key
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_all(connection)
    .await?;
    Ok(groups)
}

/// The sessions and API keys of users that work now.
pub(super) async fn access(change: &mut Change, users: &[Id<User>]) -> Result<Access> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let access = sqlx::query_as!(
        Access,
        r#"
        select
            (
                select count(*) from sessions
                where organization_id = $1 and user_id = any($2) and ended_at is null and expires_at > $3
                    and idle_expires_at > $3
            ) as "sessions!",
            (
                select count(*) from api_keys
                where organization_id = $1 and user_id = any($2) and revoked_at is null
                    and (expires_at is null or expires_at > $3)
            ) as "keys!"
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        now,
    )
    .fetch_one(change.connection())
    .await?;
    Ok(access)
}

/// Finds the holders of addresses, by key; without the users of the batch `except`.
pub(crate) async fn by_address(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    keys: &[&str],
    except: Option<Id<Batch>>,
) -> Result<HashMap<String, Id<User>>> {
    let found = sqlx::query!(
        r#"
        select wanted.email_key as "email_key!", found.user_id as "user_id!: Id<User>"
        from
            (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as wanted,
            lateral (
                select user_id from users
                where organization_id = $1 and users.email_key = wanted.email_key
                    and ($3::uuid is null or batch_id is distinct from $3)
                offset 0
            ) as found
        "#,
        organization_id as Id<Organization>,
        keys as &[&str],
        except as Option<Id<Batch>>,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|row| (row.email_key, row.user_id)).collect())
}

/// Finds the addresses that belong to a user, by their index in the list; without the users of the batch `except`.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    emails: &[&EmailAddress],
    except: Option<Id<Batch>>,
) -> Result<Vec<usize>> {
    let keys: Vec<&str> = emails.iter().map(|email| email.key()).collect();
    let holders = by_address(connection, organization_id, &keys, except).await?;
    Ok(keys.iter().enumerate().filter(|(_, key)| holders.contains_key(**key)).map(|(index, _)| index).collect())
}

/// The batch that created the users with all of these addresses; `None` if an address is free, or if there is more than one
/// batch.
pub(crate) async fn only_batch(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    keys: &[&str],
) -> Result<Option<Id<Batch>>> {
    let batches = sqlx::query_scalar!(
        r#"
        select distinct found.batch_id as "batch_id: Id<Batch>"
        from
            unnest($2::text[]) as wanted (email_key)
            left join lateral (
                select batch_id from users
                where organization_id = $1 and users.email_key = wanted.email_key
                offset 0
            ) as found on true
        limit 2
        "#,
        organization_id as Id<Organization>,
        keys as &[&str],
    )
    .fetch_all(connection)
    .await?;
    match batches.as_slice() {
        [only] => Ok(*only),
        _ => Ok(None),
    }
}
