//! Device logins (after RFC 8628): a client without an API key shows a code, a caller with an API key approves it, and the
//! client fetches a new API key that acts as the approver. So a person gets a key onto a machine without copying one.
//!
//! | | who has it | what for |
//! |---|---|---|
//! | one-time password ([`Otp`]), 72 characters | the client | fetches the key: a credential |
//! | code ([`UserCode`]), 8 letters | the person | finds the login, to see who asks and to approve it |
//!
//! The vendor's client knows only the one-time password, which can be approved, too.
//!
//! # Decisions
//!
//! *A login works without a row.* Unauthenticated clients can start logins, so the number of rows is bounded, for each network
//! and for all. A login above that, or while the database is away, has no code and shows nothing about its client; it is approved
//! with its one-time password, which is recognized by muster's signature. The approval is written as a row,
//! which is marked as fetched in the change that creates the key: of concurrent fetches, exactly one gets the key.
//!
//! *The approver is shown what the client says and what the server sees*: the machine and the program can lie, the address and the
//! time can't.
//!
//! *Approval takes an API key*, with `muster login approve` or `POST /api/v2/users/approve_otp_token`, *or a session*, in
//! which the user authenticated a short time ago: the client that started the login gets the key, so following a link must
//! not be enough.
//!
//! *An approval ends with the approver's access.* No key is created if the approving key has been revoked, the secret
//! that approved is no longer valid after a rotation, the approving session has ended, or the user has been suspended or
//! deleted in the meantime. The
//! approval stores the digest of the secret: times can't tell an approval with the old secret during its overlap.
//!
//! *Deleting a user keeps the user's approvals*, so that a client that polls learns that the login has ended, instead of
//! that it is not approved yet. An approval contains IDs and digests. The organization's next approval deletes it once
//! it has expired.

mod otp;
mod read;
mod user_code;
mod write;

use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{self, Action, Caller, Origin, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, User};
use crate::keys::{self, KeySpec, Lifetime, NewKey};
use crate::users::{self, is_visible_line};

pub use otp::{InvalidOtp, Otp};
pub(crate) use user_code::CodeAttempts;
pub use user_code::UserCode;

use otp::LIFETIME;
use read::Approval;

/// The longest name of a machine, in characters: that of a host.
const LONGEST_MACHINE: usize = 253;

/// How much of a `User-Agent` is kept, in characters.
const LONGEST_USER_AGENT: usize = 100;

/// The longest name of an API key, in characters.
const LONGEST_KEY_NAME: usize = 100;

/// The client that starts a login.
#[derive(Debug, Default)]
pub struct Client {
    /// Its IP address.
    pub address: Option<IpAddr>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// The machine that it says it runs on.
    pub machine: Option<String>,
}

/// Starts a login by creating a one-time password, and a code if there is room. Needs no caller.
///
/// `duration_seconds` is the lifetime of the key: 0 for the maximum, `None` for the setting `keys.default_days`.
///
/// # Errors
/// `invalid_request` for a negative duration, or a machine that is not one line.
pub async fn start(app: &App, duration_seconds: Option<i64>, client: Client) -> Result<(Otp, Option<UserCode>)> {
    let default = Duration::days(i64::from(app.config.keys.default_days));
    let duration_seconds = duration_seconds.unwrap_or_else(|| default.num_seconds());
    if duration_seconds < 0 {
        return Err(Error::invalid("`duration_seconds` must be 0 (the maximum) or positive"));
    }
    // The lifetime is limited to `keys.max_days`, so a longer duration than `u32` holds makes no difference.
    let duration_seconds = u32::try_from(duration_seconds).unwrap_or(u32::MAX);
    let is_name =
        |name: &str| !name.trim().is_empty() && name.chars().count() <= LONGEST_MACHINE && is_visible_line(name);
    if client.machine.as_deref().is_some_and(|machine| !is_name(machine)) {
        return Err(Error::invalid(format!("`machine` must be one line of 1 to {LONGEST_MACHINE} visible characters")));
    }
    let user_agent = client.user_agent.filter(|agent| is_visible_line(agent));
    let user_agent = user_agent.map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect());
    let client = Client { user_agent, ..client };
    let (otp, code) = (Otp::new(&app.fingerprints, app.clock.now(), duration_seconds), UserCode::generate());
    match write::request(app, &otp, &code, &client).await {
        Ok(true) => Ok((otp, Some(code))),
        Ok(false) => Ok((otp, None)),
        Err(error) => {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to store a login request; the login has no code");
            Ok((otp, None))
        }
    }
}

/// The code of a login, if it has one.
///
/// # Errors
/// Those of the database.
pub async fn code(app: &App, otp: &Otp) -> Result<Option<UserCode>> {
    let found = read::by_otp(&mut *app.reader(&app.db.interactive).await?, &otp.sha256).await?;
    Ok(found.map(|request| request.user_code.into()))
}

/// A login that can be approved, or has been.
#[derive(Debug)]
pub struct LoginRequest {
    /// When the client started it.
    pub requested_at: DateTime<Utc>,
    /// Until when it can be approved.
    pub expires_at: DateTime<Utc>,
    /// The client, as far as it is known.
    pub client: Client,
}

/// What identifies a login in the database.
struct Identified {
    sha256: [u8; 32],
    request: LoginRequest,
}

/// Finds a login that can still be approved, by its code or its one-time password.
async fn identify(app: &App, caller: &Caller, text: &str) -> Result<Identified> {
    let now = app.clock.now();
    let stored = match UserCode::parse(text) {
        Some(code) => {
            app.code_attempts.begin(caller, now)?;
            let found = read::by_code(&mut *app.reader(&app.db.interactive).await?, &code).await?;
            if found.is_none() {
                return Err(unknown_code());
            }
            app.code_attempts.succeed(caller);
            found
        }
        // A typing mistake, such as a vowel, which is no guess.
        None if !text.starts_with(otp::PREFIX) => return Err(unknown_code()),
        None => {
            let otp = checked(app, text)?;
            let found = read::by_otp(&mut *app.reader(&app.db.interactive).await?, &otp.sha256).await?;
            if found.is_none() {
                let requested_at = otp.expires_at - LIFETIME;
                let request = LoginRequest { requested_at, expires_at: otp.expires_at, client: Client::default() };
                return Ok(Identified { sha256: otp.sha256, request });
            }
            found
        }
    };
    let identified = stored.and_then(read::Stored::identified);
    identified.filter(|login| login.request.expires_at > now).ok_or_else(expired)
}

/// Shows who asks for a login, by its code or its one-time password.
///
/// # Errors
/// `forbidden`; `not_found` for an unknown or expired code; `rate_limited` after too many wrong codes.
pub async fn get(app: &App, caller: &Caller, text: &str) -> Result<LoginRequest> {
    app.authorize(caller, Action::LoginGet).await?;
    Ok(identify(app, caller, text).await?.request)
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
            InvalidOtp::Expired => return expired(),
        };
        Error::new(Code::NotFound, message)
    })
}

fn unknown_code() -> Error {
    let message = "unknown code; compare it with the code on the machine that logs in, or start the login again: a code is valid for \
                   10 minutes";
    Error::new(Code::NotFound, message)
}

fn expired() -> Error {
    Error::new(Code::NotFound, "the login has expired; start it again")
}

/// An approved login.
#[derive(Debug)]
pub struct ApprovedLogin {
    /// The user on whose behalf the new key acts; `None` for a key without a user.
    pub user_id: Option<Id<User>>,
    /// The level of the new key.
    pub permission_level: PermissionLevel,
    /// Until when the key can be fetched.
    pub expires_at: DateTime<Utc>,
}

/// Approves a login, by its code or its one-time password: its key gets the user and all permissions of the caller's key. The
/// local operator names a user.
///
/// # Errors
/// `forbidden`; `not_found` for an unknown or expired code or one-time password, or an unknown user; `rate_limited` after too many
/// wrong codes; `conflict` for a login that is already approved.
pub async fn approve(app: &App, caller: &Caller, text: &str, user_id: Option<Id<User>>) -> Result<ApprovedLogin> {
    app.authorize(caller, Action::LoginApprove).await?;
    let login = identify(app, caller, text).await?;
    let target = user_id.or(caller.user_id()).map_or(Target::Organization(caller.organization_id), Target::User);
    app.change(caller, Action::LoginApprove, target, async |change| {
        let (user_id, permission_level, scopes) = match (caller.principal, user_id) {
            (Principal::ApiKey { user_id, permission, scopes, .. }, None) => (user_id, permission, scopes),
            (Principal::Session { user_id, permission, .. }, None) => (Some(user_id), permission, Scopes::All),
            (Principal::Operator, Some(user_id)) => {
                let organization_id = change.organization_id();
                let holder = keys::holder(change.connection(), organization_id, user_id).await?;
                (Some(user_id), holder.level, Scopes::All)
            }
            _ => {
                return Err(Error::invalid(
                    "a login can be approved with an API key, in a session, or by the local operator on behalf of a user",
                ));
            }
        };
        write::delete_expired(change).await?;
        let approval = Approval { user_id, permission_level, scopes };
        let expires_at = login.request.expires_at;
        if !write::approve(change, &login.sha256, expires_at, &approval).await? {
            return Err(answered());
        }
        change.record(Event::LoginApproved { user_id, organization_id: caller.organization_id });
        Ok(ApprovedLogin { user_id, permission_level, expires_at })
    })
    .await
}

/// Denies a login that the caller, a user in a session, did not start: nobody gets a key with its one-time password.
///
/// # Errors
/// `forbidden`; `not_found` for an unknown or expired one-time password; `conflict` for a login that is approved or denied.
pub async fn deny(app: &App, caller: &Caller, otp: &str) -> Result<()> {
    app.authorize(caller, Action::LoginDeny).await?;
    let Principal::Session { user_id, .. } = caller.principal else {
        return Err(Error::invalid("a login can be denied in a session only"));
    };
    let otp = checked(app, otp)?;
    app.change(caller, Action::LoginDeny, Target::User(user_id), async |change| {
        write::delete_expired(change).await?;
        if !write::deny(change, &otp.sha256, otp.expires_at).await? {
            return Err(answered());
        }
        change.record(Event::LoginDenied(user_id));
        Ok(())
    })
    .await
}

fn answered() -> Error {
    Error::new(Code::Conflict, "the login is already approved or denied; start a new one")
}

/// The answer of a person to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was approved, and the key may have been fetched.
    Approved,
    /// It was denied.
    Denied,
}

/// Whether a login has been approved or denied.
///
/// # Errors
/// Those of the database.
pub async fn answer(app: &App, otp: &Otp) -> Result<Option<Answer>> {
    let login = read::approved(app, otp).await?;
    Ok(login.map(|login| if login.is_denied { Answer::Denied } else { Answer::Approved }))
}

/// The name of a login's key: `login of ada@example.com on laptop`.
fn key_name(read::NameParts { email, machine, address }: read::NameParts) -> String {
    let of = email.map(|email| format!(" of {email}"));
    let at =
        machine.map(|machine| format!(" on {machine}")).or_else(|| address.map(|address| format!(" from {address}")));
    let name = format!("login{}{}", of.unwrap_or_default(), at.unwrap_or_default());
    if name.chars().count() <= LONGEST_KEY_NAME {
        return name;
    }
    name.chars().take(LONGEST_KEY_NAME - 1).chain(['…']).collect()
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
    if login.is_denied {
        return Err(Error::new(Code::Conflict, "the login was denied; if you started it yourself, start a new one"));
    }
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
            users::lock::rows(change, &[user_id]).await?;
        }
        let approval = write::fetch(change, &otp).await?.ok_or_else(already_fetched)?;
        failpoints::reach("login::fetched").await;
        let lifetime = match otp.duration_seconds {
            0 => Lifetime::Longest,
            seconds => Lifetime::AtMost(i64::from(seconds)),
        };
        let organization_id = change.organization_id();
        let parts = read::name_parts(change.connection(), organization_id, approval.user_id, &otp).await?;
        let spec = KeySpec {
            key_id: None,
            name: key_name(parts),
            user_id: approval.user_id,
            permission_level: Some(approval.permission_level),
            scopes: Some(approval.scopes),
            lifetime,
        };
        let key = keys::add(app, change, &spec).await?;
        // The access of an approving key was confirmed with the new key. The operator approves on behalf of a user.
        if let Some(user_id) = approval.user_id {
            let (organization_id, now) = (change.organization_id(), change.now());
            caller::lock_membership(change.connection(), organization_id, Some(user_id)).await?;
            if !read::is_active(change.connection(), organization_id, user_id, now).await? {
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
