//! Writing invitations.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::NewInvitation;
use crate::app::App;
use crate::audit::Event;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Invitation, Organization, User};
use crate::users::{Expiry, Line, Name};

/// Inserts invitations for different addresses and invalidates the open invitations that they replace.
pub(super) async fn create(change: &mut Change, invitations: &[&NewInvitation]) -> Result<()> {
    if invitations.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = invitations.iter().map(|one| one.invitee.email.key()).collect();
    let mut replaced = replace(change, &keys).await?;
    let (organization_id, now) = (change.organization_id(), change.now());
    let actor = change.actor();
    let ids: Vec<Id<Invitation>> = invitations.iter().map(|one| one.invitation_id).collect();
    let emails: Vec<&str> = invitations.iter().map(|one| one.invitee.email.as_str()).collect();
    let levels: Vec<&str> = invitations.iter().map(|one| one.invitee.permission_level.as_str()).collect();
    let secrets: Vec<Vec<u8>> = invitations.iter().map(|one| one.token.sha256().to_vec()).collect();
    let expires_at: Vec<_> = invitations.iter().map(|one| one.expires_at).collect();
    let account_expiries: Vec<Option<DateTime<Utc>>> =
        invitations.iter().map(|one| one.invitee.account_expires_at.map(Expiry::time)).collect();
    let details = || invitations.iter().map(|one| &one.invitee.details);
    let names: Vec<Option<&str>> = details().map(|details| details.name.as_ref().map(Name::as_str)).collect();
    let lastnames: Vec<Option<&str>> = details().map(|details| details.lastname.as_ref().map(Line::as_str)).collect();
    let titles: Vec<Option<&str>> = details().map(|details| details.title.as_ref().map(Line::as_str)).collect();
    sqlx::query!(
        r#"
        insert into invitations
            (organization_id, invited_by_kind, invited_by_id, created_at,
             invitation_id, email, email_key, permission_level, secret_sha256, expires_at, name, lastname, title,
             account_expires_at)
        select
            $1, $2, $3, $4, invitation_id, email, email_key, permission_level, secret_sha256, expires_at, name, lastname,
            title, account_expires_at
        from unnest(
            $5::uuid[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::timestamptz[], $11::text[], $12::text[],
            $13::text[], $14::timestamptz[]
        ) as invited (
            invitation_id, email, email_key, permission_level, secret_sha256, expires_at, name, lastname, title,
            account_expires_at
        )
        "#,
        organization_id as Id<Organization>,
        actor.kind.as_str(),
        actor.id,
        now,
        &ids[..] as &[Id<Invitation>],
        &emails as &[&str],
        &keys as &[&str],
        &levels as &[&str],
        &secrets,
        &expires_at,
        &names as &[Option<&str>],
        &lastnames as &[Option<&str>],
        &titles as &[Option<&str>],
        &account_expiries as &[Option<DateTime<Utc>>],
    )
    .execute(change.connection())
    .await?;
    for one in invitations {
        let event = Event::InvitationCreated {
            invitation_id: one.invitation_id,
            permission_level: one.invitee.permission_level,
            expires_at: one.expires_at,
            replaces: replaced.remove(one.invitee.email.key()),
        };
        change.record_about(event, one.invitee.email.key());
    }
    Ok(())
}

/// Invalidates the open invitations of these addresses, which are locked, and returns their IDs by address.
async fn replace(change: &mut Change, keys: &[&str]) -> Result<HashMap<String, Id<Invitation>>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let replaced = sqlx::query!(
        r#"
        update invitations set invalidated_at = $3
        where organization_id = $1 and email_key = any($2) and accepted_at is null and invalidated_at is null
        returning email_key, invitation_id as "invitation_id: Id<Invitation>"
        "#,
        organization_id as Id<Organization>,
        keys as &[&str],
        now,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(replaced.into_iter().map(|row| (row.email_key, row.invitation_id)).collect())
}

/// Revokes a locked, open invitation.
pub(super) async fn invalidate(change: &mut Change, invitation_id: Id<Invitation>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        "update invitations set invalidated_at = $3 where organization_id = $1 and invitation_id = $2",
        organization_id as Id<Organization>,
        invitation_id as Id<Invitation>,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Marks a locked, open invitation as accepted by a user.
pub(super) async fn accept(change: &mut Change, invitation_id: Id<Invitation>, user_id: Id<User>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        "update invitations set accepted_at = $3, user_id = $4 where organization_id = $1 and invitation_id = $2",
        organization_id as Id<Organization>,
        invitation_id as Id<Invitation>,
        now,
        user_id as Id<User>,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::InvitationAccepted { invitation_id, user_id });
    Ok(())
}

/// Counts an attempt to accept an invitation. Returns the number of attempts in the span that `span` limits, and when it
/// began. Not a [`Change`]: an attempt changes nothing that the audit log is about.
pub(super) async fn count_attempt(
    app: &App,
    organization_id: Id<Organization>,
    invitation_id: Id<Invitation>,
    span: TimeDelta,
) -> Result<Option<(i32, DateTime<Utc>)>> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let counted = sqlx::query!(
        r#"
        update invitations
        set attempts = case when attempts_since > $4 then attempts + 1 else 1 end,
            attempts_since = case when attempts_since > $4 then attempts_since else $3 end
        where organization_id = $1 and invitation_id = $2
        returning attempts, attempts_since as "attempts_since!"
        "#,
        organization_id as Id<Organization>,
        invitation_id as Id<Invitation>,
        now,
        now - span,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(counted.map(|row| (row.attempts, row.attempts_since)))
}
