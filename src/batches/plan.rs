//! A plan: the result of a dry run as a token that a later request can be bound to.
//!
//! `plan1_<key>_<list>_<outcome>`, all in hex: the ID of the server key, the fingerprint of the list as it was
//! sent, and that of the accounts that would be created. The server stores nothing. With two fingerprints, the error
//! can say which of the two has changed.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Code, Error, Result};
use crate::fingerprint::{Fingerprints, KeyId};
use crate::id::{Id, Organization};
use crate::users::{Credential, EMAIL_KEY_VERSION, NewUser};

const PREFIX: &str = "plan1_";

/// The bytes of each fingerprint: 128 bits.
const PART: usize = 16;

/// The fingerprints of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    key_id: KeyId,
    list: [u8; PART],
    outcome: [u8; PART],
}

/// A string that is not a plan.
#[derive(Debug, thiserror::Error)]
#[error("`Muster-Plan` must be the `plan` of a dry run")]
pub struct InvalidPlan;

/// The inputs, in addition to the list, that determine the accounts.
pub(super) struct Outcome<'a> {
    pub(super) organization_id: Id<Organization>,
    /// Whether users must change their password at the first sign-in.
    pub(super) must_change: bool,
    pub(super) users: &'a [NewUser],
}

impl Outcome<'_> {
    /// A digest of everything that determines the accounts.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(Uuid::from(self.organization_id));
        digest.update([u8::from(self.must_change)]);
        digest.update(EMAIL_KEY_VERSION.to_be_bytes());
        for user in self.users {
            let credential = credential_kind(&user.credential);
            for part in [user.email.key().as_bytes(), user.permission_level.as_str().as_bytes(), credential] {
                digest.update(part);
                digest.update(b"\0");
            }
        }
        digest.finalize().into()
    }
}

/// How a credential lets its user sign in.
pub(crate) const fn credential_kind(credential: &Credential) -> &'static [u8] {
    match credential {
        Credential::Sso => b"sso",
        Credential::Unset => b"unset",
        Credential::Password(_) => b"password",
        Credential::Imported { must_change: true, .. } => b"imported, must change",
        Credential::Imported { must_change: false, .. } => b"imported",
    }
}

impl Plan {
    /// The plan of a list whose outcome has this digest.
    pub(crate) fn of(fingerprints: &Fingerprints, list: &[u8], outcome: &[u8; 32]) -> Self {
        let (list, outcome) = (fingerprints.of("planned list", list), fingerprints.of("outcome", outcome));
        Self { key_id: list.key_id, list: half(list.mac), outcome: half(outcome.mac) }
    }

    /// Whether the planned outcome has this digest.
    pub(crate) fn has_outcome(&self, fingerprints: &Fingerprints, outcome: &[u8; 32]) -> bool {
        fingerprints.recognize(&self.key_id, &self.outcome, "outcome", outcome) == Some(true)
    }

    pub(super) fn new(fingerprints: &Fingerprints, list: &[u8], outcome: &Outcome<'_>) -> Self {
        Self::of(fingerprints, list, &outcome.digest())
    }

    /// Checks that the list is the planned one.
    ///
    /// # Errors
    /// `plan_changed`.
    pub(crate) fn check_list(&self, fingerprints: &Fingerprints, list: &[u8]) -> Result<()> {
        match fingerprints.recognize(&self.key_id, &self.list, "planned list", list) {
            Some(true) => Ok(()),
            Some(false) => Err(changed("the list differs from the planned one")),
            None => Err(changed("the plan was made with a `secrets.server_key` that this server does not have")),
        }
    }

    /// Checks that the outcome is the planned one.
    ///
    /// # Errors
    /// `plan_changed`.
    pub(super) fn check_outcome(&self, fingerprints: &Fingerprints, outcome: &Outcome<'_>) -> Result<()> {
        match self.has_outcome(fingerprints, &outcome.digest()) {
            true => Ok(()),
            false => Err(changed(
                "the list is the planned one, but would create different accounts: it was planned in another \
                 organization, or the server's password settings have changed",
            )),
        }
    }
}

fn changed(what: &str) -> Error {
    Error::new(Code::PlanChanged, format!("{what}; nothing was written, so make a new dry run"))
}

fn half(mac: [u8; 32]) -> [u8; PART] {
    let mut half = [0; PART];
    half.iter_mut().zip(mac).for_each(|(place, byte)| *place = byte);
    half
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [key_id, list, outcome] = [hex::encode(self.key_id), hex::encode(self.list), hex::encode(self.outcome)];
        write!(f, "{PREFIX}{key_id}_{list}_{outcome}")
    }
}

impl FromStr for Plan {
    type Err = InvalidPlan;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidPlan> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(InvalidPlan)?.split('_');
        let mut plan = Self { key_id: [0; 8], list: [0; PART], outcome: [0; PART] };
        for place in [&mut plan.key_id[..], &mut plan.list[..], &mut plan.outcome[..]] {
            hex::decode_to_slice(parts.next().ok_or(InvalidPlan)?, place).map_err(|_| InvalidPlan)?;
        }
        if parts.next().is_some() { Err(InvalidPlan) } else { Ok(plan) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plan_round_trips(key_id: [u8; 8], list: [u8; 16], outcome: [u8; 16]) {
            let plan = Plan { key_id, list, outcome };
            prop_assert_eq!(plan.to_string().parse::<Plan>().ok(), Some(plan));
        }

        #[test]
        fn parses_only_what_it_formats(text in "(plan1_)?[0-9a-f_]{0,100}") {
            if let Ok(plan) = text.parse::<Plan>() {
                prop_assert_eq!(plan.to_string(), text);
            }
        }
    }
}
