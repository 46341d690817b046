//! Writing the queue. What the worker writes, the state of a message, is not audited: the change that queued it is.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Kind, NewMail};
use crate::app::App;
use crate::change::Change;
use crate::error::Result;
use crate::id::{self, Id, Organization, PasswordLink, User};

/// How long an instance may take to send a message.
const LEASE: TimeDelta = TimeDelta::minutes(2);

/// How long a message that was sent or has failed is kept.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Queues messages of one kind. Those without a link are tried until `until`.
pub(super) async fn queue(
    change: &mut Change,
    kind: Kind,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    mails: &[NewMail],
) -> Result<()> {
    let organization_id = change.organization_id();
    let ids: Vec<Id<id::Mail>> = mails.iter().map(|_| Id::new(now)).collect();
    let users: Vec<Id<User>> = mails.iter().map(|mail| mail.user_id).collect();
    let addresses: Vec<String> = mails.iter().map(|mail| mail.to_address.clone()).collect();
    let links: Vec<Option<Id<PasswordLink>>> = mails.iter().map(|mail| mail.link.map(|(id, _)| id)).collect();
    let ends: Vec<DateTime<Utc>> =
        mails.iter().map(|mail| mail.link.map_or(until, |(_, expires_at)| expires_at)).collect();
    sqlx::query!(
        r#"
        insert into mails (organization_id, kind, state, created_at, next_at, mail_id, user_id, to_address, link_id, expires_at)
        select $1, $2, 'queued', $3, $3, mail_id, user_id, to_address, link_id, expires_at
        from unnest($4::uuid[], $5::uuid[], $6::text[], $7::uuid[], $8::timestamptz[])
            as mail (mail_id, user_id, to_address, link_id, expires_at)
        "#,
        organization_id as Id<Organization>,
        kind.as_str(),
        now,
        &ids as &[Id<id::Mail>],
        &users as &[Id<User>],
        &addresses,
        &links as &[Option<Id<PasswordLink>>],
        &ends,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Queues a failed message again. Without a link, it is tried until `until`.
pub(super) async fn retry(change: &mut Change, mail_id: Id<id::Mail>, until: DateTime<Utc>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update mails set
            state = 'queued', attempts = 0, next_at = $3,
            expires_at = case when link_id is null then $4 else expires_at end
        where organization_id = $1 and mail_id = $2
        "#,
        organization_id as Id<Organization>,
        mail_id as Id<id::Mail>,
        now,
        until,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// A message that this instance has leased.
pub(super) struct Leased {
    pub(super) organization_id: Id<Organization>,
    pub(super) mail_id: Id<id::Mail>,
    pub(super) link_id: Option<Id<PasswordLink>>,
    pub(super) kind: String,
    pub(super) to_address: String,
    /// The number of this attempt.
    pub(super) attempts: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Leases a message by the database's clock, unless another instance has it or it is over.
pub(super) async fn lease(
    app: &App,
    organization_id: Id<Organization>,
    mail_id: Id<id::Mail>,
) -> Result<Option<Leased>> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let leased = sqlx::query_as!(
        Leased,
        r#"
        update mails set state = 'sending', attempts = attempts + 1, lease_until = $4
        where organization_id = $1 and mail_id = $2 and state in ('queued', 'sending') and next_at <= $3
            and (lease_until is null or lease_until < $3)
        returning
            organization_id as "organization_id: Id<Organization>", mail_id as "mail_id: Id<id::Mail>",
            link_id as "link_id: Id<PasswordLink>", kind, to_address, attempts, created_at, expires_at
        "#,
        organization_id as Id<Organization>,
        mail_id as Id<id::Mail>,
        now,
        now + LEASE,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(leased)
}

/// How an attempt ended.
pub(super) enum Ended {
    Sent,
    /// To be tried again after this time, unless the message expires before.
    Later(TimeDelta, String),
    Failed(String),
}

/// Ends a lease, unless it has expired and another attempt has begun. Returns the state in which the message is.
pub(super) async fn end(app: &App, leased: &Leased, ended: &Ended) -> Result<Option<String>> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let (state, next_at, reason) = match ended {
        Ended::Sent => ("sent", now, None),
        Ended::Later(after, reason) if now + *after < leased.expires_at => ("queued", now + *after, Some(reason)),
        Ended::Later(_, reason) | Ended::Failed(reason) => ("failed", now, Some(reason)),
    };
    let state = sqlx::query_scalar!(
        r#"
        update mails set
            state = $4, next_at = $5, lease_until = null, last_error = $6,
            sent_at = case when $4 = 'sent' then $7::timestamptz end
        where organization_id = $1 and mail_id = $2 and state = 'sending' and attempts = $3
        returning state
        "#,
        leased.organization_id as Id<Organization>,
        leased.mail_id as Id<id::Mail>,
        leased.attempts,
        state,
        next_at,
        reason,
        now,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(state)
}

/// Deletes up to 1,000 messages of an organization that have been over for a while, for the background work. Returns their number.
pub(crate) async fn delete_old(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let deleted = sqlx::query!(
        r#"
        delete from mails
        where organization_id = $1 and mail_id in (
            select mail_id from mails
            where organization_id = $1 and state in ('sent', 'failed') and next_at < $2
            order by mail_id
            limit 1000
            for update skip locked
        )
        "#,
        organization_id as Id<Organization>,
        now - KEPT,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected())
}
