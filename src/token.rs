//! The text of a secret that opens something, such as an API key: `amk_<organization><id>_<secret><checksum>`.
//!
//! - `amk_`: **a** **k**ey of **m**uster; `ami_`: **a**n **i**nvitation. Never changes, so that scanners for
//!   leaked secrets can know it. The vendor's client takes tokens that start with `a` and have a `_`.
//! - organization and id: the two ids, 26 characters each ([`crate::id::encode`]). A token can so
//!   be looked up in its organization, and a leaked one be recognised and revoked.
//! - secret: 43 characters drawn at random from 62: 256 bits.
//! - checksum: CRC-32 of all before it, as 6 characters. A mistyped or cut token is refused
//!   without asking the database; it protects nothing else.

use std::fmt;

use rand::RngExt;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::{self, ApiKey, Id, Invitation, Kind, Organization};
use crate::secret::Secret;

const SECRET_LEN: usize = 43;
const CHECKSUM_LEN: usize = 6;

/// What a token can open.
pub trait Opened: Kind {
    /// What its tokens begin with.
    const TOKEN_PREFIX: &'static str;
}

impl Opened for ApiKey {
    const TOKEN_PREFIX: &'static str = "amk_";
}

impl Opened for Invitation {
    const TOKEN_PREFIX: &'static str = "ami_";
}

/// A token of a `K`, taken apart.
#[derive(Clone)]
pub struct Token<K> {
    /// The organization it belongs to.
    pub organization_id: Id<Organization>,
    /// Which one it is.
    pub id: Id<K>,
    secret: Secret,
}

/// A text that is not a token of muster's.
#[derive(Debug, PartialEq, Eq)]
pub struct BadToken;

impl<K: Opened> Token<K> {
    /// Draws a new one.
    #[must_use]
    pub fn generate(organization_id: Id<Organization>, id: Id<K>) -> Self {
        let secret: String = rand::rng().sample_iter(Alphanumeric).take(SECRET_LEN).map(char::from).collect();
        Self { organization_id, id, secret: Secret::new(secret) }
    }

    /// Takes a token apart.
    ///
    /// # Errors
    /// [`BadToken`] for anything that [`Token::text`] would not write.
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let (body, checksum) = text.split_at_checked(text.len().saturating_sub(CHECKSUM_LEN)).ok_or(BadToken)?;
        if checksum_of(body) != checksum {
            return Err(BadToken);
        }
        let (ids, secret) = body.strip_prefix(K::TOKEN_PREFIX).and_then(|rest| rest.split_once('_')).ok_or(BadToken)?;
        let (organization, id) = ids.split_at_checked(id::ENCODED_LEN).ok_or(BadToken)?;
        if secret.len() != SECRET_LEN || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BadToken);
        }
        Ok(Self {
            organization_id: id::decode(organization).map(Id::from_uuid).ok_or(BadToken)?,
            id: id::decode(id).map(Id::from_uuid).ok_or(BadToken)?,
            secret: Secret::new(secret),
        })
    }

    /// The whole text, to be shown once.
    #[must_use]
    pub fn text(&self) -> Secret {
        let body = format!(
            "{}{}{}_{}",
            K::TOKEN_PREFIX,
            id::encode(self.organization_id.uuid()),
            id::encode(self.id.uuid()),
            self.secret.expose()
        );
        let checksum = checksum_of(&body);
        Secret::new(body + &checksum)
    }

    /// What a whole token is known by in memory.
    #[must_use]
    pub fn digest(text: &str) -> [u8; 32] {
        Sha256::digest(text).into()
    }

    /// What is stored of the secret.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose()).into()
    }

    /// Whether the stored hash is this secret's, in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.sha256().ct_eq(stored).into()
    }
}

impl<K: Kind> fmt::Debug for Token<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

/// CRC-32 in base 62, always 6 characters.
fn checksum_of(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(rest % 62).unwrap_or_default();
        *digit = DIGITS.get(value).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn token() -> Token<ApiKey> {
        Token::generate(Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)))
    }

    #[test]
    fn a_token_reads_back_and_has_the_form_that_the_vendors_client_takes() {
        let made = token();
        let text = made.text();
        assert!(text.expose().starts_with("amk_"));
        assert_eq!(text.expose().len(), 4 + 52 + 1 + 43 + 6);
        let read = Token::<ApiKey>::parse(text.expose()).unwrap();
        assert_eq!((read.organization_id, read.id), (made.organization_id, made.id));
        assert!(read.matches(&made.sha256()));
        assert!(!token().matches(&made.sha256()));
    }

    #[test]
    fn a_token_does_not_show_its_secret() {
        let made = token();
        assert!(!format!("{made:?}").contains(made.secret.expose()));
    }

    #[test]
    fn a_token_opens_nothing_of_another_kind() {
        let invitation =
            Token::<Invitation>::generate(Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)));
        assert!(invitation.text().expose().starts_with("ami_"));
        assert_eq!(Token::<ApiKey>::parse(invitation.text().expose()).err(), Some(BadToken));
        assert_eq!(Token::<Invitation>::parse(token().text().expose()).err(), Some(BadToken));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(place in 0_usize..106, replacement in "[0-9A-Za-z]") {
            let text = token().text();
            let mut wrong = text.expose().to_owned();
            wrong.replace_range(place..=place, &replacement);
            prop_assert_eq!(Token::<ApiKey>::parse(&wrong).is_ok(), wrong == text.expose());
        }

        #[test]
        fn nothing_else_is_taken_for_a_token(text in "\\PC{0,120}") {
            prop_assert_eq!(Token::<ApiKey>::parse(&text).err(), Some(BadToken));
        }
    }
}
