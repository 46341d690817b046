//! Creating users.

use uuid::Uuid;

use super::{Account, Credential, EMAIL_KEY_VERSION, Line};
use crate::audit::Event;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Batch, Id};

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
    let actor = change.caller().actor.clone();
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
