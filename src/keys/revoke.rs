//! Revoking keys.

use super::{Summary, Whose, read, write};
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
/// `forbidden` for another user's key, unless the caller is an owner; `not_found`, also for another user's key where
/// `whose` is [`Whose::Own`]; `conflict` for a revoked key.
pub async fn revoke(app: &App, caller: &Caller, key_id: Id<ApiKey>, whose: Whose) -> Result<Summary> {
    let is_itself = is_in_use(caller, key_id);
    let action = if is_itself { Action::KeyRevokeSelf } else { Action::KeyRevoke };
    if whose == Whose::Anybody {
        app.authorize(caller, Action::KeyOthers).await?;
    }
    let known = match whose {
        Whose::Own => read::own(app, caller, action, key_id).await?,
        Whose::Visible | Whose::Anybody => read::allowed(app, caller, action, key_id).await?,
    };
    let is_for_owners = !known.is_own || whose == Whose::Anybody;
    app.change(caller, action, Target::ApiKey(key_id), async |change| {
        if is_for_owners {
            change.authorize(Action::KeyOthers)?;
        }
        write::lock(change, key_id).await?;
        let caller = *change.caller();
        let found = read::known(change.connection(), &caller, key_id).await?;
        let mut key = found.ok_or_else(|| Error::not_found("API key", key_id))?.key;
        if !write::revoke(change, key_id).await? {
            return Err(Error::new(Code::Conflict, format!("API key {key_id} is already revoked")));
        }
        key.revoked_at = Some(change.now());
        Ok(key)
    })
    .await
}

fn is_in_use(caller: &Caller, key_id: Id<ApiKey>) -> bool {
    matches!(caller.principal, Principal::ApiKey { id, .. } if id == key_id)
}

/// Revokes each key of a list on its own. Returns the reasons for the keys that were not revoked, with their IDs as they
/// were sent, and the length of the list. The key in use is revoked last. The list is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the list; an error of the database.
pub async fn revoke_each(
    app: &App,
    caller: &Caller,
    whose: Whose,
    key_ids: impl Future<Output = Result<Vec<String>>>,
) -> Result<(Vec<(String, Error)>, usize)> {
    app.authorize(caller, Action::KeyRevoke).await?;
    if whose == Whose::Anybody {
        app.authorize(caller, Action::KeyOthers).await?;
    }
    let mut key_ids = key_ids.await?;
    let total = key_ids.len();
    let parse = |text: &str| text.parse::<Id<ApiKey>>().ok();
    key_ids.sort_by_key(|text| parse(text).is_some_and(|key_id| is_in_use(caller, key_id)));
    let mut failed = Vec::new();
    for text in key_ids {
        let revoked = match parse(&text) {
            Some(key_id) => revoke(app, caller, key_id, whose).await.map(drop),
            None => Err(Error::new(Code::NotFound, "no such API key")),
        };
        match revoked {
            Ok(()) => {}
            Err(error) if matches!(error.code(), Code::NotFound | Code::Conflict | Code::Forbidden) => {
                failed.push((text, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((failed, total))
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
        write::lock_keys_of(change, user_id).await?;
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
