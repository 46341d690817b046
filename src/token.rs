//! Bearer tokens, of API keys, sessions and one-time links: `amk_<organization><id>_<secret><checksum>`.
//!
//! - `amk_`: an API key; `ams_`: a session; `ami_`: an invitation; `aml_`: a link to set a password. The prefixes never
//!   change, so secret scanners can rely on them. The vendor's client accepts tokens that start with `a` and contain a `_`.
//! - organization and id: the two IDs, 26 characters each ([`crate::id::encode`]). They locate the object in its
//!   organization, and identify a leaked token so that it can be revoked.
//! - secret: 43 random characters of 62, which are 256 bits.
//! - checksum: the CRC-32 of everything before it, as 6 characters. A mistyped or truncated token is rejected without
//!   a query. The checksum has no other purpose.

use std::fmt;

use rand::RngExt;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::{self, ApiKey, Id, Invitation, Kind, Organization, PasswordLink, Session};
use crate::secret::Secret;

const SECRET_LEN: usize = 43;
const CHECKSUM_LEN: usize = 6;

/// A kind of object that has tokens.
pub trait HasToken: Kind {
    /// The prefix of its tokens.
    const TOKEN_PREFIX: &'static str;
}

impl HasToken for ApiKey {
    const TOKEN_PREFIX: &'static str = "amk_";
}

impl HasToken for Session {
    const TOKEN_PREFIX: &'static str = "ams_";
}

impl HasToken for Invitation {
    const TOKEN_PREFIX: &'static str = "ami_";
}

impl HasToken for PasswordLink {
    const TOKEN_PREFIX: &'static str = "aml_";
}

/// A parsed token of a `K`.
#[derive(Clone)]
pub struct Token<K> {
    /// The organization.
    pub organization_id: Id<Organization>,
    /// The ID of the object.
    pub id: Id<K>,
    secret: Secret,
}

/// A text that is not a token.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidToken;

impl<K: HasToken> Token<K> {
    /// Generates a token with a random secret.
    #[must_use]
    pub fn generate(organization_id: Id<Organization>, id: Id<K>) -> Self {
        let secret: String = rand::rng().sample_iter(Alphanumeric).take(SECRET_LEN).map(char::from).collect();
        Self { organization_id, id, secret: Secret::new(secret) }
    }

    /// A token whose secret was derived: [`SECRET_LEN`] letters and digits.
    pub(crate) fn with_secret(organization_id: Id<Organization>, id: Id<K>, secret: String) -> Self {
        debug_assert!(secret.len() == SECRET_LEN, "the length of a secret");
        Self { organization_id, id, secret: Secret::new(secret) }
    }

    /// Parses a token.
    ///
    /// # Errors
    /// [`InvalidToken`] for any text that is not the output of [`Token::text`].
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let (body, checksum) = text.split_at_checked(text.len().saturating_sub(CHECKSUM_LEN)).ok_or(InvalidToken)?;
        if checksum_of(body) != checksum {
            return Err(InvalidToken);
        }
        let (ids, secret) =
            body.strip_prefix(K::TOKEN_PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidToken)?;
        let (organization, id) = ids.split_at_checked(id::ENCODED_LEN).ok_or(InvalidToken)?;
        if secret.len() != SECRET_LEN || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidToken);
        }
        Ok(Self {
            organization_id: id::decode(organization).map(Id::from_uuid).ok_or(InvalidToken)?,
            id: id::decode(id).map(Id::from_uuid).ok_or(InvalidToken)?,
            secret: Secret::new(secret),
        })
    }

    /// The text of the token, which is shown only once.
    #[must_use]
    pub fn text(&self) -> Secret {
        let body = format!(
            "{}{}{}_{}",
            K::TOKEN_PREFIX,
            id::encode(self.organization_id),
            id::encode(self.id),
            self.secret.expose()
        );
        let checksum = checksum_of(&body);
        Secret::new(body + &checksum)
    }

    /// The SHA-256 of the text of a token: the index of the cache of holders.
    #[must_use]
    pub fn digest(text: &str) -> [u8; 32] {
        Sha256::digest(text).into()
    }

    /// The SHA-256 of the secret, as the database stores it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose()).into()
    }

    /// Compares the stored hash with the secret's, in constant time.
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

/// The CRC-32 in base 62, padded to 6 characters.
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
    fn a_token_round_trips_and_has_the_form_that_the_vendors_client_accepts() {
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
    fn debug_output_does_not_contain_the_secret() {
        let made = token();
        assert!(!format!("{made:?}").contains(made.secret.expose()));
    }

    #[test]
    fn a_token_of_another_kind_is_rejected() {
        let invitation =
            Token::<Invitation>::generate(Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)));
        assert!(invitation.text().expose().starts_with("ami_"));
        assert_eq!(Token::<ApiKey>::parse(invitation.text().expose()).err(), Some(InvalidToken));
        assert_eq!(Token::<Invitation>::parse(token().text().expose()).err(), Some(InvalidToken));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_detected(place in 0_usize..106, replacement in "[0-9A-Za-z]") {
            let text = token().text();
            let mut wrong = text.expose().to_owned();
            wrong.replace_range(place..=place, &replacement);
            prop_assert_eq!(Token::<ApiKey>::parse(&wrong).is_ok(), wrong == text.expose());
        }

        #[test]
        fn no_other_text_parses(text in "\\PC{0,120}") {
            prop_assert_eq!(Token::<ApiKey>::parse(&text).err(), Some(InvalidToken));
        }
    }
}
