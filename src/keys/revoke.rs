//! Revoking keys.

use super::create::no_user;
use super::{Summary, read, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Principal};
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, User};

/// Revokes a key: it opens nothing any longer, on this instance at once and on any other within a second. Any key
/// may revoke itself.
///
/// # Errors
/// `forbidden` for a key of somebody else's, unless an owner asks; `not_found`; `conflict` when it has been revoked
/// before.
pub async fn revoke(app: &App, caller: &Caller, key_id: Id<ApiKey>) -> Result<Summary> {
    let is_itself = matches!(caller.principal, Principal::ApiKey { id, .. } if id == key_id);
    let action = if is_itself { Action::KeyRevokeSelf } else { Action::KeyRevoke };
    let mut key = read::allowed(app, caller, action, key_id).await?.key;
    app.change(caller, action, Target::ApiKey(key_id), async |change| {
        if !write::revoke(change, key_id).await? {
            return Err(Error::new(Code::Conflict, format!("the API key {key_id} has been revoked before")));
        }
        key.revoked_at = Some(change.now());
        Ok(key)
    })
    .await
}

/// Revokes all keys of a user, and tells how many there were. For owners.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` for a user without a key that works, and for the caller themselves, who would
/// be left without one.
pub async fn revoke_all(app: &App, caller: &Caller, user_id: Id<User>) -> Result<usize> {
    app.change(caller, Action::KeyRotateForUser, Target::User(user_id), async |change| {
        let organization_id = change.organization_id();
        if caller.user_id() == Some(user_id) {
            let sentence =
                "these are the keys of whoever asks, with the one that asks: revoke or rotate them one by one";
            return Err(Error::new(Code::Conflict, sentence));
        }
        if read::holder(change.connection(), organization_id, user_id).await?.is_none() {
            return Err(no_user(user_id));
        }
        let revoked = write::revoke_all(change, user_id).await?;
        if revoked.is_empty() {
            let sentence = format!("{user_id} has no API key that works, so there is none to rotate: make one");
            return Err(Error::new(Code::Conflict, sentence));
        }
        change.record(Event::KeysRotatedForUser { user_id, keys: revoked.len() });
        for key_id in &revoked {
            change.record(Event::KeyRevoked(*key_id));
        }
        Ok(revoked.len())
    })
    .await
}
