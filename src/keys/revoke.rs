//! Revoking keys.

use super::{Summary, read, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Principal};
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, User};
use crate::users::AccountKind;

/// Revokes a key. This instance rejects the key at once, other instances within one second. Every key may revoke
/// itself.
///
/// # Errors
/// `forbidden` for another user's key, unless the caller is an owner; `not_found`; `conflict` for a revoked key.
pub async fn revoke(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<Summary> {
    let is_itself = matches!(caller.principal, Principal::ApiKey { id, .. } if id == key_id);
    let action = if is_itself { Action::KeyRevokeSelf } else { Action::KeyRevoke };
    let read::Known { mut key, is_own, .. } = read::allowed(app, caller, action, key_id).await?;
    app.change(caller, action, Target::ApiKey(key_id), async |change| {
        if !is_own {
            change.authorize(Action::KeyOthers)?;
        }
        write::lock(change, key_id).await?;
        if !write::revoke(change, key_id).await? {
            return Err(Error::new(Code::Conflict, format!("API key {key_id} is already revoked")));
        }
        key.revoked_at = Some(change.now());
        Ok(key)
    })
    .await
}

/// Revokes all active keys of a user of this kind and returns their number. For owners.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` for another kind of account, for a user without an active key, and for the
/// caller's own user, who would be left without one.
pub async fn revoke_all(app: &App, caller: &Caller, user_id: Id<User>, kind: AccountKind) -> Result<usize> {
    app.change(caller, Action::KeyRotateForUser, Target::User(user_id), async |change| {
        if caller.user_id() == Some(user_id) {
            let message = "the API key in use is among the keys to revoke; revoke or rotate your own keys one by one";
            return Err(Error::new(Code::Conflict, message));
        }
        let holder = read::holder(change.connection(), caller.organization_id, user_id).await?;
        kind.check(holder.is_service_account)?;
        let revoked = write::revoke_all(change, user_id).await?;
        if revoked.is_empty() {
            let message = format!("user {user_id} has no active API key; create one");
            return Err(Error::new(Code::Conflict, message));
        }
        change.record(Event::KeysRotatedForUser { user_id, keys: revoked.len() });
        for key_id in &revoked {
            change.record(Event::KeyRevoked(*key_id));
        }
        Ok(revoked.len())
    })
    .await
}
