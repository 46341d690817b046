//! Secrets of links that are sent by mail. They are derived, so that the queue of messages holds no secret, and any instance can
//! make a message again.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Token;
use crate::app::App;
use crate::error::{Error, Result};
use crate::id::{Id, Organization, PasswordLink};
use crate::seal::{KeyId, Purpose};

/// The length of a secret: 43 characters of 62 are 256 bits.
const LENGTH: usize = 43;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The key from which secrets are derived.
pub(crate) struct LinkKey {
    /// The seal key from which it is derived.
    pub(super) id: KeyId,
    key: Zeroizing<[u8; 32]>,
}

impl LinkKey {
    /// The key of new links.
    ///
    /// # Errors
    /// `seal_key_missing`.
    pub(crate) fn current(app: &App) -> Result<Self> {
        let id = app.seal_keys.current_id()?;
        Self::find(app, &id).ok_or_else(|| Error::internal("the current seal key is not there"))
    }

    /// The key of a stored link; `None` if its seal key is not configured.
    pub(crate) fn find(app: &App, id: &[u8]) -> Option<Self> {
        let key = app.seal_keys.derive(id, Purpose::MailedLink)?;
        Some(Self { id: id.try_into().ok()?, key })
    }

    /// The token of a link.
    pub(crate) fn token(&self, organization_id: Id<Organization>, link_id: Id<PasswordLink>) -> Token {
        Token::with_secret(organization_id, link_id, secret(&self.key, organization_id, link_id))
    }
}

/// HMAC-SHA256 of the IDs, in base 62.
fn secret(key: &[u8; 32], organization_id: Id<Organization>, link_id: Id<PasswordLink>) -> String {
    // A key of any length is valid.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    hmac.update(Uuid::from(organization_id).as_bytes());
    hmac.update(Uuid::from(link_id).as_bytes());
    hmac.update(b"link");
    base62(hmac.finalize().into_bytes().into())
}

fn base62(mut number: [u8; 32]) -> String {
    let mut digits = [b'0'; LENGTH];
    for place in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in &mut number {
            let value = rest * 256 + u16::from(*byte);
            // Less than 256, since `rest` is less than 62.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *place = DIGITS.get(usize::from(rest)).copied().unwrap_or(b'0');
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<K: crate::id::Kind>(number: u128) -> Id<K> {
        Id::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn s_37_a_secret_is_an_hmac_of_organization_link_and_purpose() {
        // python3: hmac(key=b"k"*32, organization.bytes + link.bytes + b"link", SHA-256), in base 62
        let made = secret(b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", id(1), id(2));
        assert_eq!(made, "FR17yFFKye9JvMPgGHQLyLBMpdsxhyDHrlURRhC5Hzb");
        assert_ne!(made, secret(b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", id(2), id(1)));
        assert_ne!(made, secret(b"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk.", id(1), id(2)));
        let token = Token::with_secret(id(1), id(2), made);
        assert!(Token::parse(token.text().expose()).unwrap().matches(&token.sha256()));
    }

    #[test]
    fn base_62_has_a_fixed_length() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        assert_eq!(base62([255; 32]), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
        let mut one = [0; 32];
        one[31] = 62;
        assert_eq!(base62(one), format!("{}10", "0".repeat(41)));
    }
}
