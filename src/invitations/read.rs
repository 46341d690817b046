//! Reading invitations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Token;
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Id, Invitation, Organization, User};
use crate::page::{Page, PageRequest};
use crate::users::EmailAddress;

/// An invitation, without its secret.
#[derive(Debug)]
pub struct InvitationDetails {
    /// The ID of the invitation.
    pub invitation_id: Id<Invitation>,
    /// The organization of the future membership.
    pub organization_id: Id<Organization>,
    /// The invited address as it was entered.
    pub email: String,
    /// The level of the future membership.
    pub permission_level: PermissionLevel,
    /// When the invitation was created.
    pub created_at: DateTime<Utc>,
    /// When the invitation expires.
    pub expires_at: DateTime<Utc>,
    /// When the account was created.
    pub accepted_at: Option<DateTime<Utc>>,
    /// When the invitation was revoked or replaced.
    pub invalidated_at: Option<DateTime<Utc>>,
    /// The user that was created.
    pub user_id: Option<Id<User>>,
}

/// Selects invitations: `$condition` completes the `where` clause. `$1` is the organization.
macro_rules! invitations {
    ($condition:literal, $($values:tt)+) => {
        sqlx::query_as!(
            InvitationDetails,
            r#"
            select
                invitation_id as "invitation_id: Id<Invitation>", organization_id as "organization_id: Id<Organization>",
                email, permission_level as "permission_level: PermissionLevel", created_at, expires_at, accepted_at,
                invalidated_at, user_id as "user_id: Id<User>"
            from invitations
            where organization_id = $1 and
            "# + $condition,
            $($values)+
        )
    };
}

/// Lists the open invitations, oldest first, or the one for an address. Without a page, all of them, because the commands
/// of the vendor's client expect all invitations in one response.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn list(
    app: &App,
    caller: &Caller,
    email: Option<&str>,
    page: Option<&PageRequest<Invitation>>,
) -> Result<Page<InvitationDetails>> {
    let mut read = app.read(caller, Action::InvitationList).await?;
    let email_key = match email.map(EmailAddress::parse) {
        None => None,
        Some(Ok(address)) => Some(address.key().to_owned()),
        Some(Err(_)) => return Ok(Page { rows: Vec::new(), next: None }),
    };
    let invitations = invitations!(
        r#"
        accepted_at is null and invalidated_at is null and expires_at > $2 and ($3::text is null or email_key = $3)
        and ($4::uuid is null or invitation_id > $4)
        order by invitation_id
        limit $5
        "#,
        caller.organization_id as Id<Organization>,
        app.clock.now(),
        email_key,
        page.and_then(|page| page.after) as Option<Id<Invitation>>,
        page.map(PageRequest::limit),
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(match page {
        Some(page) => Page::new(page, invitations, |invitation| invitation.invitation_id),
        None => Page { rows: invitations, next: None },
    })
}

/// The open invitations, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenCount {
    /// All of them.
    pub open: i64,
    /// Those that end soon.
    pub ending: i64,
}

/// Counts the open invitations, and those that end before a time.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn count_open(app: &App, caller: &Caller, ending_before: DateTime<Utc>) -> Result<OpenCount> {
    let mut read = app.read(caller, Action::InvitationList).await?;
    let count = sqlx::query_as!(
        OpenCount,
        r#"
        select count(*) as "open!", count(*) filter (where expires_at < $3) as "ending!"
        from invitations
        where organization_id = $1 and accepted_at is null and invalidated_at is null and expires_at > $2
        "#,
        caller.organization_id as Id<Organization>,
        app.clock.now(),
        ending_before,
    );
    Ok(count.fetch_one(&mut *read).await?)
}

/// Reads an invitation in any state.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, invitation_id: Id<Invitation>) -> Result<InvitationDetails> {
    let mut read = app.read(caller, Action::InvitationList).await?;
    invitations!("invitation_id = $2", caller.organization_id as Id<Organization>, invitation_id as Id<Invitation>)
        .fetch_optional(&mut *read)
        .await?
        .ok_or_else(|| Error::not_found("invitation", invitation_id))
}

/// Locks an invitation.
pub(super) async fn lock(change: &mut Change, invitation_id: Id<Invitation>) -> Result<Option<InvitationDetails>> {
    let organization_id = change.organization_id();
    let invitation = invitations!(
        "invitation_id = $2 for update",
        organization_id as Id<Organization>,
        invitation_id as Id<Invitation>
    );
    Ok(invitation.fetch_optional(change.connection()).await?)
}

/// An invitation that was neither accepted nor revoked nor replaced.
#[derive(Debug)]
pub struct OpenInvitation {
    /// The ID of the invitation.
    pub invitation_id: Id<Invitation>,
    /// The invited address as it was entered.
    pub email: String,
    /// The level of the future membership.
    pub permission_level: PermissionLevel,
    /// When the invitation expires.
    pub expires_at: DateTime<Utc>,
}

/// Locks the open invitations of these addresses, expired ones included. Returns them by the keys of the addresses.
pub(super) async fn lock_open(change: &mut Change, keys: &[&str]) -> Result<HashMap<String, OpenInvitation>> {
    let organization_id = change.organization_id();
    let open = sqlx::query!(
        r#"
        select
            email_key, invitation_id as "invitation_id: Id<Invitation>", email,
            permission_level as "permission_level: PermissionLevel", expires_at
        from invitations
        where organization_id = $1 and email_key = any($2) and accepted_at is null and invalidated_at is null
        order by invitation_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        keys as &[&str],
    )
    .fetch_all(change.connection())
    .await?;
    let by_key = open.into_iter().map(|row| {
        let open = OpenInvitation {
            invitation_id: row.invitation_id,
            email: row.email,
            permission_level: row.permission_level,
            expires_at: row.expires_at,
        };
        (row.email_key, open)
    });
    Ok(by_key.collect())
}

/// The invitation that a link names. The secret of the link has not been verified.
pub(super) struct LinkedInvitation {
    pub(super) organization_name: String,
    pub(super) email: String,
    pub(super) permission_level: PermissionLevel,
    pub(super) name: Option<String>,
    pub(super) lastname: Option<String>,
    pub(super) title: Option<String>,
    pub(super) account_expires_at: Option<DateTime<Utc>>,
    pub(super) secret_sha256: Vec<u8>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) accepted_at: Option<DateTime<Utc>>,
    pub(super) invalidated_at: Option<DateTime<Utc>>,
    pub(super) attempts: i32,
    pub(super) attempts_since: Option<DateTime<Utc>>,
}

/// Finds the invitation that a link names, by its primary key.
pub(super) async fn find(app: &App, token: &Token) -> Result<Option<LinkedInvitation>> {
    let found = sqlx::query_as!(
        LinkedInvitation,
        r#"
        select
            o.name as organization_name, i.email, i.permission_level as "permission_level: PermissionLevel",
            i.name, i.lastname, i.title, i.account_expires_at, i.secret_sha256, i.expires_at, i.accepted_at, i.invalidated_at, i.attempts, i.attempts_since
        from invitations i
        join organizations o using (organization_id)
        where i.organization_id = $1 and i.invitation_id = $2
        "#,
        token.organization_id as Id<Organization>,
        token.id as Id<Invitation>,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(found)
}
