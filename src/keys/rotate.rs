//! Rotating keys.

use chrono::{DateTime, Duration, Utc};

use super::{NewKey, Rights, Token, read, write};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id};

/// How long the previous secret can stay valid after a rotation, in days.
pub const LONGEST_OVERLAP_DAYS: u32 = 7;

/// The latest rotation of a key, as the caller knows it: a request that is sent again does not replace the secret that the first one
/// has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatestRotation {
    /// Any.
    Any,
    /// At this time; `None`: the key has never been rotated.
    At(Option<DateTime<Utc>>),
}

/// Generates a new secret for a key. The previous secret stays valid for `overlap`, so that the key's users can be
/// changed over one after the other (`None`: the setting `keys.rotation_overlap_hours`). Older secrets become invalid.
/// The key's name and permissions stay the same, and its lifetime, unless the organization's maximum is shorter.
///
/// # Errors
/// `invalid_request` for a negative overlap or one of more than 7 days; `forbidden` for another person's key (an owner
/// may rotate keys of service accounts and keys without a user), or for a key with more permissions than the caller;
/// `not_found`; `conflict` for a revoked or expired key; `precondition_failed` for another latest rotation.
pub async fn rotate(
    app: &App,
    caller: &Caller,
    key_id: Id<ApiKey>,
    overlap: Option<Duration>,
    latest: LatestRotation,
) -> Result<NewKey> {
    let is_own = read::allowed(app, caller, Action::KeyRotate, key_id).await?.is_own;
    let overlap = overlap.unwrap_or_else(|| Duration::hours(i64::from(app.config.keys.rotation_overlap_hours)));
    if overlap < Duration::zero() || overlap > Duration::days(i64::from(LONGEST_OVERLAP_DAYS)) {
        let rule = format!("the previous secret can stay valid for 0 to {LONGEST_OVERLAP_DAYS} days after a rotation");
        return Err(Error::invalid(rule));
    }
    app.change(caller, Action::KeyRotate, Target::ApiKey(key_id), async |change| {
        // Before the locks on keys, in the same order as `set_max_key_days`.
        let max_days = read::max_days(change).await?;
        if !is_own {
            change.authorize(Action::KeyOthers)?;
        }
        write::lock(change, key_id).await?;
        let (caller, now) = (*change.caller(), change.now());
        let found = read::known(change.connection(), &caller, key_id).await?;
        let found = found.ok_or_else(|| Error::not_found("API key", key_id))?;
        if let Some(reason) = denies(&caller, &found) {
            let error = Error::new(Code::Forbidden, reason);
            return Err(change.deny(Action::KeyRotate, AuditDenial::Forbidden, error));
        }
        let mut key = found.key;
        if key.revoked_at.is_some() || key.expires_at <= now {
            let message = format!("API key {key_id} is revoked or expired and can't be rotated; create a new one");
            return Err(Error::new(Code::Conflict, message));
        }
        if latest != LatestRotation::Any && latest != LatestRotation::At(key.rotated_at) {
            let message = format!("API key {key_id} was rotated in the meantime");
            return Err(Error::new(Code::PreconditionFailed, message));
        }
        let token = Token::generate(change.organization_id(), key_id);
        let previous_expires_at: DateTime<Utc> = now + overlap;
        key.rotated_at = Some(now);
        key.previous_expires_at = (previous_expires_at > now).then_some(previous_expires_at);
        let longest = max_days.map(|days| now + Duration::days(i64::from(days)));
        let shortened = longest.filter(|longest| *longest < key.expires_at);
        key.expires_at = shortened.unwrap_or(key.expires_at);
        write::rotate(change, key_id, &token.sha256(), key.expires_at, key.previous_expires_at).await?;
        change.record(Event::KeyRotated { key_id, previous_expires_at, expires_at: shortened });
        Ok(NewKey { key, token: token.text() })
    })
    .await
}

/// The reason why the caller may not rotate a key that they may see.
pub(super) fn denies(caller: &Caller, found: &read::Known) -> Option<&'static str> {
    if caller.principal == Principal::Operator {
        return None;
    }
    if !found.is_own && found.key.user_id.is_some() && !found.is_of_service_account {
        return Some("the new secret of another person's API key would act as that person; revoke the key instead");
    }
    let level = found.key.permission_level;
    let level = found.user_level.map_or(level, |user_level| level.at_most(user_level));
    Rights::of(caller).denies(level, Scopes::from_database(found.key.scopes.as_deref()))
}
