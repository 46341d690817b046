//! The last-owner rule: an organization always has an active owner who is a person and whose account does not expire.
//!
//! A change that can remove an owner (a lower level, a suspension, a deletion, an expiry, leaving a group, a new policy) runs
//! between [`lock`] and [`require_one`]. So two changes that would each leave the other's user as the last owner run
//! one after the other, and the second is rejected.
//!
//! A change that can take an owner's way to sign in (a provider, an identity, a password, the policy) keeps a weaker rule, under the
//! same lock: it does not take the last one ([`can_sign_in`], [`require_sign_in`]). An organization that nobody signs in to, because
//! API keys manage it, stays free to change. Making a user one with a password is not such a change: the user gets a link next.

use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, User};
use crate::report::Report;

/// Serializes the changes that can remove an owner of this organization.
pub(crate) async fn lock(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id();
    // `no key update` does not block inserts whose foreign keys refer to the organization.
    sqlx::query!(
        "select from organizations where organization_id = $1 for no key update",
        organization_id as Id<Organization>
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Finds the owners among `users`, by the same rule as [`require_one`]. A list calls it before it removes them.
pub(crate) async fn among(change: &mut Change, users: &[Id<User>]) -> Result<Vec<Id<User>>> {
    let organization_id = change.organization_id();
    let owners = sqlx::query_scalar!(
        r#"
        select u.user_id as "user_id: Id<User>"
        from users u
        where u.organization_id = $1 and u.user_id = any($2) and u.status = 'active' and not u.is_service_account
            and u.expires_at is null
            and exists (select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?;
    Ok(owners)
}

/// Whether one of `users` is an owner, by their own level or through a group, whether active or not.
pub(crate) async fn include_one_of(change: &mut Change, users: &[Id<User>]) -> Result<bool> {
    let organization_id = change.organization_id();
    let is_one = sqlx::query_scalar!(
        r#"
        select exists (
            select from effective_owners where organization_id = $1 and user_id = any($2)
        ) as "is_one!"
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_one(change.connection())
    .await?;
    Ok(is_one)
}

/// As [`require_one`], for a list: the error carries `report`, which has a finding for each owner that the list
/// removes. The last owners can only be removed together with other rows of the list, so each of them gets a finding.
///
/// # Errors
/// `last_owner`.
pub(crate) async fn require_one_or_report(change: &mut Change, report: Report) -> Result<()> {
    require_one(change)
        .await
        .map_err(|error| if error.code() == Code::LastOwner { error.with_rows(report) } else { error })
}

/// Rejects the change if it leaves no active person whose account does not expire and who is an owner, by their own level or
/// through a group.
///
/// # Errors
/// `last_owner`.
pub(crate) async fn require_one(change: &mut Change) -> Result<()> {
    let organization_id = change.organization_id();
    let has_owner = sqlx::query_scalar!(
        r#"
        select exists (
            select from effective_owners o
            join users u using (user_id)
            where o.organization_id = $1 and u.organization_id = $1
                and u.status = 'active' and not u.is_service_account and u.expires_at is null
        ) as "has_owner!"
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_one(change.connection())
    .await?;
    if has_owner {
        return Ok(());
    }
    let detail = "the change would leave the organization without an active owner; make another user an owner first";
    Err(Error::new(Code::LastOwner, detail))
}

/// Whether one of the owners of [`require_one`] remains without those in `gone`, if those in `lowered` are owners only through a group.
pub(crate) async fn remain_without(change: &mut Change, gone: &[Id<User>], lowered: &[Id<User>]) -> Result<bool> {
    let organization_id = change.organization_id();
    let remain = sqlx::query_scalar!(
        r#"
        select exists (
            select from effective_owners o
            join users u using (user_id)
            where o.organization_id = $1 and u.organization_id = $1
                and u.status = 'active' and not u.is_service_account and u.expires_at is null
                and (u.user_id <> all($2) or (o.through_group and u.user_id = any($3)))
        ) as "remain!"
        "#,
        organization_id as Id<Organization>,
        gone as &[Id<User>],
        lowered as &[Id<User>],
    )
    .fetch_one(change.connection())
    .await?;
    Ok(remain)
}

/// Whether an owner has a way to sign in. A change that can take it calls this before it does.
pub(crate) async fn can_sign_in(change: &mut Change) -> Result<bool> {
    let organization_id = change.organization_id();
    let can_sign_in = sqlx::query_scalar!(
        r#"select exists (select from owners_who_sign_in where organization_id = $1) as "can_sign_in!""#,
        organization_id as Id<Organization>,
    )
    .fetch_one(change.connection())
    .await?;
    Ok(can_sign_in)
}

/// Rejects the change if owners could sign in before it ([`can_sign_in`]), and none can after it.
///
/// # Errors
/// `last_owner`.
pub(crate) async fn require_sign_in(change: &mut Change, could_sign_in: bool) -> Result<()> {
    if !could_sign_in || can_sign_in(change).await? {
        return Ok(());
    }
    let detail = "the change would leave the organization without an active owner who can sign in; give another owner a password or \
                  an identity first";
    Err(Error::new(Code::LastOwner, detail))
}
