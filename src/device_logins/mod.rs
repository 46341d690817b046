//! Device logins: a client without an API key shows a one-time password, a caller with an API key approves it, and the
//! client fetches a new API key that acts as the approver. So a person gets a key onto a machine without copying one.
//!
//! # Decisions
//!
//! *Starting a login writes nothing.* Unauthenticated clients can start logins, so a row for each would let them fill
//! the database. A one-time password is recognized by muster's signature ([`Otp`]). The approval is written as a row,
//! which is marked as fetched in the change that creates the key: of concurrent fetches, exactly one gets the key.
//!
//! *Approval takes an API key*, with `muster login approve` or `POST /api/v2/users/approve_otp_token`, not a click on
//! the login's page: the client that started the login gets the key, so following a link must not be enough.
//!
//! *An approval ends with the approver's access.* No key is created if the approving key has been revoked, the secret
//! that approved is no longer valid after a rotation, or the user has been suspended or deleted in the meantime. The
//! approval stores the digest of the secret: times can't tell an approval with the old secret during its overlap.
//!
//! *Deleting a user keeps the user's approvals*, so that a client that polls learns that the login has ended, instead of
//! that it is not approved yet. An approval contains IDs and digests. The organization's next approval deletes it once
//! it has expired.

mod otp;
mod read;
mod write;

use chrono::Duration;

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{self, Action, Caller, Origin, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, User};
use crate::keys::{self, KeySpec, Lifetime, NewKey};

pub use otp::{InvalidOtp, Otp};

use read::Approval;

/// Starts a login by creating a one-time password. Needs no caller and writes nothing.
///
/// `duration_seconds` is the lifetime of the key: 0 for the maximum, `None` for the setting `keys.default_days`.
///
/// # Errors
/// `invalid_request` for a negative duration.
pub fn start(app: &App, duration_seconds: Option<i64>) -> Result<Otp> {
    let default = Duration::days(i64::from(app.config.keys.default_days));
    let duration_seconds = duration_seconds.unwrap_or_else(|| default.num_seconds());
    if duration_seconds < 0 {
        return Err(Error::invalid("`duration_seconds` must be 0 (the maximum) or positive"));
    }
    // The lifetime is limited to `keys.max_days`, so a longer duration than `u32` holds makes no difference.
    let duration_seconds = u32::try_from(duration_seconds).unwrap_or(u32::MAX);
    Ok(Otp::new(&app.fingerprints, app.clock.now(), duration_seconds))
}

/// Parses a one-time password, approved or not.
///
/// # Errors
/// See [`InvalidOtp`].
pub fn check(app: &App, otp: &str) -> std::result::Result<Otp, InvalidOtp> {
    Otp::parse(&app.fingerprints, app.clock.now(), otp)
}

fn checked(app: &App, otp: &str) -> Result<Otp> {
    check(app, otp).map_err(|error| {
        let message = match error {
            InvalidOtp::Unknown => "unknown one-time password; check that the whole password was copied",
            InvalidOtp::Expired => "the one-time password has expired; start the login again",
        };
        Error::new(Code::NotFound, message)
    })
}

/// An approved login.
#[derive(Debug)]
pub struct ApprovedLogin {
    /// The user on whose behalf the new key acts; `None` for a key without a user.
    pub user_id: Option<Id<User>>,
    /// The level of the new key.
    pub permission_level: PermissionLevel,
    /// The one-time password.
    pub otp: Otp,
}

/// Approves a login: its key gets the user and all permissions of the caller's key. The local operator names a user.
///
/// # Errors
/// `forbidden`; `not_found` for an unknown or expired one-time password, or an unknown user; `conflict` for a login
/// that is already approved.
pub async fn approve(app: &App, caller: &Caller, otp: &str, user_id: Option<Id<User>>) -> Result<ApprovedLogin> {
    let target = user_id.or(caller.user_id()).map_or(Target::Organization(caller.organization_id), Target::User);
    app.change(caller, Action::LoginApprove, target, async |change| {
        let otp = checked(app, otp)?;
        let (user_id, permission_level, scopes) = match (caller.principal, user_id) {
            (Principal::ApiKey { user_id, permission, scopes, .. }, None) => (user_id, permission, scopes),
            (Principal::Operator, Some(user_id)) => {
                let organization_id = change.organization_id();
                let holder = keys::holder(change.connection(), organization_id, user_id).await?;
                (Some(user_id), holder.level, Scopes::All)
            }
            _ => {
                return Err(Error::invalid(
                    "a login can be approved with an API key, or by the local operator on behalf of a user",
                ));
            }
        };
        write::delete_expired(change).await?;
        let approval = Approval { user_id, permission_level, scopes };
        if !write::approve(change, &otp, &approval).await? {
            return Err(Error::new(Code::Conflict, "the login is already approved; start a new one"));
        }
        change.record(Event::LoginApproved { user_id, organization_id: caller.organization_id });
        Ok(ApprovedLogin { user_id, permission_level, otp })
    })
    .await
}

fn access_ended() -> Error {
    let message = "the access of the login's approver has ended; start a new login and have another person approve it";
    Error::new(Code::Conflict, message)
}

fn already_fetched() -> Error {
    let message = "the API key of the login was already fetched; if the person who started the login did not fetch it, \
                   revoke the key and start a new login";
    Error::new(Code::Conflict, message)
}

/// Fetches the key of a login: `None` until the login is approved. The key is returned once, to any client with the
/// one-time password.
///
/// # Errors
/// `not_found` for an unknown or expired one-time password; `conflict` if the key was already fetched or the access of
/// the approver has ended.
pub async fn fetch(app: &App, otp: &str, origin: Origin) -> Result<Option<NewKey>> {
    let otp = checked(app, otp)?;
    let Some(login) = read::approved(app, &otp).await? else { return Ok(None) };
    if login.is_fetched {
        return Err(already_fetched());
    }
    if !login.is_valid {
        return Err(access_ended());
    }
    failpoints::reach("login::found").await;
    let caller = Caller { organization_id: login.organization_id, principal: login.approved_by, origin };
    let fetched = app.change(&caller, Action::LoginApprove, Target::Nothing, async |change| {
        // The approver first, as a deletion by a previous version of muster does, which then deletes the approval.
        if let Some(user_id) = login.user_id {
            write::lock_approver(change, user_id).await?;
        }
        let approval = write::fetch(change, &otp).await?.ok_or_else(already_fetched)?;
        failpoints::reach("login::fetched").await;
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
        let key = keys::add(app, change, &spec).await?;
        // The access of an approving key was confirmed with the new key. The operator approves on behalf of a user.
        if let Some(user_id) = approval.user_id {
            let organization_id = change.organization_id();
            caller::lock_membership(change.connection(), organization_id, Some(user_id)).await?;
            if !read::is_active(change.connection(), organization_id, user_id).await? {
                return Err(access_ended());
            }
        }
        Ok(Some(key))
    });
    match fetched.await {
        Err(error) if matches!(error.code(), Code::Unauthenticated | Code::Forbidden | Code::NotFound) => {
            Err(access_ended())
        }
        // A previous version deleted the approval together with its user.
        Err(error) if error.code() == Code::Conflict && read::approved(app, &otp).await?.is_none() => {
            Err(access_ended())
        }
        fetched => fetched,
    }
}
