//! One read of the audit log at a time for each organization.
//!
//! # Decisions
//!
//! *A filter that matches little reads the whole log*: half a second for 2,000,000 events, on one core of the database. Twenty at
//! once would take all its cores and all connections from everybody else, so an organization's reads take turns. A page
//! without such a filter takes less than a millisecond.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::id::{Id, Organization};

/// The turn of an organization.
type Turn = tokio::sync::Mutex<()>;

/// The organizations whose log is being read.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Id<Organization>, Weak<Turn>>>);

impl Turns {
    /// The turn of an organization, to be locked while its log is read.
    pub(super) fn of(&self, organization_id: Id<Organization>) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&organization_id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(organization_id, Arc::downgrade(&turn));
        turn
    }
}
