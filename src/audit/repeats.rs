//! Counting denials that repeat, so that nobody can fill the log with them.
//!
//! | denials, in a minute | appended one by one | after that |
//! |---|---|---|
//! | failed authentication, and sign-ins to accounts that don't exist: one organization, reason, and network (/24 or /64) | the first | counted |
//! | of a principal with a valid credential | the first 60, and 600 of all principals of the organization | counted for each action and reason |
//! | of more than 20 kinds in one organization | the first of each of the 20 kinds | counted together, with the reason `other` |
//!
//! When the minute has ended, each count is appended as one event, with the number, and the times of the first and the last.
//!
//! # Decisions
//!
//! *Counts are in memory, of each instance.* A row that counts in place would be an update of the append-only log, and a
//! table of counters would cost the write that counting saves. A crash loses the counts of one minute, and first denials
//! whose record was being written.
//!
//! *Above 300 unknown credentials a minute, a network gets 429.* Only requests that fail are limited: a stranger can't lock
//! out the valid keys behind the same address, and a client whose key was revoked is told so.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{ActorRef, Attribution, AuditDenial, Outcome};
use crate::caller::Action;
use crate::id::{Id, Organization};

/// The span over which denials are counted.
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Denials of one principal that are appended one by one, in a minute.
const OF_PRINCIPAL: u32 = 60;

/// Denials of all principals of an organization that are appended one by one, in a minute.
const OF_ORGANIZATION: u32 = 600;

/// Kinds of denials of an organization that are counted apart.
const KINDS: usize = 20;

/// Unknown credentials from a network in a minute before it gets 429.
const UNKNOWN: u32 = 300;

/// The most organizations and networks that are tracked: a token can name any organization.
const TRACKED: usize = 10_000;

/// A network: an address without its last bits, and the number of the bits that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr, u8);

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(), 24),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(), 64),
        }
    }
}

/// What denials that are counted together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Denial {
    actor: ActorRef,
    action: Action,
    outcome: Outcome,
    reason: &'static str,
    network: Option<Network>,
}

/// Denials of more kinds than are counted apart.
const OTHER: Denial = Denial {
    actor: ActorRef::ANONYMOUS,
    action: Action::KeyUse,
    outcome: Outcome::Denied,
    reason: "other",
    network: None,
};

#[derive(Clone, Copy, Debug)]
struct Count {
    number: u64,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
}

/// The denials of one organization in a minute.
#[derive(Debug)]
struct Minute {
    start: DateTime<Utc>,
    /// Whether the organization exists, as far as known.
    exists: bool,
    appended: HashMap<ActorRef, u32>,
    counts: HashMap<Denial, Count>,
}

impl Minute {
    /// Whether to append the denial. Otherwise it is counted.
    fn note(&mut self, denial: Denial, is_of_stranger: bool, now: DateTime<Utc>) -> bool {
        let of_organization: u32 = self.appended.values().sum();
        if !is_of_stranger {
            let appended = self.appended.entry(denial.actor).or_default();
            if *appended < OF_PRINCIPAL && of_organization < OF_ORGANIZATION {
                *appended += 1;
                return true;
            }
        }
        let is_new = !self.counts.contains_key(&denial);
        let denial = if is_new && self.counts.len() >= KINDS { OTHER } else { denial };
        let is_first = is_new && denial != OTHER && is_of_stranger;
        let count = self.counts.entry(denial).or_insert(Count { number: 0, first: now, last: now });
        if !is_first {
            if count.number == 0 {
                count.first = now;
            }
            count.number += 1;
            count.last = now;
        }
        is_first
    }
}

/// A number of denials that were not appended one by one.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(super) organization_id: Id<Organization>,
    pub(super) actor: ActorRef,
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) reason: &'static str,
    pub(super) details: Value,
}

/// The counts of an instance.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    organizations: HashMap<Id<Organization>, Minute>,
    /// The number of unknown credentials from each network, and when their minute began.
    networks: HashMap<Network, (DateTime<Utc>, u32)>,
}

impl Repeats {
    /// Whether to append a denial. Otherwise it was counted; if [`TRACKED`] organizations are tracked already,
    /// unauthenticated denials of further organizations are dropped.
    pub(crate) fn note(
        &self,
        attribution: Attribution,
        action: Action,
        denial: &AuditDenial,
        now: DateTime<Utc>,
    ) -> bool {
        let is_of_stranger =
            matches!(denial, AuditDenial::Unauthenticated(_) | AuditDenial::SignIn { user_id: None, .. });
        let kind = Denial {
            actor: attribution.actor,
            action,
            outcome: denial.outcome(),
            reason: denial.reason(),
            network: attribution.origin.address.map(Network::of),
        };
        let organizations = &mut self.lock().organizations;
        if organizations.len() >= TRACKED {
            organizations.retain(|_, minute| minute.exists);
            if organizations.len() >= TRACKED && !organizations.contains_key(&attribution.organization_id) {
                return !is_of_stranger;
            }
        }
        let new = || Minute { start: now, exists: true, appended: HashMap::new(), counts: HashMap::new() };
        organizations.entry(attribution.organization_id).or_insert_with(new).note(kind, is_of_stranger, now)
    }

    /// Notes that there is no such organization.
    pub(crate) fn note_unknown(&self, organization_id: Id<Organization>) {
        if let Some(minute) = self.lock().organizations.get_mut(&organization_id) {
            minute.exists = false;
        }
    }

    /// Counts an unknown credential. If there were too many from the network: when to retry.
    pub(crate) fn count_unknown(&self, address: Option<IpAddr>, now: DateTime<Utc>) -> Option<Duration> {
        let networks = &mut self.lock().networks;
        if networks.len() >= TRACKED {
            networks.retain(|_, (start, _)| now - *start < MINUTE);
        }
        let network = Network::of(address?);
        if networks.len() >= TRACKED && !networks.contains_key(&network) {
            return None;
        }
        let (start, number) = networks.entry(network).or_insert((now, 0));
        if now - *start >= MINUTE {
            (*start, *number) = (now, 0);
        }
        *number = number.saturating_add(1);
        (*number > UNKNOWN).then(|| (*start + MINUTE - now).to_std().unwrap_or_default())
    }

    /// Takes the counts of all minutes that ended before `now`; `None`: of all.
    pub(crate) fn take(&self, now: Option<DateTime<Utc>>) -> Vec<Repeated> {
        let has_ended = |minute: &Minute| now.is_none_or(|now| now - minute.start >= MINUTE);
        let mut taken = Vec::new();
        self.lock().organizations.retain(|organization_id, minute| {
            let ended = has_ended(minute);
            if ended && minute.exists {
                let counts = minute.counts.iter().filter(|(_, count)| count.number > 0);
                taken.extend(counts.map(|(denial, count)| repeated(*organization_id, denial, count)));
            }
            !ended
        });
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn repeated(organization_id: Id<Organization>, denial: &Denial, count: &Count) -> Repeated {
    let Denial { actor, action, outcome, reason, network } = *denial;
    let network = network.map(|Network(address, bits)| format!("{address}/{bits}"));
    let details = json!({ "repeated": count.number, "first": count.first, "last": count.last, "network": network });
    Repeated { organization_id, actor, action, outcome, reason, details }
}
