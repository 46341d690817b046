//! Changing one's own password, and replacing its hash.

use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller, PermissionLevel, Principal, SecretDigest, Stage};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{ApiKey, Id, Organization, User};
use crate::keys;
use crate::mail;
use crate::passwords::{self, Password, PasswordHash};
use crate::secret::Secret;
use crate::sessions::{self, Client, StartedSession, Token};
use crate::users::{self, EmailAddress, password_context};

use super::{Account, Judged, device, read, throttle, write};

/// A change of the caller's own password.
#[derive(Debug)]
pub struct NewPassword {
    /// The current password. A session that must change it, which was started with it, needs none.
    pub current: Option<Secret>,
    /// The new password.
    pub new: Secret,
    /// Whether to revoke the user's API keys, too.
    pub revoke_api_keys: bool,
    /// The device cookie.
    pub device: Option<String>,
}

/// A changed password.
#[derive(Debug)]
pub struct ChangedPassword {
    /// The number of other sessions that were ended.
    pub ended_sessions: usize,
    /// The API keys that were revoked.
    pub revoked_keys: Vec<Id<ApiKey>>,
    /// The caller's session with its new secret; `None` for a caller with an API key.
    pub session: Option<StartedSession>,
    /// The new device cookie of the session.
    pub device: Option<Secret>,
}

/// Changes the caller's own password: ends all other sessions and open links of the user, and gives the caller's session a new secret.
///
/// # Errors
/// `forbidden`; `invalid_request` without the current password; `throttled`; `wrong_password`; `password_rejected`; `conflict` for a
/// user without a password, or bound to single sign-on, or whose password was changed meanwhile; `overloaded`.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    NewPassword { current, new, revoke_api_keys, device }: NewPassword,
) -> Result<ChangedPassword> {
    app.authorize(caller, Action::PasswordChange).await?;
    let no_user = || Error::new(Code::Conflict, "the caller has no user, and so no password");
    let user_id = caller.user_id().ok_or_else(no_user)?;
    let account = read::account_of(app, caller.organization_id, user_id).await?.ok_or_else(no_user)?;
    let Some(stored) = &account.password else {
        let why = match account.is_sso_user {
            true => "you sign in through your organization's identity provider and have no password here",
            false => "you have no password yet; ask an owner for a link with which to set one",
        };
        return Err(Error::new(Code::Conflict, why));
    };
    if account.is_bound_to_sso {
        let why = "your organization requires single sign-on: passwords don't sign in, and nothing was changed";
        return Err(Error::new(Code::Conflict, why));
    }
    // At most 10 minutes ago, the session was started with the current password: the hash that is verified tells whether the new one is
    // the same.
    let is_initial = matches!(caller.principal, Principal::Session { stage: Stage::MustChange, .. });
    let (verify, is_current) = match &current {
        Some(current) => (current, true),
        None if is_initial => (&new, false),
        None => return Err(Error::invalid("`current_password` is required")),
    };
    let known_device = device.as_deref().and_then(|device| device::check(app, device, &account, app.clock.now()));
    let buckets = throttle::of_account(app, &account.email_key, known_device);
    let taken = throttle::take(app, caller.organization_id, buckets).await?;
    let presented = passwords::presented(verify.expose()).filter(|text| !text.expose().is_empty());
    let (text, phc) = match presented {
        Some(text) => (text, stored.phc.clone()),
        None => (Secret::new("none"), app.unmatchable_hash()),
    };
    let verified = match app.hasher.verify(text, phc).await {
        Ok(verified) => verified,
        Err(error) => {
            throttle::give_back(app, caller.organization_id, taken).await;
            return Err(error.into());
        }
    };
    if is_current && !verified.matches {
        let denial = AuditDenial::sign_in(Some(user_id), "wrong_password");
        app.record_denial(caller, Action::PasswordChange, &denial).await;
        return Err(Error::new(Code::WrongPassword, "the current password is wrong; nothing was changed"));
    }
    throttle::give_back(app, caller.organization_id, taken).await;
    let normal = |secret: &Secret| passwords::presented(secret.expose()).map(|text| text.expose().to_owned());
    let is_same = verified.matches && normal(verify) == normal(&new);
    let password = check_new(app, &account, &new, is_same).await?;
    let hash = app.hasher.hash(password).await?;
    failpoints::reach("password::hashed").await;
    let set_at = stored.set_at;
    let changed = app.change(caller, Action::PasswordChange, Target::User(user_id), async |change| {
        // The user first, in the order of all locks.
        match caller.principal {
            Principal::Session { .. } => sessions::note_sign_in(change, user_id).await?,
            _ => users::lock::rows(change, &[user_id]).await?,
        }
        change.lock_own_membership().await?;
        if !write::set(change, user_id, &hash, Some(set_at)).await? {
            return Err(Error::new(Code::Conflict, "the password was changed meanwhile; nothing was written"));
        }
        if revoke_api_keys {
            keys::write::lock_keys_of(change, user_id).await?;
        }
        change.confirm_access().await?;
        let revoked_keys = match revoke_api_keys {
            true => keys::write::revoke_all(change, user_id).await?,
            false => Vec::new(),
        };
        let this = match change.caller().principal {
            Principal::Session { id, .. } => Some(id),
            _ => None,
        };
        let ended_sessions = sessions::end_access(change, &[user_id], this, "password_changed").await?;
        let session = match this {
            Some(session_id) => Some(sessions::advance(app, change, session_id, user_id).await?),
            None => None,
        };
        mail::notify(app, change, user_id, mail::Kind::PasswordChanged).await?;
        change.record(Event::PasswordChanged { user_id, sessions: ended_sessions, keys: revoked_keys.len() });
        let device = session.as_ref().map(|_| device::issue(app, change.organization_id(), user_id, change.now()));
        Ok(ChangedPassword { ended_sessions, revoked_keys, session, device })
    });
    changed.await
}

/// Checks a new password of an account. `is_current`: it is the current one.
///
/// # Errors
/// `password_rejected` with all reasons; `overloaded`.
pub(crate) async fn check_new(app: &App, account: &Account, new: &Secret, is_current: bool) -> Result<Password> {
    let address = EmailAddress::parse(&account.email).ok();
    let mut context = password_context(Some(&account.name), account.lastname.as_deref(), address.as_ref());
    context.push(&account.organization_name);
    let checked = match app.policy.screen(new.expose(), &context) {
        Ok(candidate) => app.hasher.check(candidate).await?,
        Err(why) => Err(why),
    };
    let mut reasons: Vec<String> = checked.as_ref().err().map(|why| why.message()).into_iter().collect();
    if is_current {
        reasons.push("the same as the current password".to_owned());
    }
    match checked {
        Ok(password) if reasons.is_empty() => Ok(password),
        _ => Err(Error::new(Code::PasswordRejected, format!("the new password can't be used: {}", reasons.join("; ")))),
    }
}

/// Sets the password of a user who has presented a link, in its change. The membership is locked.
pub(crate) async fn set(change: &mut Change, user_id: Id<User>, hash: &PasswordHash) -> Result<()> {
    write::set(change, user_id, hash, None).await.map(|_| ())
}

/// Replaces the hash of a password that was just verified, on behalf of its new session. A failure is logged only: the next sign-in
/// tries again.
pub(super) async fn rehash(
    app: &App,
    organization_id: Id<Organization>,
    judged: &Judged,
    password: &Secret,
    session: &StartedSession,
    client: &Client,
) {
    let Some(presented) = passwords::presented(password.expose()) else { return };
    let Ok(token) = Token::parse(session.token.expose()) else { return };
    let principal = Principal::Session {
        id: session.session_id,
        user_id: judged.user_id,
        stage: session.stage,
        permission: PermissionLevel::Collaborator,
        is_fresh: true,
        secret: Some(SecretDigest(token.sha256())),
    };
    let caller = Caller { organization_id, principal, origin: client.origin };
    let replaced = async {
        let hash = app.hasher.hash(Password::verified(presented)).await?;
        let target = Target::User(judged.user_id);
        app.change(&caller, Action::PasswordRehash, target, async |change| {
            change.lock_own_membership().await?;
            write::rehash(change, judged.user_id, &judged.phc, &hash).await
        })
        .await
    };
    if let Err(error) = replaced.await {
        app.db.observe(&error);
        tracing::warn!(error = error.chain(), "failed to replace a password hash; the next sign-in tries again");
    }
}
