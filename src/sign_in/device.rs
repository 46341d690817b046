//! Device cookies: signed names of browsers in which a user has signed in. Their only use is a bucket of their own.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Account;
use crate::app::App;
use crate::id::{Id, Organization, User};
use crate::secret::Secret;

/// How long a device is known.
pub const LIFETIME: TimeDelta = TimeDelta::days(180);

const PURPOSE: &str = "device cookie";

/// The name of a device.
pub(super) type Device = [u8; 16];

/// Issues the cookie of a new device. It is void once the password changes.
pub(crate) fn issue(app: &App, organization_id: Id<Organization>, user_id: Id<User>, set_at: DateTime<Utc>) -> Secret {
    let device: Device = rand::random();
    let issued = app.clock.now().timestamp().to_be_bytes();
    let text = signed(organization_id, user_id, set_at, &device, issued);
    let signature = app.fingerprints.sign(PURPOSE, &text);
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode([&device[..], &issued, &signature].concat()))
}

/// The device of a cookie that was issued for this account and its current password.
pub(super) fn check(app: &App, cookie: &str, account: &Account, now: DateTime<Utc>) -> Option<Device> {
    let set_at = account.password.as_ref()?.set_at;
    let bytes: [u8; 40] = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?.try_into().ok()?;
    let (device, rest) = bytes.split_first_chunk::<16>()?;
    let (issued, signature) = rest.split_first_chunk::<8>()?;
    let text = signed(account.organization_id, account.user_id, set_at, device, *issued);
    let age = now - DateTime::from_timestamp(i64::from_be_bytes(*issued), 0)?;
    let is_valid = app.fingerprints.has_signed(PURPOSE, &text, signature.try_into().ok()?);
    (is_valid && age < LIFETIME).then_some(*device)
}

fn signed(
    organization_id: Id<Organization>,
    user_id: Id<User>,
    set_at: DateTime<Utc>,
    device: &Device,
    issued: [u8; 8],
) -> Vec<u8> {
    let set_at = set_at.timestamp_micros().to_be_bytes();
    [Uuid::from(organization_id).as_bytes(), Uuid::from(user_id).as_bytes(), &set_at[..], device, &issued].concat()
}
