//! Giving a key a new secret.

use chrono::{DateTime, Duration, Utc};

use super::{Rights, Summary, Token, forbidden, read, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id};
use crate::secret::Secret;

/// For how long an old secret may open beside the new one, in days (bar E-2).
pub const LONGEST_OVERLAP_DAYS: u32 = 7;

/// A key with a secret that was just drawn.
#[derive(Debug)]
pub struct NewSecret {
    /// The key, which is the same otherwise.
    pub key: Summary,
    /// What to show when calling from now on. It is nowhere else.
    pub token: Secret,
}

/// Draws a new secret for a key. The old one opens as well for `overlap` (`None`: as long as the setting
/// `keys.rotation_overlap_hours` says), so that those who use it can be told one after the other; one from before
/// that opens nothing any longer. Name, rights and the end of the key's life stay what they are.
///
/// # Errors
/// `invalid_request` for an overlap that is negative or above 7 days; `forbidden` for a key of somebody else's
/// (an owner rotates those of service accounts and those that are nobody's), or one that may more than the key
/// that asks; `not_found`; `conflict` when it is revoked or has expired.
pub async fn rotate(app: &App, caller: &Caller, key_id: Id<ApiKey>, overlap: Option<Duration>) -> Result<NewSecret> {
    let found = read::allowed(app, caller, Action::KeyRotate, key_id).await?;
    let overlap = overlap.unwrap_or_else(|| Duration::hours(i64::from(app.config.keys.rotation_overlap_hours)));
    if overlap < Duration::zero() || overlap > Duration::days(i64::from(LONGEST_OVERLAP_DAYS)) {
        let rule = format!("an old secret can open for 0 to {LONGEST_OVERLAP_DAYS} days beside the new one");
        return Err(Error::invalid(rule));
    }
    if let Some(sentence) = refuse(caller, &found) {
        return Err(forbidden(app, caller, Action::KeyRotate, sentence).await);
    }
    let mut key = found.key;
    app.change(caller, Action::KeyRotate, Target::ApiKey(key_id), async |change| {
        let now = change.now();
        let state = write::lock(change, key_id).await?.ok_or_else(|| read::no_key(key_id))?;
        if state.revoked_at.is_some() || state.expires_at <= now {
            let sentence =
                format!("the API key {key_id} is revoked or has expired, and can't be rotated: make another");
            return Err(Error::new(Code::Conflict, sentence));
        }
        let token = Token::generate(change.organization_id(), key_id);
        let previous_expires_at: DateTime<Utc> = now + overlap;
        key.rotated_at = Some(now);
        key.previous_expires_at = (previous_expires_at > now).then_some(previous_expires_at);
        write::rotate(change, key_id, &token.sha256(), key.previous_expires_at).await?;
        change.record(Event::KeyRotated { key_id, previous_expires_at });
        Ok(NewSecret { key, token: token.text() })
    })
    .await
}

/// Why the caller can't have a secret of this key, which they may know of.
fn refuse(caller: &Caller, found: &read::Known) -> Option<&'static str> {
    if caller.principal == Principal::Operator {
        return None;
    }
    if !found.is_own && found.key.user_id.is_some() && !found.is_of_service_account {
        return Some("this is another person's API key, and its secret would let you act as them: revoke it instead");
    }
    let level = PermissionLevel::from_database(&found.key.permission_level);
    let level = found.user_level.map_or(level, |user_level| level.at_most(user_level));
    Rights::of(caller).refuse(level, Scopes::from_database(found.key.scopes.as_deref()))
}
