//! Reading sessions.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Method, Token};
use crate::app::App;
use crate::audit::ActorRef;
use crate::caller::{
    HolderOrganization, HolderUser, InvalidSession, LastUse, PermissionLevel, Principal, SecretDigest, SessionHolder,
    SessionState, Stage,
};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, Session, User};
use crate::page::{Position, Slice, Span};

/// The result of looking a token up.
pub(super) enum Found {
    /// The token is valid.
    Holder(Arc<SessionHolder>),
    /// The token is not valid.
    Denied {
        /// The reason.
        why: InvalidSession,
        /// The session, if the secret is its secret.
        actor: ActorRef,
        /// The user of the session, likewise.
        user_id: Option<Id<User>>,
    },
}

/// Finds the session of a token, and its holder, with one query by primary keys. The database's clock decides whether the session has
/// expired: the cookie of one that has is cleared, which a machine's clock that jumps must not do.
pub(super) async fn find(app: &App, token: &Token) -> Result<Found> {
    let reading = app.clock.start_reading();
    let row = sqlx::query!(
        r#"
        select
            s.user_id as "user_id: Id<User>", s.secret_sha256, s.stage, s.authenticated_at, s.last_seen_at,
            s.idle_expires_at, s.expires_at, s.ended_at is not null as "is_ended!",
            o.name as organization_name, o.public_identifier,
            u.name, u.lastname, u.email, u.is_sso_user, u.status = 'suspended' as "is_user_suspended!",
            u.expires_at as user_expires_at,
            exists (
                select from effective_owners e where e.organization_id = $1 and e.user_id = s.user_id
            ) as "is_owner!",
            (extract(epoch from clock_timestamp()) * 1000000)::bigint as "now!"
        from sessions s
        join organizations o using (organization_id)
        join users u on u.organization_id = $1 and u.user_id = s.user_id
        join collaborators c on c.organization_id = $1 and c.user_id = s.user_id
        where s.organization_id = $1 and s.session_id = $2
        "#,
        token.organization_id as Id<Organization>,
        token.id as Id<Session>,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    let Some(row) = row.filter(|row| token.matches(&row.secret_sha256)) else {
        return Ok(Found::Denied { why: InvalidSession::UNKNOWN, actor: ActorRef::ANONYMOUS, user_id: None });
    };
    let state = SessionState {
        secret_sha256: &row.secret_sha256,
        stage: Stage::parse(&row.stage),
        idle_expires_at: row.idle_expires_at,
        expires_at: row.expires_at,
        is_ended: row.is_ended,
        is_user_suspended: row.is_user_suspended,
        user_expires_at: row.user_expires_at,
    };
    let secret = SecretDigest(token.sha256());
    let permission = if row.is_owner { PermissionLevel::Owner } else { PermissionLevel::Collaborator };
    let stage = match state.check(Some(secret), reading.finish(row.now)) {
        Ok(stage) => stage,
        Err(why) => {
            return Ok(Found::Denied { why, actor: ActorRef::session(token.id), user_id: Some(row.user_id) });
        }
    };
    Ok(Found::Holder(Arc::new(SessionHolder {
        session_id: token.id,
        stage,
        user: HolderUser { user_id: row.user_id, name: row.name, lastname: row.lastname, email: row.email },
        organization: HolderOrganization {
            organization_id: token.organization_id,
            name: row.organization_name,
            public_identifier: row.public_identifier,
        },
        permission,
        is_sso_user: row.is_sso_user,
        authenticated_at: row.authenticated_at,
        idle_expires_at: row.user_expires_at.map_or(row.idle_expires_at, |user| row.idle_expires_at.min(user)),
        expires_at: row.expires_at,
        secret,
        last_use: LastUse::new(Some(row.last_seen_at)),
    })))
}

/// A session, without its secret.
#[derive(Debug)]
pub struct SessionDetails {
    /// The session's ID.
    pub session_id: Id<Session>,
    /// The user.
    pub user_id: Id<User>,
    /// What the session may do.
    pub stage: String,
    /// How the user authenticated.
    pub method: Method,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// The latest use, with a precision of one minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// The address of the client at the sign-in.
    pub address: Option<IpAddr>,
    /// The start of the client's `User-Agent`.
    pub agent: Option<String>,
}

/// The sessions of a user that are not over, the latest first.
pub(super) async fn list(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
    now: DateTime<Utc>,
) -> Result<Vec<SessionDetails>> {
    let rows = sqlx::query!(
        r#"
        select
            session_id as "session_id: Id<Session>", stage, method as "method: Method", created_at, last_seen_at,
            expires_at, host(address) as address, agent
        from sessions
        where organization_id = $1 and user_id = $2 and ended_at is null and expires_at > $3 and idle_expires_at > $3
        order by session_id desc
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .fetch_all(connection)
    .await?;
    let details = rows.into_iter().map(|row| SessionDetails {
        session_id: row.session_id,
        user_id,
        stage: row.stage,
        method: row.method,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        expires_at: row.expires_at,
        address: row.address.and_then(|address| address.parse().ok()),
        agent: row.agent,
    });
    Ok(details.collect())
}

/// A session of a list, with its user.
#[derive(Debug)]
pub struct ListedSession {
    /// The session.
    pub session: SessionDetails,
    /// First and last name of the user.
    pub name: String,
    /// The address of the user.
    pub email: String,
}

/// The most sessions that are read for one page, also of those that are over: the rows of the latest sign-ins.
const MOST_SCANNED: i64 = 10_000;

/// Selects the part of the list after or before a session: each row, whether it is of the list, and whether it is the last one that was
/// read.
macro_rules! rows {
    ($after:literal, $order:literal, $read:expr, $organization_id:expr, $($values:expr),+ $(,)?) => {
        sqlx::query!(
            r#"
            select
                s.session_id as "session_id!: Id<Session>", s.user_id as "user_id!: Id<User>", s.stage as "stage!",
                s.method as "method!: Method", s.created_at as "created_at!", s.last_seen_at as "last_seen_at!",
                s.expires_at as "expires_at!", host(s.address) as address, s.agent as "agent?",
                u.name || coalesce(' ' || nullif(u.lastname, ''), '') as "name!", u.email,
                s.n = $4 as "is_last_scanned!", s.is_match as "is_match!"
            from (
                select
                    *, row_number() over (order by session_id "#
                + $order
                + r#") as n,
                    ended_at is null and expires_at > $3 and idle_expires_at > $3
                        and ($5::text is null or method = $5) as is_match
                from sessions
                where organization_id = $1 and ($2::uuid is null or session_id "#
                + $after
                + r#" $2)
                order by session_id "#
                + $order
                + r#"
                limit $4
            ) s
            join users u on u.organization_id = $1 and u.user_id = s.user_id
            where s.is_match or s.n = $4
            order by s.session_id "#
                + $order
                + " limit $6",
            $organization_id as Id<Organization>,
            $($values),+
        )
        .fetch_all($read)
        .await?
        .into_iter()
        .map(|row| {
            let session = SessionDetails {
                session_id: row.session_id,
                user_id: row.user_id,
                stage: row.stage,
                method: row.method,
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
                expires_at: row.expires_at,
                address: row.address.and_then(|address| address.parse().ok()),
                agent: row.agent,
            };
            let listed = ListedSession { session, name: row.name, email: row.email };
            (listed, row.is_match, row.is_last_scanned)
        })
        .collect()
    };
}

/// A part of the sessions of an organization that are not over, the latest first. It may have fewer rows than requested, because it reads
/// at most [`MOST_SCANNED`]: the next page begins where the reading ended.
pub(super) async fn page(
    read: &mut PgConnection,
    organization_id: Id<Organization>,
    method: Option<Method>,
    span: &Span,
    now: DateTime<Utc>,
) -> Result<Slice<ListedSession>> {
    let start = span.start().map(|start| start.id);
    let method = method.map(Method::as_str);
    let rows: Vec<(ListedSession, bool, bool)> = match span.is_backward() {
        false => rows!("<", "desc", read, organization_id, start, now, MOST_SCANNED, method, span.limit()),
        true => rows!(">", "asc", read, organization_id, start, now, MOST_SCANNED, method, span.limit()),
    };
    let position = |listed: &ListedSession| Position::new("", listed.session.session_id);
    let searched = rows.iter().find(|(.., is_last_scanned)| *is_last_scanned).map(|(listed, ..)| position(listed));
    let found = rows.into_iter().filter(|(_, is_match, _)| *is_match).map(|(listed, ..)| listed).collect();
    Ok(Slice::new(span, found, searched, position))
}

/// The user of a session.
pub(super) async fn user_of(change: &mut Change, session_id: Id<Session>) -> Result<Option<Id<User>>> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_scalar!(
        r#"select user_id as "user_id: Id<User>" from sessions where organization_id = $1 and session_id = $2"#,
        organization_id as Id<Organization>,
        session_id as Id<Session>,
    )
    .fetch_optional(change.connection())
    .await?)
}

impl SessionDetails {
    /// Whether this is the session of the caller.
    #[must_use]
    pub fn is_of(&self, principal: Principal) -> bool {
        matches!(principal, Principal::Session { id, .. } if id == self.session_id)
    }
}
