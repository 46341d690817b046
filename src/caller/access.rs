//! Whether an API key or a session is valid. One rule for each, for authentication and for the check before a commit.

use std::fmt;

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;

use super::Stage;

/// The SHA-256 of the secret of an API key or a session, as the database stores it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest(pub(crate) [u8; 32]);

impl SecretDigest {
    fn matches(self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest")
    }
}

/// What decides whether an API key is valid.
#[derive(Debug)]
pub(crate) struct KeyState<'a> {
    pub(crate) secret_sha256: &'a [u8],
    pub(crate) previous_secret_sha256: Option<&'a [u8]>,
    pub(crate) previous_expires_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) is_user_suspended: bool,
    pub(crate) user_expires_at: Option<DateTime<Utc>>,
}

/// Why an API key is not valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvalidKey {
    /// The code for the audit log.
    pub(crate) reason: &'static str,
    /// The message for the client.
    pub(crate) message: &'static str,
}

impl InvalidKey {
    /// No such key, or another secret. The two are indistinguishable.
    pub(crate) const UNKNOWN: Self = Self { reason: "unknown_key", message: "unknown API key" };
    pub(crate) const DELETED: Self =
        Self { reason: "deleted_user", message: "the API key was deleted together with its user" };
    pub(crate) const ROTATED: Self =
        Self { reason: "rotated_key", message: "the secret of the API key was rotated and is no longer valid" };
    const REVOKED: Self = Self { reason: "revoked_key", message: "the API key is revoked" };
    const EXPIRED: Self = Self { reason: "expired_key", message: "the API key has expired" };
    const SUSPENDED: Self = Self { reason: "suspended_user", message: "the user of the API key is suspended" };
    const USER_EXPIRED: Self =
        Self { reason: "expired_user", message: "the account of the API key's user has expired" };
}

impl KeyState<'_> {
    /// When this secret expires: after a rotation, the previous one can expire before the key. `None` for any other
    /// secret.
    pub(crate) fn expiry(&self, secret: SecretDigest) -> Option<DateTime<Utc>> {
        match (self.previous_secret_sha256, self.previous_expires_at) {
            _ if secret.matches(self.secret_sha256) => Some(self.expires_at),
            (Some(previous), Some(until)) if secret.matches(previous) => Some(self.expires_at.min(until)),
            _ => None,
        }
    }

    /// Checks the key, of which a secret expires at `expires_at`.
    pub(crate) fn check(&self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), InvalidKey> {
        match self.revoked_at {
            Some(_) => Err(InvalidKey::REVOKED),
            None if expires_at <= now => Err(InvalidKey::EXPIRED),
            None if self.is_user_suspended => Err(InvalidKey::SUSPENDED),
            None if self.user_expires_at.is_some_and(|expires_at| expires_at <= now) => Err(InvalidKey::USER_EXPIRED),
            None => Ok(()),
        }
    }
}

/// What decides whether a session is valid.
#[derive(Debug)]
pub(crate) struct SessionState<'a> {
    pub(crate) secret_sha256: &'a [u8],
    /// `None` for a stage of a later version.
    pub(crate) stage: Option<Stage>,
    pub(crate) idle_expires_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) is_ended: bool,
    pub(crate) is_user_suspended: bool,
    pub(crate) user_expires_at: Option<DateTime<Utc>>,
}

/// Why a session is not valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvalidSession {
    /// The code for the audit log.
    pub(crate) reason: &'static str,
    /// The message for the client.
    pub(crate) message: &'static str,
}

impl InvalidSession {
    /// No such session, or another secret. The two are indistinguishable.
    pub(crate) const UNKNOWN: Self = Self { reason: "unknown_session", message: "unknown session; sign in" };
    const ENDED: Self = Self { reason: "ended_session", message: "the session has ended; sign in again" };
    const EXPIRED: Self = Self { reason: "expired_session", message: "the session has expired; sign in again" };
    const SUSPENDED: Self = Self { reason: "suspended_user", message: "the user of the session is suspended" };
    const USER_EXPIRED: Self =
        Self { reason: "expired_user", message: "the account of the session's user has expired" };
}

impl SessionState<'_> {
    /// Checks the session with the secret that was presented, if it is known. Returns its stage.
    pub(crate) fn check(&self, secret: Option<SecretDigest>, now: DateTime<Utc>) -> Result<Stage, InvalidSession> {
        if secret.is_some_and(|secret| !secret.matches(self.secret_sha256)) {
            return Err(InvalidSession::UNKNOWN);
        }
        match self.stage {
            _ if self.is_ended => Err(InvalidSession::ENDED),
            _ if self.expires_at <= now || self.idle_expires_at <= now => Err(InvalidSession::EXPIRED),
            _ if self.is_user_suspended => Err(InvalidSession::SUSPENDED),
            _ if self.user_expires_at.is_some_and(|expires_at| expires_at <= now) => Err(InvalidSession::USER_EXPIRED),
            Some(stage) => Ok(stage),
            None => Err(InvalidSession::UNKNOWN),
        }
    }
}
