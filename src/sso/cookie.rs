//! What a sign-in has to remember while the person is at the provider: in an encrypted cookie, so that nothing is written before
//! somebody has authenticated.
//!
//! The key is derived from the server key for this state alone, so it encrypts one text. The organization and the provider
//! are associated data.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::aead::{CHACHA20_POLY1305, UnboundKey};
use serde::{Deserialize, Serialize};

use super::denial::{Denial, DenialClass};
use super::oidc::flow::{Flow, cookie_suffix};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprints;
use crate::id::{Id, Organization, SsoProvider, User};
use crate::seal;

/// How the names of these cookies begin. The rest tells several tabs apart.
pub(crate) const PREFIX: &str = "__Host-Http-muster-sso-";

/// How long a person may take at the provider.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::minutes(10);

const PURPOSE: &str = "sso state cookie";

/// A sign-in in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) return_to: String,
    /// The `max_age` that was sent.
    pub(crate) max_age: Option<u32>,
    /// The user who has to authenticate again, or whose account the identity is linked to.
    pub(crate) user_id: Option<Id<User>>,
    /// Whether the identity is linked to the account of `user_id`, instead of signing in.
    #[serde(default)]
    pub(crate) is_link: bool,
}

/// The place of a cookie: a cookie of one provider is worth nothing at another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) provider_id: Id<SsoProvider>,
}

impl Place {
    fn associated(self) -> Vec<u8> {
        [uuid::Uuid::from(self.organization_id).as_bytes().as_slice(), uuid::Uuid::from(self.provider_id).as_bytes()]
            .concat()
    }
}

/// The name of the cookie of a state.
pub(crate) fn name(state: &str) -> String {
    format!("{PREFIX}{}", cookie_suffix(state))
}

/// The name of the cookie that a response belongs to, however malformed the rest of its query is.
pub(crate) fn of_query(query: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).ok()?;
    url.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| name(&state))
}

/// The value of the cookie: the time, by which the oldest cookie is found, and the encrypted rest.
pub(crate) fn seal(fingerprints: &Fingerprints, place: Place, flow: &Flow, pending: &Pending) -> Result<String> {
    let key = fingerprints.of(PURPOSE, flow.state.as_bytes()).mac;
    let text = serde_json::to_vec(pending).map_err(Error::internal)?;
    let sealed = seal::encrypt(UnboundKey::new(&CHACHA20_POLY1305, &key).ok(), &place.associated(), &text)?;
    Ok(format!("{}.{}", pending.started_at.timestamp(), URL_SAFE_NO_PAD.encode(sealed)))
}

/// When a cookie was made, as it says itself.
pub(crate) fn made_at(value: &str) -> i64 {
    value.split_once('.').and_then(|(time, _)| time.parse().ok()).unwrap_or_default()
}

/// Opens the cookie of a state.
///
/// # Errors
/// `sso_bad_state`; `sso_expired_flow`.
pub(crate) fn open(
    fingerprints: &Fingerprints,
    place: Place,
    state: &str,
    value: &str,
    now: DateTime<Utc>,
) -> Result<Pending, Denial> {
    let invalid = || Denial::bad_state("the cookie of this sign-in is damaged, or of another provider or server key");
    let sealed =
        value.split_once('.').and_then(|(_, sealed)| URL_SAFE_NO_PAD.decode(sealed).ok()).ok_or_else(invalid)?;
    let opened = fingerprints
        .all_of(PURPOSE, state.as_bytes())
        .into_iter()
        .find_map(|key| seal::decrypt(UnboundKey::new(&CHACHA20_POLY1305, &key).ok(), &place.associated(), &sealed));
    let pending: Pending = serde_json::from_slice(&opened.ok_or_else(invalid)?).map_err(|_| invalid())?;
    if now - pending.started_at > LIFETIME {
        return Err(Denial::new(DenialClass::ExpiredFlow, "the sign-in began more than 10 minutes ago"));
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::secret::Secret;

    fn fingerprints(key: &str) -> Fingerprints {
        let mut config = Config::built_in().unwrap();
        config.secrets.server_key = Secret::new(key);
        Fingerprints::new(&config).unwrap()
    }

    const KEY: &str = "a server key that is long enough to be one";

    #[test]
    fn s_62_a_cookie_opens_with_its_state_provider_and_key_for_ten_minutes() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let place = Place { organization_id: Id::new(now), provider_id: Id::new(now) };
        let flow = Flow::generate();
        let pending = Pending {
            nonce: flow.nonce.clone(),
            verifier: flow.verifier.clone(),
            started_at: now,
            return_to: "/account?".to_owned() + &"x".repeat(2_000),
            max_age: Some(0),
            user_id: Some(Id::new(now)),
            is_link: true,
        };
        let value = seal(&fingerprints(KEY), place, &flow, &pending).unwrap();
        assert!(value.len() < 4_000 && !value.contains(&flow.nonce) && made_at(&value) == 1_800_000_000, "{value}");
        let open = |key: &str, place, state: &str, value: &str, now| {
            open(&fingerprints(key), place, state, value, now).map_err(|denial| denial.class)
        };
        assert_eq!(open(KEY, place, &flow.state, &value, now + LIFETIME), Ok(pending.clone()));
        let other = "another server key that is long enough, too";
        assert_eq!(open(&format!("{other}\n{KEY}"), place, &flow.state, &value, now), Ok(pending));
        let bad = Err(DenialClass::BadState);
        assert_eq!(open(other, place, &flow.state, &value, now), bad);
        assert_eq!(open(KEY, place, &flow.nonce, &value, now), bad);
        assert_eq!(open(KEY, Place { provider_id: Id::new(now), ..place }, &flow.state, &value, now), bad);
        assert_eq!(open(KEY, Place { organization_id: Id::new(now), ..place }, &flow.state, &value, now), bad);
        assert_eq!(open(KEY, place, &flow.state, &value[..value.len() - 2], now), bad);
        assert_eq!(open(KEY, place, &flow.state, "", now), bad);
        let late = now + LIFETIME + TimeDelta::seconds(1);
        assert_eq!(open(KEY, place, &flow.state, &value, late), Err(DenialClass::ExpiredFlow));
        // The time in front is not what counts.
        let (_, sealed) = value.split_once('.').unwrap();
        let later = format!("{}.{sealed}", late.timestamp());
        assert_eq!(open(KEY, place, &flow.state, &later, late), Err(DenialClass::ExpiredFlow));
    }

    #[test]
    fn s_61_the_values_of_a_sign_in_are_random_and_name_a_cookie() {
        let (one, other) = (Flow::generate(), Flow::generate());
        let values = [&one.state, &one.nonce, &one.verifier, &other.state, &other.nonce, &other.verifier];
        assert_eq!(values.iter().collect::<std::collections::HashSet<_>>().len(), 6);
        assert!(values.iter().all(|value| value.len() == 43));
        let name = name(&one.state);
        assert!(name.len() == PREFIX.len() + 12 && name != super::name(&other.state) && !name.contains(&one.state));
    }
}
