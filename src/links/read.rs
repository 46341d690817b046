//! Reading links, and the users who can get one.

use chrono::{DateTime, Utc};

use super::{Purpose, Token};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Batch, Id, Organization, User};
use crate::users;

/// A user who may get a link.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) user_id: Id<User>,
    pub(crate) email: String,
    pub(crate) email_key: String,
    name: String,
    lastname: Option<String>,
    is_sso_user: bool,
    is_service_account: bool,
    is_suspended: bool,
    is_bound_to_sso: bool,
    expires_at: Option<DateTime<Utc>>,
    /// Whether the user has a password that does not have to be changed: chosen, or imported.
    pub(super) has_own_password: bool,
    /// The level of the user, own or through a group.
    pub(crate) permission_level: PermissionLevel,
}

impl Candidate {
    /// Why the user can't use a link: the code of a finding, and the message.
    pub(crate) fn unable(&self, purpose: Purpose, now: DateTime<Utc>) -> Option<(&'static str, &'static str)> {
        if self.is_service_account {
            return Some(("service_account", "is a service account, which signs in with API keys only"));
        }
        if self.is_suspended {
            return Some(("suspended", "is suspended; reactivate the user first"));
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Some(("expired", "the account has expired; set a later expiry first"));
        }
        if self.is_sso_user && purpose != Purpose::Recover {
            return Some(("sso_user", "signs in through the identity provider and has no password here"));
        }
        if self.is_bound_to_sso && purpose != Purpose::Recover {
            return Some(("sso_required", "must sign in through the identity provider: the organization requires it"));
        }
        None
    }

    pub(crate) fn full_name(&self) -> String {
        match &self.lastname {
            Some(lastname) => format!("{} {lastname}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Locks users, so that requests for the same ones replace each other's links one after the other, and reads them with a later
/// statement: the one that waits for a lock does not see what was committed meanwhile. Returns those that exist.
pub(crate) async fn lock(change: &mut Change, users: &[Id<User>]) -> Result<Vec<Candidate>> {
    users::lock::rows(change, users).await?;
    let organization_id = change.organization_id();
    let rows = sqlx::query!(
        r#"
        select
            user_id as "user_id: Id<User>", email, email_key, name, lastname, is_sso_user, is_service_account,
            status = 'suspended' as "is_suspended!", expires_at,
            exists (
                select from sso_bound_users b where b.organization_id = $1 and b.user_id = users.user_id
            ) as "is_bound_to_sso!",
            exists (
                select from passwords p
                where p.organization_id = $1 and p.user_id = users.user_id and not p.must_change
            ) as "has_own_password!",
            exists (
                select from effective_owners o where o.organization_id = $1 and o.user_id = users.user_id
            ) as "is_owner!"
        from users
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?;
    let candidates = rows.into_iter().map(|row| Candidate {
        user_id: row.user_id,
        email: row.email,
        email_key: row.email_key,
        name: row.name,
        lastname: row.lastname,
        is_sso_user: row.is_sso_user,
        is_service_account: row.is_service_account,
        is_suspended: row.is_suspended,
        is_bound_to_sso: row.is_bound_to_sso,
        expires_at: row.expires_at,
        has_own_password: row.has_own_password,
        permission_level: if row.is_owner { PermissionLevel::Owner } else { PermissionLevel::Collaborator },
    });
    Ok(candidates.collect())
}

/// The users of a batch, in its order. `None`: there is no such batch.
pub(super) async fn of_batch(change: &mut Change, batch_id: Id<Batch>) -> Result<Option<Vec<Id<User>>>> {
    let organization_id = change.organization_id();
    let exists = sqlx::query_scalar!(
        r#"select exists (select from batches where organization_id = $1 and batch_id = $2) as "exists!""#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_one(change.connection())
    .await?;
    if !exists {
        return Ok(None);
    }
    let ids = sqlx::query_scalar!(
        r#"
        select user_id as "user_id: Id<User>" from users
        where organization_id = $1 and batch_id = $2
        order by user_id
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(Some(ids))
}

/// The link that a token names. The secret has not been verified.
pub(super) struct StoredLink {
    pub(super) user_id: Id<User>,
    pub(super) purpose: Purpose,
    pub(super) secret_sha256: Vec<u8>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) used_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) organization_name: String,
    pub(super) email: String,
    pub(super) is_sso_user: bool,
    pub(super) is_bound_to_sso: bool,
    pub(super) is_suspended: bool,
    /// The time at the database, in microseconds since 1970.
    pub(super) read_at: i64,
}

/// Finds the link that a token names, by its primary key.
pub(super) async fn find(app: &App, token: &Token) -> Result<Option<StoredLink>> {
    Ok(sqlx::query_as!(
        StoredLink,
        r#"
        select
            l.user_id as "user_id: Id<User>", l.purpose as "purpose: Purpose", l.secret_sha256, l.expires_at, l.used_at,
            l.revoked_at, o.name as organization_name, u.email, u.is_sso_user, u.status = 'suspended' as "is_suspended!",
            exists (
                select from sso_bound_users b where b.organization_id = $1 and b.user_id = l.user_id
            ) as "is_bound_to_sso!",
            (extract(epoch from clock_timestamp()) * 1000000)::bigint as "read_at!"
        from password_links l
        join organizations o using (organization_id)
        join users u on u.organization_id = $1 and u.user_id = l.user_id
        where l.organization_id = $1 and l.link_id = $2
        "#,
        token.organization_id as Id<Organization>,
        token.id as Id<crate::id::PasswordLink>,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?)
}
