//! Addresses of the log: keyed digests that find the events about an address, and contain no address.
//!
//! # Decisions
//!
//! *Only events that create, invite, rename or delete a person have the digest.* They tie the address to an ID, by which all other
//! events are found, also those of accounts that were created before the log had digests. A digest in every event would be
//! another entry of an index in random order, for no other answer.
//!
//! *The organization is part of the digest*, so that digests don't show that two organizations have a person in common.
//!
//! *64 bits are stored.* The digests of all new users go into an index in random order, which costs an insert of 10,000 events a third
//! of its time with 64 bits, and as much again with 256. One of 10 million events matches another address with a probability of
//! one in 10^12.
//!
//! *An event that renames has the digest of the new address*; that of the previous address is in an earlier event.

use uuid::Uuid;

use crate::fingerprint::Fingerprints;
use crate::id::{Id, Organization};

const PURPOSE: &str = "audit address";

/// The length of a digest in bytes.
const LENGTH: usize = 8;

/// The first bits of an HMAC.
pub(crate) type Digest = [u8; LENGTH];

/// The digest of an address, given by its key ([`crate::users::EmailAddress::key`]).
pub(crate) fn digest(fingerprints: &Fingerprints, organization_id: Id<Organization>, email_key: &str) -> Digest {
    let mac = fingerprints.of(PURPOSE, &text(organization_id, email_key)).mac;
    mac.first_chunk().copied().unwrap_or_default()
}

/// The digests of an address with each of the server keys, for a lookup.
pub(super) fn digests(fingerprints: &Fingerprints, organization_id: Id<Organization>, email_key: &str) -> Vec<Vec<u8>> {
    let mut digests = fingerprints.all_of(PURPOSE, &text(organization_id, email_key));
    digests.iter_mut().for_each(|digest| digest.truncate(LENGTH));
    digests
}

fn text(organization_id: Id<Organization>, email_key: &str) -> Vec<u8> {
    [Uuid::from(organization_id).as_bytes().as_slice(), email_key.as_bytes()].concat()
}
