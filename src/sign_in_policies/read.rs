//! Reading policies.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{OwnersSso, SignInInfo, SignInPolicy, SsoMode};
use crate::app::App;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, SsoProvider, User};

/// The policy of an organization.
pub(crate) async fn current(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<SignInPolicy> {
    let row = sqlx::query!(
        r#"
        select sso_mode as "sso_mode: SsoMode", owners_sso as "owners_sso: OwnersSso", changed_at
        from sign_in_policies where organization_id = $1
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or_else(SignInPolicy::default, |row| SignInPolicy {
        sso_mode: row.sso_mode,
        owners_sso: row.owners_sso,
        changed_at: Some(row.changed_at),
    }))
}

/// The policy of the organization with an ID or a short name, or of the only one.
pub(super) async fn of_organization(app: &App, organization: Option<&str>) -> Result<SignInPolicy> {
    let id = organization.and_then(|text| text.parse::<Id<Organization>>().ok());
    let mut connection = app.reader(&app.db.reserved).await?;
    let found = sqlx::query_scalar!(
        r#"
        select organization_id as "organization_id: Id<Organization>" from organizations
        where ($1::text is null or public_identifier = $1 or organization_id = $2)
        order by organization_id
        limit 2
        "#,
        organization,
        id as Option<Id<Organization>>,
    )
    .fetch_all(&mut *connection)
    .await?;
    match *found {
        [organization_id] => current(&mut connection, organization_id).await,
        _ => Ok(SignInPolicy::default()),
    }
}

/// Whether the policy binds a user to single sign-on.
pub(crate) async fn is_bound(app: &App, organization_id: Id<Organization>, user_id: Id<User>) -> Result<bool> {
    let is_bound = sqlx::query_scalar!(
        r#"
        select exists (
            select from sso_bound_users where organization_id = $1 and user_id = $2
        ) as "is_bound!"
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_one(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(is_bound)
}

pub(super) async fn info(
    app: &App,
    organization_id: Id<Organization>,
    user_id: Option<Id<User>>,
) -> Result<SignInInfo> {
    let row = sqlx::query!(
        r#"
        select
            exists (
                select from passwords where organization_id = $1 and user_id = $2
            ) as "has_password!",
            (select sso_mode from sign_in_policies where organization_id = $1) as "sso_mode: SsoMode",
            (
                select provider_id from sso_providers
                where organization_id = $1 and disabled_at is null
                order by name
                limit 1
            ) as "provider_id: Id<SsoProvider>"
        "#,
        organization_id as Id<Organization>,
        user_id as Option<Id<User>>,
    )
    .fetch_one(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(SignInInfo {
        has_password: row.has_password,
        sso_mode: row.sso_mode.unwrap_or_default(),
        provider_id: row.provider_id,
    })
}

/// Whether an owner who can sign in has done so through an enabled provider since then.
pub(super) async fn has_owner_with_recent_sso(change: &mut Change, since: DateTime<Utc>) -> Result<bool> {
    let organization_id = change.organization_id();
    let has_one = sqlx::query_scalar!(
        r#"
        select exists (
            select from owners_who_sign_in where organization_id = $1 and last_sso_at > $2
        ) as "has_one!"
        "#,
        organization_id as Id<Organization>,
        since,
    )
    .fetch_one(change.connection())
    .await?;
    Ok(has_one)
}
