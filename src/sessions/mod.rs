//! Sessions: browsers, and programs with a cookie, that have authenticated as a user.
//!
//! The token of a session is in a cookie; the database has the SHA-256 of its secret. A session has a [`Stage`], and only
//! [`Stage::Full`] is a caller of operations. Each change of the stage replaces the secret, so that a cookie from before is
//! worth nothing.
//!
//! # Decisions
//!
//! *What was judged is judged again when the session is written.* Between the verification of a password and the insert, the
//! user can be suspended, or the password changed. `start` therefore locks and re-reads both, and with them all that the access of
//! the new session rests on: the commit has nothing left to confirm ([`crate::change`]).
//!
//! *Ending the sessions of a user revokes the user's open links, too* (`end_access`): both are ways in that a suspension or a new
//! password must close. API keys stay: programs use them, and they have owners who rotate them.
//!
//! *A session that is over stays for 30 days*, so that administrators can see where somebody was signed in.

mod agent;
mod everyone;
mod read;
mod write;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::audit::{Attribution, Event, Target};
use crate::caller::{Action, Caller, Origin, PermissionLevel, Principal, SecretDigest, SessionHolder, Stage};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, Session, User};
use crate::names::names;
use crate::secret::Secret;
use crate::token;

pub use agent::browser;
pub use everyone::{EndedSessions, browse, end_everyone, list_key};
pub use read::{ListedSession, SessionDetails};
pub(crate) use write::{delete_old, end_access, note_sign_in, revoke_links};

use read::Found;

/// The token of a session.
pub type Token = token::Token<Session>;

names! {
    /// How the user of a session authenticated.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Method {
        /// With a password.
        Password = "password",
        /// Through the organization's identity provider.
        Sso = "sso",
        /// With a passkey. Reserved for a later version.
        Passkey = "passkey",
        /// With a link, by setting a password.
        Link = "link",
        /// With a link of the local operator, which skips single sign-on.
        Recovery = "recovery",
    }
}

/// The longest part of a `User-Agent` that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// How long a session that is not yet [`Stage::Full`] lives.
const UNFINISHED: TimeDelta = TimeDelta::minutes(10);

/// How long a session of a recovery link lives.
const RECOVERY: TimeDelta = TimeDelta::hours(1);

/// The client that signs in.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The request.
    pub origin: Origin,
    /// Its `User-Agent`.
    pub agent: Option<String>,
}

/// A session with a new secret: it was just started, or has reached another stage.
#[derive(Debug)]
pub struct StartedSession {
    /// The session's ID.
    pub session_id: Id<Session>,
    /// The user.
    pub user_id: Id<User>,
    /// The organization.
    pub organization_id: Id<Organization>,
    /// What the session may do.
    pub stage: Stage,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// The token for the cookie. It is not stored and can only be shown now.
    pub token: Secret,
}

/// A session that is about to be started, by the caller that it will be.
#[derive(Debug)]
pub(crate) struct NewSession {
    token: Token,
    user_id: Id<User>,
    method: Method,
    stage: Stage,
    client: Client,
    /// The name of the identity provider.
    provider: Option<String>,
}

impl NewSession {
    pub(crate) fn new(
        app: &App,
        organization_id: Id<Organization>,
        user_id: Id<User>,
        (method, stage): (Method, Stage),
        client: &Client,
    ) -> Self {
        let token = Token::generate(organization_id, Id::new(app.clock.now()));
        Self { token, user_id, method, stage, client: client.clone(), provider: None }
    }

    /// The session of a sign-in through an identity provider.
    pub(crate) fn through(self, provider: &str) -> Self {
        Self { provider: Some(provider.to_owned()), ..self }
    }

    /// The caller of the change that starts the session: the session itself. It can do nothing unless the session is written in
    /// the same change, because otherwise the commit confirms its access.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            organization_id: self.token.organization_id,
            principal: Principal::Session {
                id: self.token.id,
                user_id: self.user_id,
                stage: self.stage,
                permission: PermissionLevel::Collaborator,
                is_fresh: true,
                secret: Some(SecretDigest(self.token.sha256())),
            },
            origin: self.client.origin,
        }
    }
}

/// What the user proved, which must still be so when the session is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// The password that was set at this time.
    Password { set_at: DateTime<Utc> },
    /// Possession of a link, or control of an identity, which the same change has checked under lock.
    Checked,
}

/// Starts a session in the change of its own caller ([`NewSession::caller`]). `None`: the proof no longer holds, or the user
/// may not sign in any more; nothing was recorded.
pub(crate) async fn start(
    app: &App,
    change: &mut Change,
    session: &NewSession,
    proof: Proof,
) -> Result<Option<StartedSession>> {
    let (expires_at, idle_expires_at) = lifetime(app, change.now(), session.method, session.stage);
    let times = write::Times { expires_at, idle_expires_at };
    let Some(surplus) = write::start(change, session, proof, times).await? else { return Ok(None) };
    change.confirm_new_session();
    let NewSession { token, user_id, method, stage, provider, .. } = session;
    let (provider, named) = (provider.clone(), method.as_str());
    change.record(Event::SessionStarted { user_id: *user_id, method: named, stage: *stage, provider });
    for session_id in surplus {
        change.record(Event::SessionEnded { session_id, user_id: *user_id, reason: write::TOO_MANY });
    }
    app.metrics.sign_ins.count(method.as_str());
    Ok(Some(StartedSession {
        session_id: token.id,
        user_id: *user_id,
        organization_id: token.organization_id,
        stage: *stage,
        expires_at,
        token: token.text(),
    }))
}

/// Gives the caller's own session, whose access is confirmed, a new secret and the stage [`Stage::Full`], after the user has
/// proved the password again.
pub(crate) async fn advance(
    app: &App,
    change: &mut Change,
    session_id: Id<Session>,
    user_id: Id<User>,
) -> Result<StartedSession> {
    let (organization_id, stage) = (change.organization_id(), Stage::Full);
    let token = Token::generate(organization_id, session_id);
    let (expires_at, idle_expires_at) = lifetime(app, change.now(), Method::Password, stage);
    write::advance(change, session_id, &token.sha256(), write::Times { expires_at, idle_expires_at }).await?;
    Ok(StartedSession { session_id, user_id, organization_id, stage, expires_at, token: token.text() })
}

/// When a session ends in any case, and when it ends without a further use.
fn lifetime(app: &App, now: DateTime<Utc>, method: Method, stage: Stage) -> (DateTime<Utc>, DateTime<Utc>) {
    let settings = &app.config.sessions;
    let hours = |hours: u32| TimeDelta::hours(i64::from(hours));
    let total = match (stage, method) {
        (Stage::MustChange, _) => UNFINISHED,
        (Stage::Full, Method::Recovery) => RECOVERY,
        (Stage::Full, Method::Sso) => hours(settings.sso_hours),
        (Stage::Full, Method::Password | Method::Passkey | Method::Link) => hours(settings.hours),
    };
    let idle = TimeDelta::minutes(i64::from(settings.idle_minutes));
    (now + total, now + total.min(idle))
}

/// Authenticates the token of a cookie.
///
/// # Errors
/// `unauthenticated`; `rate_limited`. A malformed token is rejected without a query. Any other failure is recorded in the
/// organization that the token names.
pub async fn authenticate(app: &App, text: &str, origin: Origin) -> Result<Arc<SessionHolder>> {
    let token = Token::parse(text).map_err(|_| Error::unauthenticated("malformed session cookie; sign in again"))?;
    let (digest, now) = (Token::digest(text), app.clock.now());
    let is_valid = |holder: &SessionHolder| holder.expires_at > now && holder.idle_expires_at > now;
    let holder = match app.holders.sessions.get(&digest) {
        Some(holder) if is_valid(&holder) => holder,
        // Boxed, as for keys.
        _ => match Box::pin(look_up(app, &token, &digest)).await? {
            Found::Holder(holder) => holder,
            Found::Denied { why, actor, user_id } => {
                let attribution = Attribution { organization_id: token.organization_id, actor, user_id, origin };
                let error = Error::unauthenticated(why.message);
                return Err(app.deny_credential(attribution, Action::SessionStart, why.reason, error));
            }
        },
    };
    if holder.last_use.is_due(now) {
        write::record_use(app, &holder);
    }
    Ok(holder)
}

/// Looks a token up in the database, and caches its holder.
async fn look_up(app: &App, token: &Token, digest: &[u8; 32]) -> Result<Found> {
    let queried_at = Instant::now();
    let found = app.retry_read(async || read::find(app, token).await).await?;
    if let Found::Holder(holder) = &found {
        app.holders.sessions.insert(*digest, holder, queried_at);
    }
    Ok(found)
}

/// Lists the sessions of a user that are not over, the latest first: the caller's own, or for owners those of another user.
///
/// # Errors
/// `forbidden`; `not_found` for a caller without a user.
pub async fn list(app: &App, caller: &Caller, user_id: Option<Id<User>>) -> Result<Vec<SessionDetails>> {
    let user_id = whose(app, caller, Action::SessionList, user_id).await?;
    let mut read = app.read(caller, Action::SessionList).await?;
    read::list(&mut read, caller.organization_id, user_id, app.clock.now()).await
}

/// The user that a request is about: the caller's own, or another one, for owners.
async fn whose(app: &App, caller: &Caller, action: Action, user_id: Option<Id<User>>) -> Result<Id<User>> {
    app.authorize(caller, action).await?;
    let own = caller.user_id();
    match user_id.or(own) {
        Some(user_id) if own == Some(user_id) => Ok(user_id),
        Some(user_id) => {
            app.authorize(caller, Action::SessionOthers).await?;
            Ok(user_id)
        }
        None => Err(Error::new(Code::NotFound, "the caller has no user; name one with `user_id`")),
    }
}

/// Ends one session: the caller's own, or for owners one of another user. Idempotent: nothing is recorded for a session that has
/// ended.
///
/// # Errors
/// `forbidden`; `not_found` for a session that does not exist, or is another user's and the caller is no owner.
pub async fn end(app: &App, caller: &Caller, session_id: Id<Session>) -> Result<()> {
    app.change(caller, Action::SessionEnd, Target::Session(session_id), async |change| {
        let unknown = || Error::not_found("session", session_id);
        let user_id = read::user_of(change, session_id).await?.ok_or_else(unknown)?;
        if change.caller().user_id() != Some(user_id) {
            if !change.caller().may(Action::SessionOthers) {
                return Err(unknown());
            }
            change.authorize(Action::SessionOthers)?;
        }
        write::lock(change, &[session_id]).await?;
        change.confirm_access().await?;
        match write::end(change, session_id, reason(change, session_id)).await? {
            true => change.record(Event::SessionEnded { session_id, user_id, reason: reason(change, session_id) }),
            false => change.dry_run(),
        }
        Ok(())
    })
    .await
}

/// Why a session is ended by a request: its own user signs out, or somebody else ends it.
fn reason(change: &Change, session_id: Id<Session>) -> &'static str {
    match change.caller().principal {
        Principal::Session { id, .. } if id == session_id => "signed_out",
        _ => "ended",
    }
}

/// Ends all sessions of a user, the caller's own session included unless `keep_this` is set. Returns their number.
///
/// # Errors
/// `forbidden`; `not_found` for a caller without a user.
pub async fn end_all(app: &App, caller: &Caller, user_id: Option<Id<User>>, keep_this: bool) -> Result<usize> {
    let user_id = whose(app, caller, Action::SessionEnd, user_id).await?;
    app.change(caller, Action::SessionEnd, Target::User(user_id), async |change| {
        if change.caller().user_id() != Some(user_id) {
            change.authorize(Action::SessionOthers)?;
        }
        let this = match change.caller().principal {
            Principal::Session { id, .. } if keep_this => Some(id),
            _ => None,
        };
        change.lock_own_membership().await?;
        write::lock_all_of(change, user_id).await?;
        change.confirm_access().await?;
        let sessions = write::end_all(change, &[user_id], this, "ended").await?;
        if sessions == 0 {
            change.dry_run();
        }
        change.record(Event::SessionsEnded { user_id, sessions });
        Ok(sessions)
    })
    .await
}

/// An address without the bits that identify a machine: /24, for IPv6 /48.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let prefix = std::net::Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80));
            format!("{prefix}/48")
        }
    }
}
