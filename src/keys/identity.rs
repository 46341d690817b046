//! Who a key's holder is, and remembering that for a moment.
//!
//! # Decisions
//!
//! *An identity is remembered for a second.* Authenticating a request then costs no query, and a key that is
//! revoked, or whose user is suspended, is refused by every instance within [`LIFETIME`] (bar E-2). The time
//! counts from before the database was asked, so nothing older than that is ever believed. One that is in
//! use is read again from [`REFRESH_AFTER`] on, beside the requests and on another thread than theirs, so that none
//! of them waits for it. The
//! instance that changes something about keys or permissions forgets everything at once ([`crate::change`]),
//! and believes no answer to a question from before that.
//! What is remembered is found by the SHA-256 of the whole token; the token is nowhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::caller::{Caller, Origin, PermissionLevel, Principal, Scopes};
use crate::id::{ApiKey, Id, User};
use crate::organizations;
use crate::users::Profile;

/// How long an identity is believed without asking again.
const LIFETIME: Duration = Duration::from_millis(950);

/// From when on one that is in use is read again.
const REFRESH_AFTER: Duration = Duration::from_millis(450);

/// How many are remembered.
const MOST: usize = 10_000;

/// Whoever holds an API key: the key, its user, and their organization.
#[derive(Debug)]
pub struct Identity {
    /// Which key.
    pub key_id: Id<ApiKey>,
    /// Its name.
    pub key_name: String,
    /// When it stops working; for the secret before the latest rotation, when that does.
    pub(super) expires_at: DateTime<Utc>,
    /// The user who acts with it; `None`: the key acts for itself.
    pub user: Option<(Id<User>, Profile)>,
    /// The organization.
    pub organization: organizations::Summary,
    /// What it allows.
    pub permission: PermissionLevel,
    /// What of that it may be used for.
    pub scopes: Scopes,
    /// Its latest use that was noted, as seconds since 1970.
    pub(super) noted_at: AtomicI64,
}

impl Identity {
    /// Them, asking for something.
    #[must_use]
    pub fn caller(&self, origin: Origin) -> Caller {
        Caller {
            organization_id: self.organization.organization_id,
            principal: Principal::ApiKey {
                id: self.key_id,
                user_id: self.user.as_ref().map(|(user_id, _)| *user_id),
                permission: self.permission,
                scopes: self.scopes,
            },
            origin,
        }
    }

    /// Whether this use of the key is to be noted: once a minute, by whoever asks first.
    pub(super) fn is_worth_noting(&self, now: DateTime<Utc>) -> bool {
        let noted = self.noted_at.load(Ordering::Relaxed);
        now.timestamp() - noted >= TimeDelta::minutes(1).num_seconds()
            && self.noted_at.compare_exchange(noted, now.timestamp(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// What an identity is found by: the SHA-256 of its token.
pub(super) type Digest = [u8; 32];

/// The identities of a moment.
#[derive(Debug, Default)]
pub struct Identities(Mutex<Memories>);

#[derive(Debug, Default)]
struct Memories {
    of: HashMap<Digest, Remembered>,
    /// When all was forgotten, the latest time.
    forgotten_at: Option<Instant>,
}

#[derive(Debug)]
struct Remembered {
    identity: Arc<Identity>,
    asked_at: Instant,
    is_being_refreshed: bool,
}

/// What is remembered of a token.
pub(super) enum Memory {
    /// Who it is.
    Fresh(Arc<Identity>),
    /// Who it is; whoever gets this answer has to ask the database again, soon.
    Aging(Arc<Identity>),
    /// Nothing.
    None,
}

impl Identities {
    /// Forgets all of them: something about keys or permissions has changed.
    pub fn forget(&self) {
        let mut memories = self.lock();
        memories.of.clear();
        memories.forgotten_at = Some(Instant::now());
    }

    pub(super) fn find(&self, digest: &Digest) -> Memory {
        let remembered = &mut self.lock().of;
        let Some(found) = remembered.get_mut(digest) else { return Memory::None };
        let age = found.asked_at.elapsed();
        if age >= LIFETIME {
            remembered.remove(digest);
            return Memory::None;
        }
        if age >= REFRESH_AFTER && !found.is_being_refreshed {
            found.is_being_refreshed = true;
            return Memory::Aging(Arc::clone(&found.identity));
        }
        Memory::Fresh(Arc::clone(&found.identity))
    }

    /// Remembers what the database said when it was asked at `asked_at`; unless all was forgotten since, for
    /// then that may be what was before.
    pub(super) fn remember(&self, digest: Digest, identity: &Arc<Identity>, asked_at: Instant) {
        let mut memories = self.lock();
        if memories.forgotten_at.is_some_and(|forgotten_at| asked_at <= forgotten_at) {
            return;
        }
        let remembered = &mut memories.of;
        if remembered.len() >= MOST {
            remembered.retain(|_, one| one.asked_at.elapsed() < LIFETIME);
        }
        if remembered.len() < MOST {
            let identity = Arc::clone(identity);
            remembered.insert(digest, Remembered { identity, asked_at, is_being_refreshed: false });
        }
    }

    /// Forgets one, which opens nothing any longer.
    pub(super) fn forget_one(&self, digest: &Digest) {
        self.lock().of.remove(digest);
    }

    fn lock(&self) -> MutexGuard<'_, Memories> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn identity() -> Arc<Identity> {
        Arc::new(Identity {
            key_id: Id::from_uuid(Uuid::from_u128(1)),
            key_name: "ci".to_owned(),
            expires_at: DateTime::UNIX_EPOCH,
            user: None,
            organization: organizations::Summary {
                organization_id: Id::from_uuid(Uuid::from_u128(2)),
                name: "Example".to_owned(),
                public_identifier: "example".to_owned(),
                created_at: DateTime::UNIX_EPOCH,
            },
            permission: PermissionLevel::Collaborator,
            scopes: Scopes::All,
            noted_at: AtomicI64::new(0),
        })
    }

    #[test]
    fn an_answer_to_a_question_from_before_a_change_is_not_believed_after_it() {
        let (identities, digest) = (Identities::default(), [0; 32]);
        let asked_at = Instant::now();
        identities.remember(digest, &identity(), asked_at);
        assert!(matches!(identities.find(&digest), Memory::Fresh(_)));
        identities.forget();
        assert!(matches!(identities.find(&digest), Memory::None));
        identities.remember(digest, &identity(), asked_at);
        assert!(matches!(identities.find(&digest), Memory::None));
        std::thread::sleep(Duration::from_millis(1));
        identities.remember(digest, &identity(), Instant::now());
        assert!(matches!(identities.find(&digest), Memory::Fresh(_)));
    }

    #[test]
    fn one_that_is_in_use_is_read_again_by_one_of_those_who_use_it_and_an_old_one_is_forgotten() {
        let (identities, digest, now) = (Identities::default(), [0; 32], Instant::now());
        let before = |age| now.checked_sub(age).unwrap();
        identities.remember(digest, &identity(), before(REFRESH_AFTER));
        assert!(matches!(identities.find(&digest), Memory::Aging(_)));
        assert!(matches!(identities.find(&digest), Memory::Fresh(_)));
        identities.remember(digest, &identity(), before(LIFETIME));
        assert!(matches!(identities.find(&digest), Memory::None));
    }
}
