//! A short-lived cache of the holders of credentials.
//!
//! # Decisions
//!
//! *A holder is cached for just under a second.* Most requests are then authenticated without a query, and every
//! instance rejects a revoked key, an ended session, or a suspended user, within one second. The lifetime starts before the
//! query is sent, so no answer is used for longer than that. An instance that changes credentials or permissions clears its
//! own cache at once ([`crate::change`]) and ignores the answers to queries that it sent before.
//!
//! The cache is indexed by the SHA-256 of the token. The token itself is not stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{KeyHolder, SessionHolder};

/// How long a cached holder is used.
const LIFETIME: Duration = Duration::from_millis(950);

/// The maximum number of cached holders of one kind.
const CAPACITY: usize = 10_000;

/// The SHA-256 of a token.
type Digest = [u8; 32];

/// The holders of API keys and of sessions that were looked up within the last second.
#[derive(Debug, Default)]
pub struct Holders {
    pub(crate) keys: HolderCache<KeyHolder>,
    pub(crate) sessions: HolderCache<SessionHolder>,
}

impl Holders {
    /// Removes all holders, after credentials or permissions have changed.
    pub fn clear(&self) {
        self.keys.clear();
        self.sessions.clear();
    }
}

/// The cache of one kind of holders.
#[derive(Debug)]
pub(crate) struct HolderCache<H>(Mutex<Cache<H>>);

impl<H> Default for HolderCache<H> {
    fn default() -> Self {
        Self(Mutex::new(Cache { entries: HashMap::new(), cleared_at: None }))
    }
}

#[derive(Debug)]
struct Cache<H> {
    entries: HashMap<Digest, Entry<H>>,
    cleared_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry<H> {
    holder: Arc<H>,
    queried_at: Instant,
}

impl<H> HolderCache<H> {
    fn clear(&self) {
        let mut cache = self.lock();
        cache.entries.clear();
        cache.cleared_at = Some(Instant::now());
    }

    /// The cached holder of the token with this digest.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<H>> {
        let cache = self.lock();
        let entry = cache.entries.get(digest).filter(|entry| entry.queried_at.elapsed() < LIFETIME)?;
        Some(Arc::clone(&entry.holder))
    }

    /// Caches the answer to a query that was sent at `queried_at`, unless the cache was cleared since then: the answer
    /// can then predate the change.
    pub(crate) fn insert(&self, digest: Digest, holder: &Arc<H>, queried_at: Instant) {
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

    fn lock(&self) -> MutexGuard<'_, Cache<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Arc<String> {
        Arc::new("holder".to_owned())
    }

    #[test]
    fn an_answer_to_a_query_from_before_a_change_is_not_cached_after_the_change() {
        let (holders, digest) = (HolderCache::default(), [0; 32]);
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
        let (holders, digest, now) = (HolderCache::default(), [0; 32], Instant::now());
        let before = |age| now.checked_sub(age).unwrap();
        holders.insert(digest, &holder(), before(LIFETIME / 2));
        assert!(holders.get(&digest).is_some());
        holders.insert(digest, &holder(), before(LIFETIME));
        assert!(holders.get(&digest).is_none());
    }
}
