//! Reading the queue, and the recipients of notices.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Mail, MailState, NewMail};
use crate::app::App;
use crate::change::Change;
use crate::error::Result;
use crate::id::{self, Id, Organization, PasswordLink, User};

/// The messages of an organization, newest first.
pub(super) async fn list(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    state: Option<MailState>,
    after: Option<Id<id::Mail>>,
    limit: i64,
) -> Result<Vec<Mail>> {
    Ok(sqlx::query_as!(
        Mail,
        r#"
        select
            mail_id as "mail_id: Id<id::Mail>", user_id as "user_id: Id<User>", to_address, kind,
            state as "state: MailState", attempts, next_at, last_error, created_at, sent_at
        from mails
        where organization_id = $1
            and ($2::text is null or state = $2)
            and ($3::uuid is null or mail_id < $3)
        order by mail_id desc
        limit $4
        "#,
        organization_id as Id<Organization>,
        state.map(MailState::as_str),
        after as Option<Id<id::Mail>>,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// One message.
pub(super) async fn get(change: &mut Change, mail_id: Id<id::Mail>) -> Result<Option<Mail>> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_as!(
        Mail,
        r#"
        select
            mail_id as "mail_id: Id<id::Mail>", user_id as "user_id: Id<User>", to_address, kind,
            state as "state: MailState", attempts, next_at, last_error, created_at, sent_at
        from mails
        where organization_id = $1 and mail_id = $2
        "#,
        organization_id as Id<Organization>,
        mail_id as Id<id::Mail>,
    )
    .fetch_optional(change.connection())
    .await?)
}

/// A locked message.
pub(super) struct LockedMail {
    pub(super) user_id: Id<User>,
    pub(super) state: MailState,
    /// Whether its link, if it has one, is open.
    pub(super) may_be_sent: bool,
}

/// Locks a message.
pub(super) async fn lock(change: &mut Change, mail_id: Id<id::Mail>) -> Result<Option<LockedMail>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    Ok(sqlx::query_as!(
        LockedMail,
        r#"
        select
            m.user_id as "user_id: Id<User>", m.state as "state: MailState",
            m.link_id is null or exists (
                select from password_links l
                where l.organization_id = $1 and l.link_id = m.link_id and l.used_at is null and l.revoked_at is null
                    and l.expires_at > $3
            ) as "may_be_sent!"
        from mails m
        where m.organization_id = $1 and m.mail_id = $2
        for no key update of m
        "#,
        organization_id as Id<Organization>,
        mail_id as Id<id::Mail>,
        now,
    )
    .fetch_optional(change.connection())
    .await?)
}

/// The addresses of users.
pub(super) async fn addresses(change: &mut Change, users: &[Id<User>]) -> Result<Vec<NewMail>> {
    let organization_id = change.organization_id();
    let rows = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", email from users
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| NewMail { user_id: row.user_id, to_address: row.email, link: None }).collect())
}

/// The addresses of the active owners who are people.
pub(super) async fn owners(change: &mut Change) -> Result<Vec<NewMail>> {
    let organization_id = change.organization_id();
    let rows = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", email from users
        where organization_id = $1 and status = 'active' and not is_service_account and exists (
            select from effective_owners o where o.organization_id = $1 and o.user_id = users.user_id
        )
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| NewMail { user_id: row.user_id, to_address: row.email, link: None }).collect())
}

/// Messages that are due: queued ones, and those whose instance has not ended its lease. The oldest first.
pub(super) async fn due(app: &App, limit: i64) -> Result<Vec<(Id<Organization>, Id<id::Mail>)>> {
    let due = sqlx::query!(
        r#"
        select organization_id as "organization_id: Id<Organization>", mail_id as "mail_id: Id<id::Mail>"
        from mails
        where state in ('queued', 'sending') and next_at <= $1 and (lease_until is null or lease_until < $1)
        order by next_at
        limit $2
        "#,
        app.clock.now(),
        limit,
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(due.into_iter().map(|due| (due.organization_id, due.mail_id)).collect())
}

/// The length of the queue, and since when its first message has waited.
pub(super) async fn queue(app: &App) -> Result<(i64, Option<DateTime<Utc>>)> {
    let queue = sqlx::query!(
        r#"select count(*) as "length!", min(created_at) as since from mails where state in ('queued', 'sending')"#
    )
    .fetch_one(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok((queue.length, queue.since))
}

/// The seal keys that the links of queued messages need, with the number of messages; a key once for each organization.
pub(super) async fn seal_keys(app: &App) -> Result<Vec<(Vec<u8>, i64)>> {
    let mut connection = app.reader(&app.db.interactive).await?;
    let organizations = sqlx::query_scalar!(
        r#"
        select distinct organization_id as "organization_id!: Id<Organization>"
        from mails where state in ('queued', 'sending') and link_id is not null
        "#
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut needed = Vec::new();
    for organization_id in organizations {
        let keys = sqlx::query!(
            r#"
            select l.derived_key_id as "key_id!", count(*) as "messages!"
            from mails m
            join password_links l on l.organization_id = $1 and l.link_id = m.link_id
            where m.organization_id = $1 and m.state in ('queued', 'sending') and l.derived_key_id is not null
                and l.used_at is null and l.revoked_at is null and l.expires_at > $2
            group by l.derived_key_id
            "#,
            organization_id as Id<Organization>,
            app.clock.now(),
        )
        .fetch_all(&mut *connection)
        .await?;
        needed.extend(keys.into_iter().map(|key| (key.key_id, key.messages)));
    }
    Ok(needed)
}

/// What the text of a message needs.
pub(super) struct Details {
    pub(super) organization_name: String,
    /// The key from which the secret of the link is derived.
    pub(super) derived_key_id: Option<Vec<u8>>,
    pub(super) link_expires_at: Option<DateTime<Utc>>,
    /// Whether the link can be used.
    pub(super) is_link_open: bool,
}

/// Reads what the text of a message needs.
pub(super) async fn details(
    app: &App,
    organization_id: Id<Organization>,
    link_id: Option<Id<PasswordLink>>,
) -> Result<Details> {
    Ok(sqlx::query_as!(
        Details,
        r#"
        select
            o.name as organization_name, l.derived_key_id as "derived_key_id?", l.expires_at as "link_expires_at?",
            coalesce(l.used_at is null and l.revoked_at is null and l.expires_at > $3, false) as "is_link_open!"
        from organizations o
        left join password_links l on l.organization_id = $1 and l.link_id = $2
        where o.organization_id = $1
        "#,
        organization_id as Id<Organization>,
        link_id as Option<Id<PasswordLink>>,
        app.clock.now(),
    )
    .fetch_one(&mut *app.reader(&app.db.interactive).await?)
    .await?)
}
