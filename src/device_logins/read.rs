//! Reading approvals.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Otp;
use crate::app::App;
use crate::caller::{PermissionLevel, Principal, Scopes, SecretDigest};
use crate::error::Result;
use crate::id::{ApiKey, Id, Organization, User};

/// The user and the permissions that a login's key gets.
#[derive(Debug)]
pub(super) struct Approval {
    pub(super) user_id: Option<Id<User>>,
    pub(super) permission_level: PermissionLevel,
    pub(super) scopes: Scopes,
}

/// A login with an approval.
pub(super) struct Login {
    pub(super) organization_id: Id<Organization>,
    pub(super) user_id: Option<Id<User>>,
    /// The approver, with the permissions at the time of approval.
    pub(super) approved_by: Principal,
    pub(super) is_fetched: bool,
    /// Whether the approving key and its secret are still valid and the user is active.
    pub(super) is_valid: bool,
}

/// Finds the approval of a one-time password in all organizations: the client does not know the approver's.
pub(super) async fn approved(app: &App, otp: &Otp) -> Result<Option<Login>> {
    let now: DateTime<Utc> = app.clock.now();
    let row = sqlx::query!(
        r#"
        select
            a.organization_id as "organization_id: Id<Organization>", a.user_id as "user_id: Id<User>",
            a.permission_level as "permission_level: PermissionLevel", a.scopes,
            a.approved_by_id as "approved_by_id: Id<ApiKey>", a.fetched_at is not null as "is_fetched!",
            a.approved_by_secret_sha256 as secret_sha256,
            coalesce(
                k.revoked_at is null and k.expires_at > $2 and (
                    a.approved_by_secret_sha256 is null or a.approved_by_secret_sha256 = k.secret_sha256
                    or (a.approved_by_secret_sha256 = k.previous_secret_sha256 and k.previous_expires_at > $2)
                ),
                false
            ) as "is_key_valid!",
            coalesce(u.status <> 'suspended', false) as "is_user_active!"
        from login_approvals a
        left join api_keys k on k.organization_id = a.organization_id and k.key_id = a.approved_by_id
        left join users u on u.organization_id = a.organization_id and u.user_id = a.user_id
        where a.otp_sha256 = $1 and a.expires_at > $2
        "#,
        otp.sha256.as_slice(),
        now,
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(row.map(|row| Login {
        organization_id: row.organization_id,
        user_id: row.user_id,
        is_fetched: row.is_fetched,
        is_valid: (row.approved_by_id.is_none() || row.is_key_valid) && (row.user_id.is_none() || row.is_user_active),
        approved_by: match row.approved_by_id {
            None => Principal::Operator,
            Some(id) => Principal::ApiKey {
                id,
                user_id: row.user_id,
                permission: row.permission_level,
                scopes: Scopes::from_database(row.scopes.as_deref()),
                secret: row.secret_sha256.and_then(|sha256| Some(SecretDigest(sha256.try_into().ok()?))),
            },
        },
    }))
}

/// Whether the user exists and is not suspended.
pub(super) async fn is_active(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<bool> {
    let is_active = sqlx::query_scalar!(
        r#"
        select exists (
            select from users where organization_id = $1 and user_id = $2 and status <> 'suspended'
        ) as "is_active!"
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_active)
}
