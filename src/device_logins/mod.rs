//! Logging in: somebody without a key shows a one-time password, somebody with one approves it, and the first gets a
//! key that acts as the second. So a person gets a key onto a machine without carrying one there.
//!
//! # Decisions
//!
//! *Asking for a one-time password writes nothing.* Anybody may ask, without a key, so a row for each would be theirs
//! to fill the database with. The password is its own record: it is recognised by muster's signature in it
//! ([`Otp`]). A row is written when somebody approves it, and marked as used in the change that makes the key: of two
//! who ask at once, one gets it, and the other is told.
//!
//! *Approving is done with the API key one has*, through `muster login approve` or `POST
//! /api/v2/users/approve_otp_token`, not with a click on the page: a page that a link leads to must not be able to do
//! it (whoever started the login gets the key).
//!
//! *What opens nothing at the time of fetching is not handed on*: an approval by a key that was revoked since, or for
//! a user who was suspended, makes no key.

mod otp;
mod read;
mod write;

use chrono::Duration;

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Origin, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};
use crate::keys::{self, KeySpec, Lifetime, NewKey};

pub use otp::{BadOtp, Otp};

use read::Approval;

/// Starts a login: makes a one-time password. For anybody; nothing is written.
///
/// `duration_seconds`: for how long the key is wanted; 0 for as long as there may be, `None` for as long as
/// the setting `keys.default_days` says.
///
/// # Errors
/// `invalid_request` for a duration below 0.
pub fn start(app: &App, duration_seconds: Option<i64>) -> Result<Otp> {
    let usual = Duration::days(i64::from(app.config.keys.default_days));
    let duration_seconds = duration_seconds.unwrap_or_else(|| usual.num_seconds());
    if duration_seconds < 0 {
        return Err(Error::invalid("`duration_seconds` must be 0 (the maximum) or positive"));
    }
    // More than a hundred years are cut to `keys.max_days` like them.
    let duration_seconds = u32::try_from(duration_seconds).unwrap_or(u32::MAX);
    Ok(Otp::new(&app.fingerprints, app.clock.now(), duration_seconds))
}

/// Recognises a one-time password, approved or not.
///
/// # Errors
/// See [`BadOtp`].
pub fn check(app: &App, otp: &str) -> std::result::Result<Otp, BadOtp> {
    Otp::parse(&app.fingerprints, app.clock.now(), otp)
}

fn checked(app: &App, otp: &str) -> Result<Otp> {
    check(app, otp).map_err(|bad| {
        let sentence = match bad {
            BadOtp::Unknown => "unknown one-time password; check that the whole password was copied",
            BadOtp::Expired => "the one-time password has expired; start the login again",
        };
        Error::new(Code::NotFound, sentence)
    })
}

/// A login that was approved.
#[derive(Debug)]
pub struct Approved {
    /// Who will act when its key is used; `None`: the key acts for itself.
    pub user_id: Option<Id<User>>,
    /// What it will allow.
    pub permission_level: PermissionLevel,
    /// The one-time password.
    pub otp: Otp,
}

/// Lets whoever has a one-time password act as the caller, with all that the caller's key may. The local operator
/// says as whom.
///
/// # Errors
/// `forbidden`; `not_found` for a one-time password that is none or has expired, or a user who isn't there;
/// `conflict` when it has been approved before.
pub async fn approve(app: &App, caller: &Caller, otp: &str, user_id: Option<Id<User>>) -> Result<Approved> {
    let target = user_id.or(caller.user_id()).map_or(Target::Organization(caller.organization_id), Target::User);
    app.change(caller, Action::LoginApprove, target, async |change| {
        let otp = checked(app, otp)?;
        let (user_id, permission_level, scopes) = match (caller.principal, user_id) {
            (Principal::ApiKey { user_id, permission, scopes, .. }, None) => (user_id, permission, scopes),
            (Principal::Operator, Some(user_id)) => {
                let organization_id = change.organization_id();
                let holder = keys::holder(change.connection(), organization_id, user_id).await?;
                let holder = holder.ok_or_else(|| Error::new(Code::NotFound, format!("there is no user {user_id}")))?;
                (Some(user_id), holder.level, Scopes::All)
            }
            _ => {
                return Err(Error::invalid(
                    "a login can be approved with an API key, or by the local operator on behalf of a user",
                ));
            }
        };
        write::forget_expired(change).await?;
        let approval = Approval { user_id, permission_level, scopes };
        if !write::approve(change, &otp, &approval).await? {
            return Err(Error::new(Code::Conflict, "the login is already approved; start a new one"));
        }
        change.record(Event::LoginApproved { user_id, organization_id: caller.organization_id });
        Ok(Approved { user_id, permission_level, otp })
    })
    .await
}

fn spent() -> Error {
    let sentence = "the key of this login has been fetched already: if it was not fetched by whoever started the login, \
                    revoke it, and start another";
    Error::new(Code::Conflict, sentence)
}

/// Asks for the key of a login: `None` until it is approved. It is given once. For anybody who has the one-time
/// password.
///
/// # Errors
/// `not_found` for a one-time password that is none or has expired; `conflict` when it was approved with something
/// that opens nothing any longer.
pub async fn fetch(app: &App, otp: &str, origin: Origin) -> Result<Option<NewKey>> {
    let otp = checked(app, otp)?;
    let Some(found) = read::pending(app, &otp).await? else { return Ok(None) };
    if found.is_spent {
        return Err(spent());
    }
    if !found.still_holds {
        let sentence = "whoever approved this login has no access any longer: start it again, and let somebody else \
                        approve it";
        return Err(Error::new(Code::Conflict, sentence));
    }
    let caller = Caller { organization_id: found.organization_id, principal: found.approved_by, origin };
    app.change(&caller, Action::LoginApprove, Target::Nothing, async |change| {
        let approval = write::take(change, &otp).await?.ok_or_else(spent)?;
        let lifetime = match otp.duration_seconds {
            0 => Lifetime::Longest,
            seconds => Lifetime::AtMost(i64::from(seconds)),
        };
        let spec = KeySpec {
            name: "login".to_owned(),
            user_id: approval.user_id,
            permission_level: Some(approval.permission_level),
            scopes: Some(approval.scopes),
            lifetime,
        };
        Ok(Some(keys::add_spec(app, change, &spec).await?))
    })
    .await
}
