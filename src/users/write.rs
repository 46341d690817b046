//! Creating, changing and deleting users.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Account, Credential, EMAIL_KEY_VERSION, Line, Status};
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, User};

/// How many of the accounts were free to be created.
///
/// Inserts in the order of the keys, so that two batches with common addresses meet in the same
/// order and wait for each other instead of deadlocking. An address that is taken is skipped; the
/// caller of this function compares the count and gives the change up.
pub(crate) async fn insert(change: &mut Change, batch_id: Option<Id<Batch>>, accounts: &[Account]) -> Result<usize> {
    insert_as(change, batch_id, false, accounts).await
}

/// The same for the account of a program. `false`: its address is taken.
pub(crate) async fn insert_service_account(change: &mut Change, account: &Account) -> Result<bool> {
    Ok(insert_as(change, None, true, std::slice::from_ref(account)).await? == 1)
}

async fn insert_as(
    change: &mut Change,
    batch_id: Option<Id<Batch>>,
    is_service_account: bool,
    accounts: &[Account],
) -> Result<usize> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.user_id.uuid()).collect();
    let emails: Vec<&str> = accounts.iter().map(|account| account.user.email.as_str()).collect();
    let keys: Vec<&str> = accounts.iter().map(|account| account.user.email.key()).collect();
    let names: Vec<&str> = accounts.iter().map(|account| account.user.name.as_str()).collect();
    let lastnames: Vec<Option<&str>> =
        accounts.iter().map(|account| account.user.lastname.as_ref().map(Line::as_str)).collect();
    let titles: Vec<Option<&str>> =
        accounts.iter().map(|account| account.user.title.as_ref().map(Line::as_str)).collect();
    let sso: Vec<bool> = accounts.iter().map(|account| matches!(account.user.credential, Credential::Sso)).collect();
    let inserted = sqlx::query!(
        r#"
        insert into users
            (organization_id, email_key_version, status, batch_id, created_at, updated_at,
             is_service_account, user_id, email, email_key, name, lastname, title, is_sso_user)
        select $1, $2, 'active', $3, $4, $4, $12, user_id, email, email_key, name, lastname, title, is_sso_user
        from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bool[])
            as account (user_id, email, email_key, name, lastname, title, is_sso_user)
        order by email_key collate "C"
        on conflict on constraint users_email_key_key do nothing
        "#,
        organization_id,
        EMAIL_KEY_VERSION,
        batch_id.map(Id::uuid),
        now,
        &ids,
        &emails as &[&str],
        &keys as &[&str],
        &names as &[&str],
        &lastnames as &[Option<&str>],
        &titles as &[Option<&str>],
        &sso,
        is_service_account,
    )
    .execute(change.connection())
    .await?;
    for account in accounts {
        let permission_level = account.user.permission_level;
        change.record(Event::UserCreated { user_id: account.user_id, batch_id, permission_level });
    }
    Ok(usize::try_from(inserted.rows_affected()).unwrap_or_default())
}

/// Makes all of them members of the organization.
pub(crate) async fn insert_collaborators(change: &mut Change, accounts: &[Account]) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let actor = change.actor();
    let user_ids: Vec<Uuid> = accounts.iter().map(|account| account.user_id.uuid()).collect();
    let identity_ids: Vec<Uuid> = accounts.iter().map(|account| account.identity_id.uuid()).collect();
    let levels: Vec<&str> = accounts.iter().map(|account| account.user.permission_level.as_str()).collect();
    sqlx::query!(
        r#"
        insert into collaborators
            (organization_id, granted_by_kind, granted_by_id, granted_at, user_id, identity_id, permission_level)
        select $1, $2, $3, $4, user_id, identity_id, permission_level
        from unnest($5::uuid[], $6::uuid[], $7::text[]) as account (user_id, identity_id, permission_level)
        "#,
        organization_id,
        actor.kind(),
        actor.id(),
        now,
        &user_ids,
        &identity_ids,
        &levels as &[&str],
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Sets the initial passwords of those who have one.
pub(crate) async fn insert_passwords(change: &mut Change, accounts: &[Account]) -> Result<()> {
    let given = || accounts.iter().filter_map(|account| Some((account.user_id, account.password.as_ref()?)));
    let user_ids: Vec<Uuid> = given().map(|(user_id, _)| user_id.uuid()).collect();
    if user_ids.is_empty() {
        return Ok(());
    }
    let hashes: Vec<&str> = given().map(|(_, password)| password.hash.as_str()).collect();
    let must_change: Vec<bool> = given().map(|(_, password)| password.must_change).collect();
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        insert into passwords (organization_id, set_at, user_id, phc, must_change)
        select $1, $2, user_id, phc, must_change
        from unnest($3::uuid[], $4::text[], $5::bool[]) as account (user_id, phc, must_change)
        "#,
        organization_id,
        now,
        &user_ids,
        &hashes as &[&str],
        &must_change,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// A user who is locked, as they will be.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) user_id: Id<User>,
    pub(crate) name: String,
    pub(crate) lastname: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) email_key_before: String,
    /// The names of the fields that are different, at least one.
    pub(crate) fields: Vec<&'static str>,
}

impl Update {
    /// Whether it gives up one address for another.
    pub(crate) fn moves(&self) -> bool {
        self.email_key != self.email_key_before
    }
}

/// Changes users. They may take addresses that others of them give up.
///
/// # Errors
/// `email_taken` when an address belongs to somebody else.
pub(crate) async fn update(change: &mut Change, updates: &[Update]) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let ids: Vec<Uuid> = updates.iter().map(|update| update.user_id.uuid()).collect();
    let names: Vec<&str> = updates.iter().map(|update| update.name.as_str()).collect();
    let lastnames: Vec<Option<&str>> = updates.iter().map(|update| update.lastname.as_deref()).collect();
    let titles: Vec<Option<&str>> = updates.iter().map(|update| update.title.as_deref()).collect();
    let emails: Vec<&str> = updates.iter().map(|update| update.email.as_str()).collect();
    let keys: Vec<&str> = updates.iter().map(|update| update.email_key.as_str()).collect();
    free(change, updates).await?;
    sqlx::query!(
        r#"
        update users
        set name = new.name, lastname = new.lastname, title = new.title, email = new.email,
            email_key = new.email_key, email_key_version = $3, updated_at = $2, revision = revision + 1
        from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
            as new (user_id, name, lastname, title, email, email_key)
        where users.organization_id = $1 and users.user_id = new.user_id
        "#,
        organization_id,
        now,
        EMAIL_KEY_VERSION,
        &ids,
        &names as &[&str],
        &lastnames as &[Option<&str>],
        &titles as &[Option<&str>],
        &emails as &[&str],
        &keys as &[&str],
    )
    .execute(change.connection())
    .await
    .map_err(taken)?;
    for update in updates {
        change.record(Event::UserUpdated { user_id: update.user_id, fields: update.fields.clone() });
    }
    Ok(())
}

/// The database's word on an address that somebody has.
fn taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) {
        Some("users_email_key_key") => {
            Error::new(Code::EmailTaken, "the e-mail address belongs to another account, and nothing was written")
        }
        _ => error.into(),
    }
}

/// Gives addresses up that others of the list take: PostgreSQL judges after each row, not after the last one.
/// Until they get their new ones, users have their ids for addresses, which nobody else can have.
async fn free(change: &mut Change, updates: &[Update]) -> Result<()> {
    let moving = || updates.iter().filter(|update| update.moves());
    let given_up: HashSet<&str> = moving().map(|update| update.email_key_before.as_str()).collect();
    if !moving().any(|update| given_up.contains(update.email_key.as_str())) {
        return Ok(());
    }
    let organization_id = change.organization_id().uuid();
    let ids: Vec<Uuid> = moving().map(|update| update.user_id.uuid()).collect();
    sqlx::query!(
        "update users set email_key = user_id::text where organization_id = $1 and user_id = any($2)",
        organization_id,
        &ids,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Keeps users out, or lets them in again.
pub(crate) async fn set_status(change: &mut Change, users: &[Id<User>], status: Status) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        r#"
        update users set status = $3, updated_at = $4, revision = revision + 1
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id,
        &ids,
        status.as_str(),
        now,
    )
    .execute(change.connection())
    .await?;
    for user_id in users {
        change.record(match status {
            Status::Suspended => Event::UserSuspended(*user_id),
            Status::Active => Event::UserReactivated(*user_id),
        });
    }
    Ok(())
}

/// Deletes users with everything that names them. Memberships, passwords and places in groups go with the users' rows;
/// keys are deleted by name, so that no mistake elsewhere takes them along. Invitations to their addresses go, whatever
/// has become of them, and so do the kept answers that their batches were answered with.
pub(crate) async fn delete(change: &mut Change, users: &[Id<User>], batch_id: Option<Id<Batch>>) -> Result<()> {
    let organization_id = change.organization_id().uuid();
    let ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    sqlx::query!("delete from api_keys where organization_id = $1 and user_id = any($2)", organization_id, &ids)
        .execute(change.connection())
        .await?;
    sqlx::query!(
        r#"
        delete from invitations
        where organization_id = $1 and email_key in (
            select email_key from users where organization_id = $1 and user_id = any($2)
        )
        "#,
        organization_id,
        &ids,
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
        organization_id,
        &ids,
    )
    .execute(change.connection())
    .await?;
    sqlx::query!("delete from users where organization_id = $1 and user_id = any($2)", organization_id, &ids)
        .execute(change.connection())
        .await?;
    for user_id in users {
        change.record(Event::UserDeleted { user_id: *user_id, batch_id });
    }
    Ok(())
}
