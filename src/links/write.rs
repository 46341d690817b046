//! Writing links.

use chrono::{DateTime, Utc};

use super::read::Candidate;
use super::{LinkKey, Purpose, Token};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, PasswordLink, User};
use crate::sessions;

/// Inserts links for locked users, and revokes the open links that they replace: all, but a link that somebody asks for replaces
/// only such a one, since everybody can ask.
pub(super) async fn create(
    change: &mut Change,
    links: &[(Token, Candidate)],
    purpose: Purpose,
    expires_at: DateTime<Utc>,
    key: Option<&LinkKey>,
) -> Result<()> {
    let (organization_id, now, actor) = (change.organization_id(), change.now(), change.actor());
    let users: Vec<Id<User>> = links.iter().map(|(_, user)| user.user_id).collect();
    let ids: Vec<Id<PasswordLink>> = links.iter().map(|(token, _)| token.id).collect();
    let secrets: Vec<Vec<u8>> = links.iter().map(|(token, _)| token.sha256().to_vec()).collect();
    sessions::revoke_links(change, &users, (purpose == Purpose::Reset).then_some(purpose)).await?;
    sqlx::query!(
        r#"
        insert into password_links
            (organization_id, purpose, created_by_kind, created_by_id, created_at, expires_at, derived_key_id, link_id,
             user_id, secret_sha256)
        select $1, $2, $3, $4, $5, $6, $10, link_id, user_id, secret_sha256
        from unnest($7::uuid[], $8::uuid[], $9::bytea[]) as link (link_id, user_id, secret_sha256)
        "#,
        organization_id as Id<Organization>,
        purpose.as_str(),
        actor.kind.as_str(),
        actor.id,
        now,
        expires_at,
        &ids as &[Id<PasswordLink>],
        &users as &[Id<User>],
        &secrets,
        key.map(|key| key.id.as_slice()),
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Marks a link as used. `false`: it was used, replaced or revoked, or has expired.
pub(super) async fn r#use(change: &mut Change, token: &Token) -> Result<bool> {
    let (organization_id, now, sha256) = (change.organization_id(), change.now(), token.sha256());
    let used = sqlx::query!(
        r#"
        update password_links set used_at = $3
        where organization_id = $1 and link_id = $2 and secret_sha256 = $4 and used_at is null and revoked_at is null
            and expires_at > $3
        "#,
        organization_id as Id<Organization>,
        token.id as Id<PasswordLink>,
        now,
        sha256.as_slice(),
    )
    .execute(change.connection())
    .await?;
    Ok(used.rows_affected() == 1)
}
