//! Finding invitations.

use chrono::{DateTime, Utc};

use super::Token;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Invitation, Organization};
use crate::users::EmailAddress;

/// An invitation as owners see it.
#[derive(Debug)]
pub struct Summary {
    /// Which.
    pub invitation_id: Id<Invitation>,
    /// To which organization.
    pub organization_id: Id<Organization>,
    /// For whom, as it was written.
    pub email: String,
    /// `owner` or `collaborator`.
    pub permission_level: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When it became an account.
    pub accepted_at: Option<DateTime<Utc>>,
}

/// Lists all invitations that can be accepted, oldest first, or the one for an address. The vendor's client takes one
/// answer for all there are, so there are no pages.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn list(app: &App, caller: &Caller, email: Option<&str>) -> Result<Vec<Summary>> {
    let mut read = app.read(caller, Action::InvitationList).await?;
    let email_key = match email.map(EmailAddress::parse) {
        None => None,
        Some(Ok(address)) => Some(address.key().to_owned()),
        Some(Err(_)) => return Ok(Vec::new()),
    };
    let invitations = sqlx::query_as!(
        Summary,
        r#"
        select
            invitation_id as "invitation_id: Id<Invitation>", organization_id as "organization_id: Id<Organization>",
            email, permission_level, created_at, expires_at, accepted_at
        from invitations
        where organization_id = $1 and accepted_at is null and invalidated_at is null and expires_at > $2
            and ($3::text is null or email_key = $3)
        order by invitation_id
        "#,
        caller.organization_id.uuid(),
        app.clock.now(),
        email_key,
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(invitations)
}

/// An invitation, and when it was taken back or replaced. Locked until the change ends.
pub(super) async fn locked(
    change: &mut Change,
    invitation_id: Id<Invitation>,
) -> Result<Option<(Summary, Option<DateTime<Utc>>)>> {
    let organization_id = change.organization_id();
    let row = sqlx::query!(
        r#"
        select email, permission_level, created_at, expires_at, accepted_at, invalidated_at
        from invitations
        where organization_id = $1 and invitation_id = $2
        for update
        "#,
        organization_id.uuid(),
        invitation_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| {
        let summary = Summary {
            invitation_id,
            organization_id,
            email: row.email,
            permission_level: row.permission_level,
            created_at: row.created_at,
            expires_at: row.expires_at,
            accepted_at: row.accepted_at,
        };
        (summary, row.invalidated_at)
    }))
}

/// What the database says of a link.
pub(super) struct Found {
    pub(super) organization_name: String,
    pub(super) email: String,
    pub(super) permission_level: String,
    pub(super) secret_sha256: Vec<u8>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) accepted_at: Option<DateTime<Utc>>,
    pub(super) invalidated_at: Option<DateTime<Utc>>,
}

/// Finds the invitation of a link, by its primary key.
pub(super) async fn find(app: &App, token: &Token) -> Result<Option<Found>> {
    let found = sqlx::query_as!(
        Found,
        r#"
        select
            o.name as organization_name, i.email, i.permission_level, i.secret_sha256, i.expires_at, i.accepted_at,
            i.invalidated_at
        from invitations i
        join organizations o using (organization_id)
        where i.organization_id = $1 and i.invitation_id = $2
        "#,
        token.organization_id.uuid(),
        token.id.uuid(),
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    Ok(found)
}
