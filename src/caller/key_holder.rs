//! Holders of API keys, and a short-lived cache of them.
//!
//! # Decisions
//!
//! *A holder is cached for just under a second.* Most requests are then authenticated without a query, and every
//! instance rejects a revoked key, or a key of a suspended user, within one second. The lifetime starts before the
//! query is sent, so no answer is used for longer than that. An instance that changes keys or permissions clears its
//! own cache at once ([`crate::change`]) and ignores the answers to queries that it sent before.
//!
//! The cache is indexed by the SHA-256 of the token. The token itself is not stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Caller, Origin, PermissionLevel, Principal, Scopes, SecretDigest};
use crate::id::{ApiKey, Id, Organization, User};

/// How long a cached holder is used.
const LIFETIME: Duration = Duration::from_millis(950);

/// The maximum number of cached holders.
const CAPACITY: usize = 10_000;

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
    pub user: Option<KeyUser>,
    /// The organization's ID.
    pub organization_id: Id<Organization>,
    /// The organization's name.
    pub organization_name: String,
    /// The organization's short name, unique among all organizations.
    pub public_identifier: String,
    /// The lower of the key's level and its user's level.
    pub permission: PermissionLevel,
    /// The scopes that limit `permission` further.
    pub scopes: Scopes,
    /// The last recorded use, in seconds since 1970.
    pub(crate) last_recorded_use: AtomicI64,
}

/// The user of an API key.
#[derive(Clone, Debug)]
pub struct KeyUser {
    /// The user's ID.
    pub user_id: Id<User>,
    /// The first name, or the full name.
    pub name: String,
    /// The last name.
    pub lastname: Option<String>,
    /// The e-mail address.
    pub email: String,
}

impl KeyHolder {
    /// The caller of a request that presents the key.
    #[must_use]
    pub fn caller(&self, origin: Origin) -> Caller {
        Caller {
            organization_id: self.organization_id,
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

    /// Whether to record this use of the key: `true` at most once a minute, for one of concurrent requests.
    pub(crate) fn should_record_use(&self, now: DateTime<Utc>) -> bool {
        let recorded = self.last_recorded_use.load(Ordering::Relaxed);
        let (now, minute) = (now.timestamp(), TimeDelta::minutes(1).num_seconds());
        now - recorded >= minute
            && self.last_recorded_use.compare_exchange(recorded, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The SHA-256 of a token.
type Digest = [u8; 32];

/// The cache of key holders.
#[derive(Debug, Default)]
pub struct KeyHolders(Mutex<Cache>);

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<Digest, Entry>,
    cleared_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    holder: Arc<KeyHolder>,
    queried_at: Instant,
}

impl KeyHolders {
    /// Removes all holders, after keys or permissions have changed.
    pub fn clear(&self) {
        let mut cache = self.lock();
        cache.entries.clear();
        cache.cleared_at = Some(Instant::now());
    }

    /// The cached holder of the token with this digest.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<KeyHolder>> {
        let cache = self.lock();
        let entry = cache.entries.get(digest).filter(|entry| entry.queried_at.elapsed() < LIFETIME)?;
        Some(Arc::clone(&entry.holder))
    }

    /// Caches the answer to a query that was sent at `queried_at`, unless the cache was cleared since then: the answer
    /// can then predate the change.
    pub(crate) fn insert(&self, digest: Digest, holder: &Arc<KeyHolder>, queried_at: Instant) {
        let mut cache = self.lock();
        if cache.cleared_at.is_some_and(|cleared_at| queried_at <= cleared_at) {
            return;
        }
        let entries = &mut cache.entries;
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| entry.queried_at.elapsed() < LIFETIME);
        }
        if entries.len() < CAPACITY {
            entries.insert(digest, Entry { holder: Arc::clone(holder), queried_at });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn holder() -> Arc<KeyHolder> {
        Arc::new(KeyHolder {
            key_id: Id::from_uuid(Uuid::from_u128(1)),
            key_name: "ci".to_owned(),
            expires_at: DateTime::UNIX_EPOCH,
            secret: SecretDigest([0; 32]),
            user: None,
            organization_id: Id::from_uuid(Uuid::from_u128(2)),
            organization_name: "Example".to_owned(),
            public_identifier: "example".to_owned(),
            permission: PermissionLevel::Collaborator,
            scopes: Scopes::All,
            last_recorded_use: AtomicI64::new(0),
        })
    }

    #[test]
    fn an_answer_to_a_query_from_before_a_change_is_not_cached_after_the_change() {
        let (holders, digest) = (KeyHolders::default(), [0; 32]);
        let queried_at = Instant::now();
        holders.insert(digest, &holder(), queried_at);
        assert!(holders.get(&digest).is_some());
        holders.clear();
        assert!(holders.get(&digest).is_none());
        holders.insert(digest, &holder(), queried_at);
        assert!(holders.get(&digest).is_none());
        std::thread::sleep(Duration::from_millis(1));
        holders.insert(digest, &holder(), Instant::now());
        assert!(holders.get(&digest).is_some());
    }

    #[test]
    fn a_holder_is_cached_for_its_lifetime_from_before_the_query() {
        let (holders, digest, now) = (KeyHolders::default(), [0; 32], Instant::now());
        let before = |age| now.checked_sub(age).unwrap();
        holders.insert(digest, &holder(), before(LIFETIME / 2));
        assert!(holders.get(&digest).is_some());
        holders.insert(digest, &holder(), before(LIFETIME));
        assert!(holders.get(&digest).is_none());
    }
}
