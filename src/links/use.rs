//! Setting a password with a link.

use chrono::{DateTime, Utc};

use super::{Purpose, Token, read, write};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Event, Target};
use crate::caller::{Action, Origin, Stage};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, User};
use crate::mail;
use crate::secret::Secret;
use crate::sessions::{self, Client, Method, NewSession, Proof, StartedSession};
use crate::sign_in;

/// A link that can be used, whose secret the client has presented.
#[derive(Debug)]
pub struct OpenLink {
    /// The user.
    pub user_id: Id<User>,
    /// The user's address.
    pub email: String,
    /// The name of the organization.
    pub organization_name: String,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
    /// What the link is for.
    pub purpose: Purpose,
    is_sso_user: bool,
}

impl OpenLink {
    /// Whether a password is set with the link. A link of the local operator lets a user with single sign-on in without one.
    #[must_use]
    pub const fn sets_password(&self) -> bool {
        !self.is_sso_user
    }
}

/// A password that was set with a link, and the session that was started.
#[derive(Debug)]
pub struct UsedLink {
    /// The session.
    pub session: StartedSession,
    /// The device cookie.
    pub device: Option<Secret>,
    /// The number of sessions that were ended.
    pub ended_sessions: usize,
}

const UNKNOWN: &str = "unknown link; check that the whole link was copied";

/// Finds the link of a token. It stays open.
///
/// # Errors
/// `not_found` for a link that is unknown, used, replaced, revoked or expired; `rate_limited`. A malformed link is rejected without
/// a query; any other denial is recorded in the audit log of the organization that the link names.
pub async fn open(app: &App, token: &str, origin: Origin) -> Result<OpenLink> {
    let token = parse(token)?;
    check(app, &token, origin).await
}

fn parse(token: &str) -> Result<Token> {
    Token::parse(token).map_err(|_| Error::new(Code::NotFound, "invalid link; check that the whole link was copied"))
}

async fn check(app: &App, token: &Token, origin: Origin) -> Result<OpenLink> {
    let reading = app.clock.start_reading();
    let found = read::find(app, token).await?.filter(|found| token.matches(&found.secret_sha256));
    let (user_id, reason, detail) = match found {
        None => (None, "unknown_link", UNKNOWN),
        Some(found) => match why_over(&found, reading.finish(found.read_at)) {
            Some((reason, detail)) => (Some(found.user_id), reason, detail),
            None => {
                return Ok(OpenLink {
                    user_id: found.user_id,
                    email: found.email,
                    organization_name: found.organization_name,
                    expires_at: found.expires_at,
                    purpose: found.purpose,
                    is_sso_user: found.is_sso_user,
                });
            }
        },
    };
    let attribution =
        Attribution { organization_id: token.organization_id, actor: ActorRef::ANONYMOUS, user_id: None, origin };
    let error = Error::new(Code::NotFound, detail);
    match user_id {
        None => Err(app.deny_credential(attribution, Action::PasswordLinkUse, reason, error)),
        user_id => {
            Err(app.deny_sign_in(attribution, Action::PasswordLinkUse, AuditDenial::sign_in(user_id, reason), error))
        }
    }
}

/// Why a link can no longer be used, for the audit log and for people.
fn why_over(link: &read::StoredLink, now: DateTime<Utc>) -> Option<(&'static str, &'static str)> {
    // First: these revoke links, too.
    if link.is_suspended {
        return Some(("suspended", "the account is suspended; ask an administrator"));
    }
    if link.is_sso_user && link.purpose != Purpose::Recover {
        return Some(("sso_user", "the account signs in through the organization's identity provider; sign in there"));
    }
    if link.is_bound_to_sso && link.purpose != Purpose::Recover {
        return Some((
            "sso_required",
            "the organization requires single sign-on; sign in through its identity provider",
        ));
    }
    if link.used_at.is_some() {
        return Some((
            "used_link",
            "the link has been used; sign in with the password that was set, or ask for a new link",
        ));
    }
    if link.revoked_at.is_some() {
        return Some((
            "revoked_link",
            "the link was revoked or replaced by a newer one; use the latest link or ask for a new one",
        ));
    }
    if link.expires_at <= now {
        return Some(("expired_link", "the link has expired; ask for a new one"));
    }
    None
}

/// Sets a password with a link, ends all sessions of the user and starts one. With a link of the local operator for a user with
/// single sign-on, no password is set.
///
/// # Errors
/// As [`open`]; `throttled`; `password_rejected` with all reasons; `overloaded`. After the last three, the link stays open.
pub async fn set_password(app: &App, token: &str, new: &Secret, client: &Client) -> Result<UsedLink> {
    let token = parse(token)?;
    let link = check(app, &token, client.origin).await?;
    let (organization_id, user_id) = (token.organization_id, link.user_id);
    sign_in::limit_link(app, organization_id, token.id).await?;
    let hash = match link.is_sso_user {
        // An SSO user has no password; the link alone is the recovery.
        true => None,
        false => {
            let account = sign_in::account_of(app, organization_id, user_id).await?;
            let account = account.ok_or_else(|| Error::new(Code::NotFound, UNKNOWN))?;
            let password = sign_in::check_new(app, &account, new, false).await?;
            Some(app.hasher.hash(password).await?)
        }
    };
    failpoints::reach("link::hashed").await;
    let method = if link.purpose == Purpose::Recover { Method::Recovery } else { Method::Link };
    let session = NewSession::new(app, organization_id, user_id, (method, Stage::Full), client);
    let caller = session.caller();
    let used = app.change(&caller, Action::PasswordLinkUse, Target::User(user_id), async |change| {
        // The user first, in the order of all locks.
        sessions::note_sign_in(change, user_id).await?;
        change.lock_own_membership().await?;
        if !write::r#use(change, &token).await? {
            let denial = AuditDenial::sign_in(Some(user_id), "used_link");
            let error = Error::new(Code::NotFound, "the link was used, replaced or revoked meanwhile");
            return Err(change.deny(Action::PasswordLinkUse, denial, error));
        }
        if let Some(hash) = &hash {
            sign_in::set_password(change, user_id, hash).await?;
        }
        let ended_sessions = sessions::end_access(change, &[user_id], None, "password_reset").await?;
        let started = sessions::start(app, change, &session, Proof::Checked).await?;
        let session = started
            .ok_or_else(|| Error::new(Code::NotFound, "the account can't be signed in to; ask an administrator"))?;
        match method {
            Method::Recovery => mail::notify_owners(app, change, mail::Kind::Recovery).await?,
            _ => mail::notify(app, change, user_id, mail::Kind::PasswordChanged).await?,
        }
        change.record(Event::PasswordLinkUsed { link_id: token.id, user_id, sessions: ended_sessions });
        let device = hash.as_ref().map(|_| sign_in::issue_device(app, organization_id, user_id, change.now()));
        Ok(UsedLink { session, device, ended_sessions })
    });
    let used = used.await?;
    if method == Method::Recovery {
        tracing::warn!(%user_id, "a recovery link of the local operator was used");
        app.metrics.sign_ins.count_recovery();
    }
    Ok(used)
}
