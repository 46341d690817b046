//! Reading what a sign-in depends on.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::error::{Error, Result};
use crate::id::{Id, Organization, User};
use crate::users::EmailAddress;

/// Finds the organization of a sign-in by its ID, its short name, or its display name if no other organization has the same; without any,
/// the only one. Case does not matter. `None`: there is no such organization.
///
/// # Errors
/// `invalid_request` without a name where there are several.
pub(super) async fn organization(app: &App, named: Option<&str>) -> Result<Option<Id<Organization>>> {
    let named = named.map(str::trim).filter(|named| !named.is_empty());
    let id = named.and_then(|named| named.parse::<Id<Organization>>().ok());
    let found = sqlx::query!(
        r#"
        select
            organization_id as "organization_id: Id<Organization>",
            coalesce(public_identifier = lower($1) or organization_id = $2, false) as "is_identified!"
        from organizations
        where $1::text is null or public_identifier = lower($1) or organization_id = $2 or lower(name) = lower($1)
        order by 2 desc, 1
        limit 2
        "#,
        named,
        id as Option<Id<Organization>>,
    )
    .fetch_all(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    match (named, &*found) {
        (None, [_, _, ..]) => {
            Err(Error::invalid("`organization_id` is required: this server has several organizations"))
        }
        // Two with the name.
        (Some(_), [first, _, ..]) if !first.is_identified => Ok(None),
        _ => Ok(found.first().map(|found| found.organization_id)),
    }
}

/// An account that somebody tries to sign in to.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) user_id: Id<User>,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) name: String,
    pub(crate) lastname: Option<String>,
    pub(crate) organization_name: String,
    pub(crate) is_sso_user: bool,
    pub(crate) is_service_account: bool,
    pub(crate) is_suspended: bool,
    /// Whether the policy binds the user to single sign-on.
    pub(crate) is_bound_to_sso: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) password: Option<StoredPassword>,
}

/// A password as it is stored.
#[derive(Debug)]
pub(crate) struct StoredPassword {
    pub(crate) phc: String,
    pub(crate) must_change: bool,
    pub(crate) set_at: DateTime<Utc>,
}

/// Finds the account of an address, with its password.
pub(super) async fn account(
    app: &App,
    organization_id: Id<Organization>,
    address: &EmailAddress,
) -> Result<Option<Account>> {
    find(app, organization_id, Some(address.key()), None).await
}

/// Finds the account of a user, with the password.
pub(crate) async fn account_of(
    app: &App,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Option<Account>> {
    find(app, organization_id, None, Some(user_id)).await
}

async fn find(
    app: &App,
    organization_id: Id<Organization>,
    email_key: Option<&str>,
    user_id: Option<Id<User>>,
) -> Result<Option<Account>> {
    let row = sqlx::query!(
        r#"
        select
            u.user_id as "user_id: Id<User>", u.email, u.email_key, u.name, u.lastname, o.name as organization_name,
            u.is_sso_user, u.is_service_account, u.status = 'suspended' as "is_suspended!", u.expires_at,
            exists (
                select from sso_bound_users b where b.organization_id = $1 and b.user_id = u.user_id
            ) as "is_bound_to_sso!",
            p.phc as "phc?", p.must_change as "must_change?", p.set_at as "set_at?"
        from users u
        join organizations o on o.organization_id = $1
        left join passwords p on p.organization_id = $1 and p.user_id = u.user_id
        where u.organization_id = $1 and (u.email_key = $2 or u.user_id = $3)
        "#,
        organization_id as Id<Organization>,
        email_key,
        user_id as Option<Id<User>>,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(row.map(|row| Account {
        organization_id,
        user_id: row.user_id,
        email: row.email,
        email_key: row.email_key,
        name: row.name,
        lastname: row.lastname,
        organization_name: row.organization_name,
        is_sso_user: row.is_sso_user,
        is_service_account: row.is_service_account,
        is_suspended: row.is_suspended,
        is_bound_to_sso: row.is_bound_to_sso,
        expires_at: row.expires_at,
        password: match (row.phc, row.must_change, row.set_at) {
            (Some(phc), Some(must_change), Some(set_at)) => Some(StoredPassword { phc, must_change, set_at }),
            _ => None,
        },
    }))
}
