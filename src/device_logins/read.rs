//! Finding approvals.

use chrono::{DateTime, Utc};

use super::Otp;
use crate::app::App;
use crate::caller::{PermissionLevel, Principal, Scopes};
use crate::error::Result;
use crate::id::{ApiKey, Id, Organization, User};

/// What was approved.
#[derive(Debug)]
pub(super) struct Approval {
    /// Who will act; `None`: the key for itself.
    pub(super) user_id: Option<Id<User>>,
    pub(super) permission_level: PermissionLevel,
    pub(super) scopes: Scopes,
}

/// An approval that waits to be fetched.
pub(super) struct Pending {
    pub(super) organization_id: Id<Organization>,
    /// Who approved.
    pub(super) approved_by: Principal,
    /// Whether its key has been given out.
    pub(super) is_spent: bool,
    /// Whether whoever approved, and whoever will act, are still let in.
    pub(super) still_holds: bool,
}

/// Finds the approval of a one-time password. By that alone: whoever shows it does not know the organization, which
/// is what this finds.
pub(super) async fn pending(app: &App, otp: &Otp) -> Result<Option<Pending>> {
    let now: DateTime<Utc> = app.clock.now();
    let row = sqlx::query!(
        r#"
        select
            a.organization_id as "organization_id: Id<Organization>", a.user_id as "user_id: Id<User>",
            a.permission_level, a.scopes, a.approved_by_id as "approved_by_id: Id<ApiKey>",
            a.fetched_at, k.revoked_at as "revoked_at?", k.expires_at as "key_expires_at?", u.status as "status?"
        from login_approvals a
        left join api_keys k on k.organization_id = a.organization_id and k.key_id = a.approved_by_id
        left join users u on u.organization_id = a.organization_id and u.user_id = a.user_id
        where a.otp_sha256 = $1 and a.expires_at > $2
        "#,
        otp.sha256.as_slice(),
        now,
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    Ok(row.map(|row| {
        let lives = row.revoked_at.is_none() && row.key_expires_at.is_some_and(|expires_at| expires_at > now);
        Pending {
            organization_id: row.organization_id,
            is_spent: row.fetched_at.is_some(),
            still_holds: (row.approved_by_id.is_none() || lives) && row.status.as_deref() != Some("suspended"),
            approved_by: match row.approved_by_id {
                None => Principal::Operator,
                Some(id) => Principal::ApiKey {
                    id,
                    user_id: row.user_id,
                    permission: PermissionLevel::from_database(&row.permission_level),
                    scopes: Scopes::from_database(row.scopes.as_deref()),
                },
            },
        }
    }))
}
