//! Starting, advancing and ending sessions.

use chrono::{DateTime, TimeDelta, Utc};

use super::{LONGEST_AGENT, NewSession, Proof};
use crate::app::App;
use crate::caller::{Principal, SessionHolder, Stage};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Id, Organization, Session, User};
use crate::links;

/// The most sessions of a user: one more ends the oldest one.
const MOST_SESSIONS: i64 = 25;

/// Why it ends.
pub(super) const TOO_MANY: &str = "too_many";

/// How long the row of a session stays after its end.
const KEPT: TimeDelta = TimeDelta::days(30);

/// The ends of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) expires_at: DateTime<Utc>,
    pub(super) idle_expires_at: DateTime<Utc>,
}

/// Locks the user, the membership and the password, in the order of all changes, inserts the session if all that was judged is
/// still so, and ends the oldest sessions of a user who then has more than [`MOST_SESSIONS`]. Returns those; `None`: it is not so.
pub(super) async fn start(
    change: &mut Change,
    session: &NewSession,
    proof: Proof,
    times: Times,
) -> Result<Option<Vec<Id<Session>>>> {
    match session.stage {
        Stage::Full => note_sign_in(change, session.user_id).await?,
        Stage::MustChange => {}
    }
    change.lock_own_membership().await?;
    let set_at = match proof {
        Proof::Password { set_at } => Some(set_at),
        Proof::Checked => None,
    };
    let (organization_id, now) = (change.organization_id(), change.now());
    let sha256 = session.token.sha256();
    let agent: Option<String> = session.client.agent.as_ref().map(|agent| agent.chars().take(LONGEST_AGENT).collect());
    let started = sqlx::query_scalar!(
        r#"
        with password as (
            select user_id from passwords
            where organization_id = $1 and user_id = $3 and set_at = $12
            for share
        ), started as (
            insert into sessions
                (organization_id, session_id, user_id, secret_sha256, stage, method, authenticated_at, created_at,
                 last_seen_at, idle_expires_at, expires_at, address, agent)
            select $1, $2, $3, $4, $5, $6, $7, $7, $7, $8, $9, $10::text::inet, $11
            from users u
            join collaborators c on c.organization_id = $1 and c.user_id = u.user_id
            where u.organization_id = $1 and u.user_id = $3 and u.status = 'active' and not u.is_service_account
                and (u.expires_at is null or u.expires_at > $7)
                and ($12::timestamptz is null or (not u.is_sso_user and exists (select from password)))
                and case $6
                    when 'recovery' then true
                    when 'sso' then not exists (
                        select from sign_in_policies p where p.organization_id = $1 and p.sso_mode = 'off'
                    )
                    else not exists (select from sso_bound_users b where b.organization_id = $1 and b.user_id = $3)
                end
            returning session_id
        ), surplus as (
            update sessions set ended_at = $7, end_reason = $13
            where organization_id = $1 and session_id in (
                -- The new one is not seen here.
                select session_id from sessions
                where organization_id = $1 and user_id = $3 and ended_at is null
                order by created_at desc, session_id desc
                offset $14
            )
            returning session_id
        )
        select array(select session_id from surplus) as "surplus!: Vec<Id<Session>>" from started
        "#,
        organization_id as Id<Organization>,
        session.token.id as Id<Session>,
        session.user_id as Id<User>,
        sha256.as_slice(),
        session.stage.as_str(),
        session.method.as_str(),
        now,
        times.idle_expires_at,
        times.expires_at,
        session.client.origin.address.map(|address| address.to_string()),
        agent,
        set_at,
        TOO_MANY,
        MOST_SESSIONS - 1,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(started)
}

/// Records on the user that they have signed in. It locks the user, which comes first in the order of locks.
pub(crate) async fn note_sign_in(change: &mut Change, user_id: Id<User>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update users set first_signed_in_at = coalesce(first_signed_in_at, $3), last_signed_in_at = $3
        where organization_id = $1 and user_id = $2
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Gives a session another secret and the stage `full`.
pub(super) async fn advance(
    change: &mut Change,
    session_id: Id<Session>,
    secret_sha256: &[u8],
    times: Times,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update sessions
        set secret_sha256 = $3, stage = 'full', authenticated_at = $4, last_seen_at = $4, idle_expires_at = $5,
            expires_at = $6
        where organization_id = $1 and session_id = $2
        "#,
        organization_id as Id<Organization>,
        session_id as Id<Session>,
        secret_sha256,
        now,
        times.idle_expires_at,
        times.expires_at,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Locks sessions and the caller's own, in the order of their IDs, so that sessions that end each other wait for each other
/// instead of deadlocking.
pub(super) async fn lock(change: &mut Change, sessions: &[Id<Session>]) -> Result<()> {
    change.lock_own_membership().await?;
    lock_rows(change, sessions, None).await
}

/// As [`lock`], for all sessions of a user. The caller's membership is locked already.
pub(super) async fn lock_all_of(change: &mut Change, user_id: Id<User>) -> Result<()> {
    lock_rows(change, &[], Some(user_id)).await
}

async fn lock_rows(change: &mut Change, sessions: &[Id<Session>], user_id: Option<Id<User>>) -> Result<()> {
    let organization_id = change.organization_id();
    let mut sessions = sessions.to_vec();
    if let Principal::Session { id, .. } = change.caller().principal {
        sessions.push(id);
    }
    sqlx::query!(
        r#"
        select from sessions
        where organization_id = $1 and (session_id = any($2) or (user_id = $3 and ended_at is null))
        order by session_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        &sessions as &[Id<Session>],
        user_id as Option<Id<User>>,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Locks all sessions of the organization that are not over, the caller's own included. The caller's membership is locked already.
pub(super) async fn lock_everyone(change: &mut Change) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        select from sessions
        where organization_id = $1 and ended_at is null and expires_at > $2 and idle_expires_at > $2
        order by session_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Ends all locked sessions of the organization, except for one. Returns their users, one for each session.
pub(super) async fn end_everyone(
    change: &mut Change,
    except: Option<Id<Session>>,
    reason: &str,
) -> Result<Vec<Id<User>>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let users = sqlx::query_scalar!(
        r#"
        update sessions set ended_at = $3, end_reason = $4
        where organization_id = $1 and ended_at is null and expires_at > $3 and idle_expires_at > $3
            and session_id is distinct from $2
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id as Id<Organization>,
        except as Option<Id<Session>>,
        now,
        reason,
    );
    Ok(users.fetch_all(change.connection()).await?)
}

/// Ends a locked session. `false` if it has ended before.
pub(super) async fn end(change: &mut Change, session_id: Id<Session>, reason: &str) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let ended = sqlx::query!(
        r#"
        update sessions set ended_at = $3, end_reason = $4
        where organization_id = $1 and session_id = $2 and ended_at is null
        "#,
        organization_id as Id<Organization>,
        session_id as Id<Session>,
        now,
        reason,
    )
    .execute(change.connection())
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends the sessions of users, except for one. Returns the number of those that were not over.
pub(super) async fn end_all(
    change: &mut Change,
    users: &[Id<User>],
    except: Option<Id<Session>>,
    reason: &str,
) -> Result<usize> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let ended = sqlx::query_scalar!(
        r#"
        update sessions set ended_at = $4, end_reason = $5
        where organization_id = $1 and user_id = any($2) and ended_at is null and session_id is distinct from $3
        returning expires_at > $4 and idle_expires_at > $4 as "was_alive!"
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        except as Option<Id<Session>>,
        now,
        reason,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(ended.into_iter().filter(|was_alive| *was_alive).count())
}

/// Ends the sessions of users, except for one, and revokes their open links. The caller has locked what the access of the users
/// rests on: their memberships or their passwords. Returns the number of sessions.
pub(crate) async fn end_access(
    change: &mut Change,
    users: &[Id<User>],
    except: Option<Id<Session>>,
    reason: &str,
) -> Result<usize> {
    revoke_links(change, users, None).await?;
    end_all(change, users, except, reason).await
}

/// Revokes the open links of users: all, or those for a purpose.
pub(crate) async fn revoke_links(change: &mut Change, users: &[Id<User>], of: Option<links::Purpose>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update password_links set revoked_at = $3
        where organization_id = $1 and user_id = any($2) and used_at is null and revoked_at is null
            and ($4::text is null or purpose = $4)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        now,
        of.map(links::Purpose::as_str),
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Records the use of a session in the background, at most once a minute. Not a [`Change`]: no caller requests it, and it has no
/// audit event.
pub(super) fn record_use(app: &App, holder: &SessionHolder) {
    if holder.stage != Stage::Full {
        return;
    }
    let (organization_id, session_id) = (holder.organization.organization_id, holder.session_id);
    let idle = TimeDelta::minutes(i64::from(app.config.sessions.idle_minutes));
    let running = app.clone();
    let record = async move {
        let (mut transaction, now) = running.begin(&running.db.interactive).await?;
        sqlx::query!(
            r#"
            update sessions set last_seen_at = $3, idle_expires_at = least(expires_at, $4)
            where organization_id = $1 and session_id = $2 and ended_at is null and last_seen_at < $3
            "#,
            organization_id as Id<Organization>,
            session_id as Id<Session>,
            now,
            now + idle,
        )
        .execute(&mut *transaction)
        .await?;
        Ok::<_, Error>(transaction.commit().await?)
    };
    drop(app.start_task(async move {
        if let Err(error) = record.await {
            tracing::warn!(error = error.chain(), "failed to record the last use of a session");
        }
    }));
}

/// Deletes up to 1,000 sessions of an organization that have been over for a while, for the background work. Returns their number.
pub(crate) async fn delete_old(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let deleted = sqlx::query!(
        r#"
        delete from sessions
        where organization_id = $1 and session_id in (
            select session_id from sessions
            where organization_id = $1 and expires_at < $2
            order by session_id
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
