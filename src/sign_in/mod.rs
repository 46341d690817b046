//! Signing in with a password, and changing one's own.
//!
//! 1. The organization and the user of the address are looked up. Whatever is found, the next steps are the same.
//! 2. A token is taken from each bucket of the throttle (`throttle.rs`), before any work: 500 guesses at once are 10 hashes.
//! 3. The password is verified against the user's hash, or, if there is none that could match, against a hash that nothing
//!    matches: exactly one hash for each attempt.
//! 4. A refusal has one code and one message. The audit log has the reason.
//! 5. A success starts a session ([`crate::sessions`]), which judges user and password again, under lock. The tokens are
//!    given back, and a hash with other than the current parameters is replaced.
//!
//! # Decisions
//!
//! *The account's buckets lock nobody out for long, and a browser that has signed in before has buckets of its own* (a device
//! cookie, OWASP "Slow Down Online Guessing Attacks with Device Cookies"), so that a stranger who guesses at an account does not
//! keep its owner out.
//!
//! *Refusals above the limit are audited as refusals*, with the reason `throttled`, and added up as all repeated denials are
//! ([`crate::audit::Repeats`]).
//!
//! *The replaced hash is computed after the session has started*: nobody waits for it in front of a refusal, and its failure is
//! logged only.

mod change_password;
mod device;
mod read;
mod reset;
pub(crate) mod throttle;
mod write;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Stage};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, Organization, User};
use crate::passwords::{self, HashError};
use crate::secret::Secret;
use crate::sessions::{self, Client, Method, NewSession, Proof, StartedSession};
use crate::users::EmailAddress;

pub use change_password::{ChangedPassword, NewPassword, change_password};
pub(crate) use change_password::{check_new, set as set_password};
pub use device::LIFETIME as DEVICE_LIFETIME;
pub(crate) use device::issue as issue_device;
pub(crate) use read::{Account, account_of};
pub use reset::{ResetRequest, request_reset};
use throttle::Taken;
pub(crate) use throttle::{delete_old as delete_old_throttles, limit_link};

/// An attempt to sign in.
#[derive(Debug)]
pub struct Attempt {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// The ID, the short name or the display name of the organization. `None` if this server has one.
    pub organization: Option<String>,
    /// The device cookie.
    pub device: Option<String>,
}

/// A successful sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The session.
    pub session: StartedSession,
    /// The new device cookie; `None` until the session is [`Stage::Full`].
    pub device: Option<Secret>,
}

/// The only message of a refusal.
pub const REFUSED: &str =
    "address or password is wrong; if a password was set for you, it may have expired: ask for a link";

/// Why a sign-in was refused, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    UnknownAccount,
    WrongPassword,
    NoPassword,
    SsoUser,
    SsoRequired,
    Suspended,
    Expired,
    InitialPasswordExpired,
    ServiceAccount,
}

impl Refusal {
    const fn reason(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::NoPassword => "no_password",
            Self::SsoUser => "sso_user",
            Self::SsoRequired => "sso_required",
            Self::Suspended => "suspended",
            Self::Expired => "expired_user",
            Self::InitialPasswordExpired => "initial_password_expired",
            Self::ServiceAccount => "service_account",
        }
    }
}

/// Signs in with a password.
///
/// # Errors
/// `sign_in_refused`, whatever the reason; `throttled`; `overloaded`; `invalid_request` without an organization where there are
/// several.
pub async fn sign_in(app: &App, attempt: Attempt, client: &Client) -> Result<SignedIn> {
    let arrived = tokio::time::Instant::now();
    let signed_in = try_sign_in(app, attempt, client).await;
    let floor = Duration::from_millis(u64::from(app.config.passwords.refusal_floor_ms));
    if matches!(&signed_in, Err(error) if error.code() == Code::SignInRefused) && !floor.is_zero() {
        tokio::time::sleep_until(arrived + floor).await;
    }
    app.metrics.sign_ins.observe_password(arrived.elapsed());
    signed_in
}

async fn try_sign_in(app: &App, attempt: Attempt, client: &Client) -> Result<SignedIn> {
    let Attempt { email, password, organization, device } = attempt;
    let organization_id = read::organization(app, organization.as_deref()).await?;
    let address = EmailAddress::parse(&email).ok();
    let account = match (organization_id, &address) {
        (Some(organization_id), Some(address)) => read::account(app, organization_id, address).await?,
        _ => None,
    };
    // An organization that does not exist counts under the nil ID.
    let organization_id = organization_id.unwrap_or(Id::MIN);
    let key = address.as_ref().map_or_else(|| email.trim().to_lowercase(), |address| address.key().to_owned());
    let known_device =
        account.as_ref().and_then(|account| device::check(app, device.as_deref()?, account, app.clock.now()));
    let buckets = throttle::of_sign_in(app, &key, known_device, client.origin.address);
    let refuse = |user_id: Option<Id<User>>, reason: &'static str, error: Error| {
        let attribution =
            Attribution { organization_id, actor: ActorRef::ANONYMOUS, user_id: None, origin: client.origin };
        app.metrics.sign_ins.count_refusal(reason);
        app.deny_sign_in(attribution, Action::SessionStart, AuditDenial::sign_in(user_id, reason), error)
    };
    let user_id = account.as_ref().map(|account| account.user_id);
    let taken = match throttle::take(app, organization_id, buckets).await {
        Err(error) if error.code() == Code::Throttled => return Err(refuse(user_id, "throttled", error)),
        taken => taken?,
    };
    let judged = judge(app, account.as_ref(), &password).await;
    match judged {
        Ok(Ok(account_judged)) => {
            failpoints::reach("sign_in::verified").await;
            let signed_in = match start(app, organization_id, &account_judged, client, &taken).await {
                Ok(Some(signed_in)) => signed_in,
                // Suspended, bound to single sign-on, or another password, since it was judged.
                Ok(None) => return Err(refuse(user_id, Refusal::WrongPassword.reason(), refused())),
                Err(error) => {
                    // In the background: the database may be away.
                    let detached = app.clone();
                    drop(app.start_task(async move { throttle::give_back(&detached, organization_id, taken).await }));
                    return Err(error);
                }
            };
            if account_judged.needs_rehash {
                change_password::rehash(app, organization_id, &account_judged, &password, &signed_in.session, client)
                    .await;
            }
            Ok(signed_in)
        }
        Ok(Err(refusal)) => Err(refuse(user_id, refusal.reason(), refused())),
        Err(error) => {
            throttle::give_back(app, organization_id, taken).await;
            Err(error.into())
        }
    }
}

fn refused() -> Error {
    Error::new(Code::SignInRefused, REFUSED)
}

/// An account whose password matched.
struct Judged {
    user_id: Id<User>,
    set_at: DateTime<Utc>,
    stage: Stage,
    needs_rehash: bool,
    phc: String,
}

/// Hashes once, whatever is known about the account.
async fn judge(
    app: &App,
    account: Option<&Account>,
    password: &Secret,
) -> std::result::Result<std::result::Result<Judged, Refusal>, HashError> {
    // An imported hash may be of the empty text; an empty password never matches.
    let presented = passwords::presented(password.expose()).filter(|text| !text.expose().is_empty());
    let stored = account.and_then(|account| account.password.as_ref());
    let (text, phc) = match (&presented, stored) {
        (Some(text), Some(stored)) => (text.clone(), stored.phc.clone()),
        _ => (Secret::new("none"), app.unmatchable_hash()),
    };
    let verified = app.hasher.verify(text, phc).await?;
    let now = app.clock.now();
    let initial = TimeDelta::hours(i64::from(app.config.passwords.initial_hours));
    let refusal = match (account, stored) {
        (None, _) => Some(Refusal::UnknownAccount),
        (Some(account), _) if account.is_service_account => Some(Refusal::ServiceAccount),
        (Some(account), _) if account.is_sso_user => Some(Refusal::SsoUser),
        (Some(_), None) => Some(Refusal::NoPassword),
        (Some(_), Some(_)) if presented.is_none() || !verified.matches => Some(Refusal::WrongPassword),
        (Some(account), _) if account.is_bound_to_sso => Some(Refusal::SsoRequired),
        (Some(account), _) if account.is_suspended => Some(Refusal::Suspended),
        (Some(account), _) if account.expires_at.is_some_and(|expires_at| expires_at <= now) => Some(Refusal::Expired),
        (Some(_), Some(stored)) if stored.must_change && stored.set_at + initial <= now => {
            Some(Refusal::InitialPasswordExpired)
        }
        (Some(_), Some(_)) => None,
    };
    Ok(match (refusal, account, stored) {
        (None, Some(account), Some(stored)) => Ok(Judged {
            user_id: account.user_id,
            set_at: stored.set_at,
            stage: if stored.must_change { Stage::MustChange } else { Stage::Full },
            needs_rehash: verified.needs_rehash,
            phc: stored.phc.clone(),
        }),
        (refusal, _, _) => Err(refusal.unwrap_or(Refusal::UnknownAccount)),
    })
}

async fn start(
    app: &App,
    organization_id: Id<Organization>,
    judged: &Judged,
    client: &Client,
    taken: &Taken,
) -> Result<Option<SignedIn>> {
    let Judged { user_id, set_at, stage, .. } = *judged;
    let session = NewSession::new(app, organization_id, user_id, (Method::Password, stage), client);
    let caller = session.caller();
    let started = app.change(&caller, Action::SessionStart, Target::User(user_id), async |change| {
        let started = sessions::start(app, change, &session, Proof::Password { set_at }).await?;
        // Last: other sign-ins wait for the buckets.
        throttle::give_back_in(change, taken).await?;
        started.ok_or_else(refused)
    });
    match started.await {
        Ok(session) => {
            let device = (stage == Stage::Full).then(|| device::issue(app, organization_id, user_id, set_at));
            Ok(Some(SignedIn { session, device }))
        }
        Err(error) if error.code() == Code::SignInRefused => Ok(None),
        Err(error) => Err(error),
    }
}
