//! Creating, changing and deleting users.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{Account, Attributes, Credential, EMAIL_KEY_VERSION, Expiry, Line, Status, lock};
use crate::audit::Event;
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, Membership, Organization, User};
use crate::postgres::is_unique_violation;
use crate::sessions;

/// An address of a new account belongs to another user. Nothing was recorded; the change must be rolled back.
#[derive(Debug)]
pub(crate) struct AddressTaken;

/// Creates accounts with their memberships and passwords.
pub(crate) async fn create(
    change: &mut Change,
    batch_id: Option<Id<Batch>>,
    is_service_account: bool,
    accounts: &[Account],
) -> Result<std::result::Result<(), AddressTaken>> {
    if insert(change, batch_id, is_service_account, accounts).await? < accounts.len() {
        return Ok(Err(AddressTaken));
    }
    for account in accounts {
        let permission_level = account.user.permission_level;
        let event = Event::UserCreated { user_id: account.user_id, batch_id, permission_level };
        change.record_about(event, account.user.email.key());
    }
    insert_collaborators(change, accounts).await?;
    insert_passwords(change, accounts).await?;
    Ok(Ok(()))
}

/// Inserts users whose addresses are free and returns how many. Inserts in the order of the keys, so that two batches
/// with common addresses wait for each other instead of deadlocking. Counts the rows returned: with Citus, the row
/// count of `insert … select … on conflict do nothing` includes the rows that were skipped.
async fn insert(
    change: &mut Change,
    batch_id: Option<Id<Batch>>,
    is_service_account: bool,
    accounts: &[Account],
) -> Result<usize> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let ids: Vec<Id<User>> = accounts.iter().map(|account| account.user_id).collect();
    let emails: Vec<&str> = accounts.iter().map(|account| account.user.email.as_str()).collect();
    let keys: Vec<&str> = accounts.iter().map(|account| account.user.email.key()).collect();
    let names: Vec<&str> = accounts.iter().map(|account| account.user.name.as_str()).collect();
    let lastnames: Vec<Option<&str>> =
        accounts.iter().map(|account| account.user.lastname.as_ref().map(Line::as_str)).collect();
    let titles: Vec<Option<&str>> =
        accounts.iter().map(|account| account.user.title.as_ref().map(Line::as_str)).collect();
    let sso: Vec<bool> = accounts.iter().map(|account| matches!(account.user.credential, Credential::Sso)).collect();
    let expiries: Vec<Option<DateTime<Utc>>> =
        accounts.iter().map(|account| account.user.expires_at.map(Expiry::time)).collect();
    let attributes: Vec<String> = accounts.iter().map(|account| account.user.attributes.to_json()).collect();
    let inserted = sqlx::query_scalar!(
        r#"
        insert into users
            (organization_id, email_key_version, status, batch_id, created_at, updated_at,
             is_service_account, user_id, email, email_key, name, lastname, title, is_sso_user, expires_at, attributes)
        select $1, $2, 'active', $3, $4, $4, $12, user_id, email, email_key, name, lastname, title, is_sso_user, expires_at,
            attributes::jsonb
        from unnest(
            $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bool[], $13::timestamptz[],
            $14::text[]
        ) as account (user_id, email, email_key, name, lastname, title, is_sso_user, expires_at, attributes)
        order by email_key collate "C"
        on conflict on constraint users_email_key_key do nothing
        returning true as "inserted!"
        "#,
        organization_id as Id<Organization>,
        EMAIL_KEY_VERSION,
        batch_id as Option<Id<Batch>>,
        now,
        &ids[..] as &[Id<User>],
        &emails as &[&str],
        &keys as &[&str],
        &names as &[&str],
        &lastnames as &[Option<&str>],
        &titles as &[Option<&str>],
        &sso,
        is_service_account,
        &expiries as &[Option<DateTime<Utc>>],
        &attributes,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(inserted.len())
}

/// Inserts the memberships of new users.
async fn insert_collaborators(change: &mut Change, accounts: &[Account]) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let actor = change.actor();
    let user_ids: Vec<Id<User>> = accounts.iter().map(|account| account.user_id).collect();
    let identity_ids: Vec<Id<Membership>> = accounts.iter().map(|account| account.identity_id).collect();
    let levels: Vec<&str> = accounts.iter().map(|account| account.user.permission_level.as_str()).collect();
    sqlx::query!(
        r#"
        insert into collaborators
            (organization_id, granted_by_kind, granted_by_id, granted_at, user_id, identity_id, permission_level)
        select $1, $2, $3, $4, user_id, identity_id, permission_level
        from unnest($5::uuid[], $6::uuid[], $7::text[]) as account (user_id, identity_id, permission_level)
        "#,
        organization_id as Id<Organization>,
        actor.kind.as_str(),
        actor.id,
        now,
        &user_ids[..] as &[Id<User>],
        &identity_ids[..] as &[Id<Membership>],
        &levels as &[&str],
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Inserts the initial passwords of the accounts that have one.
async fn insert_passwords(change: &mut Change, accounts: &[Account]) -> Result<()> {
    let given = || accounts.iter().filter_map(|account| Some((account.user_id, account.password.as_ref()?)));
    let user_ids: Vec<Id<User>> = given().map(|(user_id, _)| user_id).collect();
    if user_ids.is_empty() {
        return Ok(());
    }
    let hashes: Vec<&str> = given().map(|(_, password)| password.hash.as_str()).collect();
    let must_change: Vec<bool> = given().map(|(_, password)| password.must_change).collect();
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        insert into passwords (organization_id, set_at, user_id, phc, must_change)
        select $1, $2, user_id, phc, must_change
        from unnest($3::uuid[], $4::text[], $5::bool[]) as account (user_id, phc, must_change)
        "#,
        organization_id as Id<Organization>,
        now,
        &user_ids[..] as &[Id<User>],
        &hashes as &[&str],
        &must_change,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// The new state of a locked user.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) user_id: Id<User>,
    pub(crate) name: String,
    pub(crate) lastname: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) email_key_before: String,
    pub(crate) is_sso_user: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) attributes: Attributes,
    /// The changed fields; not empty.
    pub(crate) changes: Vec<FieldChange>,
}

/// A field whose value changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The name of the field.
    pub field: Cow<'static, str>,
    /// The value before.
    pub before: Option<String>,
    /// The new value.
    pub after: Option<String>,
}

impl FieldChange {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, before: Option<&str>, after: Option<&str>) -> Self {
        Self { field: field.into(), before: before.map(str::to_owned), after: after.map(str::to_owned) }
    }
}

impl Update {
    /// The expiry, if the user gets another one.
    pub(super) fn new_expiry(&self) -> Option<DateTime<Utc>> {
        self.expires_at.filter(|_| self.changes.iter().any(|change| change.field == "expires_at"))
    }

    /// Whether the user gets another address.
    pub(crate) fn moves(&self) -> bool {
        self.email_key != self.email_key_before
    }

    /// Whether the user signs in in another way from now on.
    pub(crate) fn switches(&self) -> bool {
        self.changes.iter().any(|change| change.field == "is_sso_user")
    }
}

/// Updates users, and removes the passwords of those who become SSO users and the identities of those who stop being ones, for which the
/// caller holds the lock of the last-owner rule. A user may take an address that another user of the list gives up.
///
/// # Errors
/// `email_taken` if an address belongs to another user; `last_owner` if no owner could sign in any more.
pub(crate) async fn update(change: &mut Change, updates: &[&Update]) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let ids: Vec<Id<User>> = updates.iter().map(|update| update.user_id).collect();
    let names: Vec<&str> = updates.iter().map(|update| update.name.as_str()).collect();
    let lastnames: Vec<Option<&str>> = updates.iter().map(|update| update.lastname.as_deref()).collect();
    let titles: Vec<Option<&str>> = updates.iter().map(|update| update.title.as_deref()).collect();
    let emails: Vec<&str> = updates.iter().map(|update| update.email.as_str()).collect();
    let keys: Vec<&str> = updates.iter().map(|update| update.email_key.as_str()).collect();
    let sso: Vec<bool> = updates.iter().map(|update| update.is_sso_user).collect();
    let expiries: Vec<Option<DateTime<Utc>>> = updates.iter().map(|update| update.expires_at).collect();
    let attributes: Vec<String> = updates.iter().map(|update| update.attributes.to_json()).collect();
    let could_sign_in = updates.iter().any(|update| update.switches()) && owners::can_sign_in(change).await?;
    release_addresses(change, updates).await?;
    sqlx::query!(
        r#"
        update users
        set name = new.name, lastname = new.lastname, title = new.title, email = new.email,
            email_key = new.email_key, email_key_version = $3, is_sso_user = new.is_sso_user,
            expires_at = new.expires_at, attributes = new.attributes::jsonb, updated_at = $2, revision = revision + 1
        from unnest(
            $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bool[], $11::timestamptz[],
            $12::text[]
        ) as new (user_id, name, lastname, title, email, email_key, is_sso_user, expires_at, attributes)
        where users.organization_id = $1 and users.user_id = new.user_id
        "#,
        organization_id as Id<Organization>,
        now,
        EMAIL_KEY_VERSION,
        &ids[..] as &[Id<User>],
        &names as &[&str],
        &lastnames as &[Option<&str>],
        &titles as &[Option<&str>],
        &emails as &[&str],
        &keys as &[&str],
        &sso,
        &expiries as &[Option<DateTime<Utc>>],
        &attributes,
    )
    .execute(change.connection())
    .await
    .map_err(taken)?;
    let switching = |to_sso: bool| {
        let switching = updates.iter().filter(move |update| update.switches() && update.is_sso_user == to_sso);
        switching.map(|update| update.user_id).collect::<Vec<Id<User>>>()
    };
    delete_former_credentials(change, &switching(true), &switching(false)).await?;
    end_former_access(change, updates).await?;
    owners::require_sign_in(change, could_sign_in).await?;
    for update in updates {
        let fields = update.changes.iter().map(|change| change.field.clone()).collect();
        let event = Event::UserUpdated { user_id: update.user_id, fields };
        match update.moves() {
            true => change.record_about(event, &update.email_key),
            false => change.record(event),
        }
    }
    Ok(())
}

/// Ends the sessions of users who sign in in another way from now on, and revokes the links of those and of users with another
/// address, who may be the only ones who have seen the link.
async fn end_former_access(change: &mut Change, updates: &[&Update]) -> Result<()> {
    let switching = updates.iter().filter(|update| update.switches());
    let switching: Vec<Id<User>> = switching.map(|update| update.user_id).collect();
    if !switching.is_empty() {
        lock::memberships(change, &switching).await?;
        sessions::end_access(change, &switching, None, "sign_in_method_changed").await?;
    }
    let moving: Vec<Id<User>> = updates.iter().filter(|update| update.moves()).map(|update| update.user_id).collect();
    if !moving.is_empty() {
        sessions::revoke_links(change, &moving, None).await?;
    }
    Ok(())
}

/// Deletes what users who switch to single sign-on, or to a password, signed in with before: their passwords, or their identities at
/// providers.
pub(crate) async fn delete_former_credentials(
    change: &mut Change,
    to_sso: &[Id<User>],
    to_password: &[Id<User>],
) -> Result<()> {
    let organization_id = change.organization_id();
    if !to_sso.is_empty() {
        sqlx::query!(
            "delete from passwords where organization_id = $1 and user_id = any($2)",
            organization_id as Id<Organization>,
            to_sso as &[Id<User>],
        )
        .execute(change.connection())
        .await?;
    }
    if !to_password.is_empty() {
        sqlx::query!(
            "delete from sso_identities where organization_id = $1 and user_id = any($2)",
            organization_id as Id<Organization>,
            to_password as &[Id<User>],
        )
        .execute(change.connection())
        .await?;
    }
    Ok(())
}

/// Maps a unique violation to `email_taken`: of the columns that an update sets, only the address is unique.
fn taken(error: sqlx::Error) -> Error {
    if is_unique_violation(&error) {
        return Error::new(Code::EmailTaken, "the e-mail address belongs to another account; nothing was written");
    }
    error.into()
}

/// Releases the addresses that other users of the list take, because PostgreSQL checks uniqueness after each row rather
/// than at the end of the statement. Meanwhile the users have their IDs as keys, which no other user can have.
async fn release_addresses(change: &mut Change, updates: &[&Update]) -> Result<()> {
    let moving = || updates.iter().filter(|update| update.moves());
    let given_up: HashSet<&str> = moving().map(|update| update.email_key_before.as_str()).collect();
    if !moving().any(|update| given_up.contains(update.email_key.as_str())) {
        return Ok(());
    }
    let organization_id = change.organization_id();
    let ids: Vec<Id<User>> = moving().map(|update| update.user_id).collect();
    sqlx::query!(
        "update users set email_key = user_id::text where organization_id = $1 and user_id = any($2)",
        organization_id as Id<Organization>,
        &ids[..] as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Suspends or reactivates users, whose rows are locked. A suspension ends their sessions and revokes their links.
pub(crate) async fn set_status(change: &mut Change, users: &[Id<User>], status: Status) -> Result<()> {
    update_status(change, users, status).await?;
    for user_id in users {
        change.record(match status {
            Status::Suspended => Event::UserSuspended(*user_id),
            Status::Active => Event::UserReactivated(*user_id),
        });
    }
    Ok(())
}

/// Suspends users whose accounts have expired, and whose rows are locked.
pub(super) async fn suspend_expired(change: &mut Change, users: &[Id<User>]) -> Result<()> {
    update_status(change, users, Status::Suspended).await?;
    users.iter().for_each(|user_id| change.record(Event::UserExpired(*user_id)));
    Ok(())
}

async fn update_status(change: &mut Change, users: &[Id<User>], status: Status) -> Result<()> {
    if status == Status::Suspended {
        lock::memberships(change, users).await?;
        sessions::end_access(change, users, None, "suspended").await?;
    }
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update users set status = $3, updated_at = $4, revision = revision + 1
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        status.as_str(),
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes users, whose rows are locked, and all data that identifies them. Memberships, passwords and group memberships are deleted by foreign
/// keys (`on delete cascade`). API keys, invitations to the users' addresses and the stored responses of their
/// batches are deleted explicitly, the keys last: a change by one of these keys locks its access after everything else.
/// Approvals of device logins stay until they expire ([`crate::device_logins`]).
pub(crate) async fn delete(change: &mut Change, users: &[Id<User>], batch_id: Option<Id<Batch>>) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        delete from invitations
        where organization_id = $1 and email_key in (
            select email_key from users where organization_id = $1 and user_id = any($2)
        )
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        r#"
        update batches set response = null
        where organization_id = $1 and response is not null and batch_id in (
            select batch_id from users where organization_id = $1 and user_id = any($2)
        )
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    lock::memberships_and_keys(change, users).await?;
    sqlx::query!(
        "delete from api_keys where organization_id = $1 and user_id = any($2)",
        organization_id as Id<Organization>,
        users as &[Id<User>]
    )
    .execute(change.connection())
    .await?;
    let deleted = sqlx::query!(
        r#"
        delete from users where organization_id = $1 and user_id = any($2)
        returning user_id as "user_id: Id<User>", email_key
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>]
    )
    .fetch_all(change.connection())
    .await?;
    let email_keys: HashMap<Id<User>, String> =
        deleted.into_iter().map(|user| (user.user_id, user.email_key)).collect();
    for user_id in users {
        let event = Event::UserDeleted { user_id: *user_id, batch_id };
        match email_keys.get(user_id) {
            Some(email_key) => change.record_about(event, email_key),
            None => change.record(event),
        }
    }
    Ok(())
}
