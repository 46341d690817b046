//! Holders of API keys and of sessions.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Caller, Origin, PermissionLevel, Principal, Scopes, SecretDigest, Stage};
use crate::id::{ApiKey, Id, Organization, Session, User};

/// The holder of a valid API key: the key, its user, and their organization.
#[derive(Debug)]
pub struct KeyHolder {
    /// The key's ID.
    pub key_id: Id<ApiKey>,
    /// The key's name.
    pub key_name: String,
    /// When the key expires, or its user if that is earlier; after a rotation, when the previous secret does, if that one was
    /// presented.
    pub(crate) expires_at: DateTime<Utc>,
    /// The secret that was presented.
    pub(crate) secret: SecretDigest,
    /// The user on whose behalf the key acts; `None` for a key without a user.
    pub user: Option<HolderUser>,
    /// The organization.
    pub organization: HolderOrganization,
    /// The lower of the key's level and its user's level.
    pub permission: PermissionLevel,
    /// The scopes that limit `permission` further.
    pub scopes: Scopes,
    pub(crate) last_use: LastUse,
}

/// The user of an API key or a session.
#[derive(Clone, Debug)]
pub struct HolderUser {
    /// The user's ID.
    pub user_id: Id<User>,
    /// The first name, or the full name.
    pub name: String,
    /// The last name.
    pub lastname: Option<String>,
    /// The e-mail address.
    pub email: String,
}

/// The organization of an API key or a session.
#[derive(Clone, Debug)]
pub struct HolderOrganization {
    /// The organization's ID.
    pub organization_id: Id<Organization>,
    /// The organization's name.
    pub name: String,
    /// The organization's short name, unique among all organizations.
    pub public_identifier: String,
}

impl KeyHolder {
    /// The caller of a request that presents the key.
    #[must_use]
    pub fn caller(&self, origin: Origin) -> Caller {
        Caller {
            organization_id: self.organization.organization_id,
            principal: Principal::ApiKey {
                id: self.key_id,
                user_id: self.user.as_ref().map(|user| user.user_id),
                permission: self.permission,
                scopes: self.scopes,
                secret: Some(self.secret),
            },
            origin,
        }
    }
}

/// The holder of a session: a user who has signed in, and their organization.
#[derive(Debug)]
pub struct SessionHolder {
    /// The session's ID.
    pub session_id: Id<Session>,
    /// What the session may do.
    pub stage: Stage,
    /// The user.
    pub user: HolderUser,
    /// The organization.
    pub organization: HolderOrganization,
    /// The user's level.
    pub permission: PermissionLevel,
    /// Whether the user signs in through the organization's identity provider.
    pub is_sso_user: bool,
    /// When the user last authenticated.
    pub authenticated_at: DateTime<Utc>,
    /// When the session ends without a further use, with its account, or in any case.
    pub(crate) idle_expires_at: DateTime<Utc>,
    /// When the session ends in any case.
    pub expires_at: DateTime<Utc>,
    /// The secret that was presented.
    pub(crate) secret: SecretDigest,
    pub(crate) last_use: LastUse,
}

/// How long after the sign-in a session may do what needs a fresh one.
pub const FRESH: TimeDelta = TimeDelta::minutes(15);

impl SessionHolder {
    /// The caller of a request with the session's cookie.
    #[must_use]
    pub fn caller(&self, origin: Origin, now: DateTime<Utc>) -> Caller {
        Caller {
            organization_id: self.organization.organization_id,
            principal: Principal::Session {
                id: self.session_id,
                user_id: self.user.user_id,
                stage: self.stage,
                permission: self.permission,
                is_fresh: self.is_fresh(now),
                secret: Some(self.secret),
            },
            origin,
        }
    }

    /// Whether the user authenticated a short time ago.
    #[must_use]
    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        now - self.authenticated_at <= FRESH
    }
}

/// When a use of a key or a session was last recorded, in seconds since 1970.
#[derive(Debug)]
pub(crate) struct LastUse(AtomicI64);

impl LastUse {
    pub(crate) fn new(at: Option<DateTime<Utc>>) -> Self {
        Self(AtomicI64::new(at.map_or(0, |at| at.timestamp())))
    }

    /// Whether to record a use: `true` at most once a minute, for one of concurrent requests.
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let recorded = self.0.load(Ordering::Relaxed);
        let (now, minute) = (now.timestamp(), TimeDelta::minutes(1).num_seconds());
        now - recorded >= minute && self.0.compare_exchange(recorded, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
