//! Binding identities by command, and making users ones of single sign-on.

use super::read::{self, Identity};
use super::write::{self, BoundHow};
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, Principal};
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, SsoIdentity, User};
use crate::{sessions, users};

/// The longest subject, in bytes.
const LONGEST_SUBJECT: usize = 255;

/// Lists the identities of a user, the latest first.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn identities(app: &App, caller: &Caller, user_id: Id<User>) -> Result<Vec<Identity>> {
    let mut connection = app.read(caller, Action::SsoIdentityList).await?;
    let found = read::identities(&mut connection, caller.organization_id, user_id).await?;
    drop(connection);
    if found.is_empty() {
        // Of another organization, perhaps.
        users::get(app, caller, user_id).await?;
    }
    Ok(found)
}

/// The identities of the caller's own user, the latest first.
///
/// # Errors
/// Those of the database.
pub async fn own_identities(app: &App, caller: &Caller) -> Result<Vec<Identity>> {
    let Some(user_id) = caller.user_id() else { return Ok(Vec::new()) };
    let mut connection = app.reader(&app.db.interactive).await?;
    read::identities(&mut connection, caller.organization_id, user_id).await
}

/// Binds the identity with a subject at a provider to a user of single sign-on.
///
/// # Errors
/// `forbidden`; `not_found`; `invalid_request`; `conflict` if the subject or the user is bound at this provider already, or the user is
/// not one of single sign-on.
pub async fn bind(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    provider: &str,
    subject: &str,
) -> Result<Vec<Identity>> {
    app.authorize(caller, Action::SsoIdentityBind).await?;
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains('\0') {
        return Err(Error::invalid(format!("the subject must have 1 to {LONGEST_SUBJECT} bytes")));
    }
    users::get(app, caller, user_id).await?;
    let mut connection = app.reader(&app.db.interactive).await?;
    let found =
        read::providers(&mut connection, Some(&caller.organization_id.to_string()), Some(provider)).await?.pop();
    drop(connection);
    let found = found.ok_or_else(|| Error::not_found("identity provider", provider.escape_debug()))?;
    let how = if matches!(caller.principal, Principal::Operator) { BoundHow::Operator } else { BoundHow::Owner };
    app.change(caller, Action::SsoIdentityBind, Target::User(user_id), async |change| {
        users::lock::memberships(change, &[user_id]).await?;
        write::bind(change, &found, subject, user_id, how).await?.map(drop).ok_or_else(|| {
            let message = format!(
                "not bound: the user is not one of single sign-on (`muster sso set-sso`), or the user or the subject is bound at \
                 `{}` already",
                found.name
            );
            Error::new(Code::Conflict, message)
        })
    })
    .await?;
    identities(app, caller, user_id).await
}

/// Unbinds an identity, and ends the sessions of its user.
///
/// # Errors
/// `forbidden`; `not_found`; `last_owner` if the identity is the only way in of the owners.
pub async fn unbind(app: &App, caller: &Caller, user_id: Id<User>, identity_id: Id<SsoIdentity>) -> Result<()> {
    app.change(caller, Action::SsoIdentityUnbind, Target::User(user_id), async |change| {
        owners::lock(change).await?;
        let could_sign_in = owners::can_sign_in(change).await?;
        users::lock::memberships(change, &[user_id]).await?;
        change.confirm_own_access(&[user_id]).await?;
        if write::unbind(change, identity_id).await? != Some(user_id) {
            return Err(Error::not_found("identity of this user", identity_id));
        }
        owners::require_sign_in(change, could_sign_in).await?;
        sessions::end_access(change, &[user_id], None, "identity_unbound").await?;
        Ok(())
    })
    .await
}

/// Removes an identity from the caller's own account, which keeps its password, and ends the user's other sessions: they may have been
/// started by somebody with the identity.
///
/// # Errors
/// `reauthentication_needed`; `not_found`; `conflict` if the account has no password; `last_owner` if the identity is the only way in of
/// the owners.
pub async fn unlink(app: &App, caller: &Caller, identity_id: Id<SsoIdentity>) -> Result<()> {
    let Principal::Session { id: session_id, user_id, .. } = caller.principal else {
        return Err(Error::invalid("only a signed-in user can remove an identity"));
    };
    app.change(caller, Action::SsoIdentityLink, Target::User(user_id), async |change| {
        owners::lock(change).await?;
        let could_sign_in = owners::can_sign_in(change).await?;
        users::lock::memberships(change, &[user_id]).await?;
        change.confirm_own_access(&[user_id]).await?;
        if write::unbind(change, identity_id).await? != Some(user_id) {
            return Err(Error::not_found("identity of this user", identity_id));
        }
        if !read::has_password(change, user_id).await? {
            return Err(Error::new(Code::Conflict, "the identity is the only way to sign in to this account"));
        }
        owners::require_sign_in(change, could_sign_in).await?;
        sessions::end_access(change, &[user_id], Some(session_id), "identity_unlinked").await?;
        Ok(())
    })
    .await
}

/// Makes a user one of single sign-on, without a password; or one with a password, without identities. All sessions of the user end.
/// `false`: the user is one already, and nothing was written.
///
/// # Errors
/// `forbidden`; `not_found`; `last_owner` if the password is the only way in of the owners.
pub async fn set_sso(app: &App, caller: &Caller, user_id: Id<User>, is_sso_user: bool) -> Result<bool> {
    // Owners get 404 for a user of another organization.
    users::get(app, caller, user_id).await?;
    app.change(caller, Action::UserUpdate, Target::User(user_id), async |change| {
        owners::lock(change).await?;
        let could_sign_in = is_sso_user && owners::can_sign_in(change).await?;
        users::lock::memberships(change, &[user_id]).await?;
        change.confirm_own_access(&[user_id]).await?;
        let changed = write::set_sso(change, user_id, is_sso_user).await?;
        owners::require_sign_in(change, could_sign_in).await?;
        if !changed {
            change.dry_run();
        }
        Ok(changed)
    })
    .await
}
