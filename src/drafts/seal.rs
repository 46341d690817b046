//! Encrypting drafts: LZ4, then ChaCha20-Poly1305 under a key that is derived from the browser's key for each draft.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{CHACHA20_POLY1305, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::id::{Draft, Id, Organization};
use crate::seal::{decrypt, encrypt};
use crate::secret::Secret;

const KEY_LEN: usize = 32;

/// The key of a browser's drafts, which only its cookie has.
#[derive(Clone)]
pub struct DraftKey(Zeroizing<[u8; KEY_LEN]>);

/// A part of a draft that is encrypted by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Label,
    Content,
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Content => "content",
        }
    }
}

impl DraftKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// The key of a cookie; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let key: [u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// The value of the cookie.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// The key of one draft. `None` never occurs: HKDF can derive as much.
    fn of(&self, draft_id: Id<Draft>) -> Option<UnboundKey> {
        let draft_id = Uuid::from(draft_id);
        let prk = Salt::new(HKDF_SHA256, b"muster draft").extract(self.0.as_slice());
        prk.expand(&[draft_id.as_bytes()], &CHACHA20_POLY1305).ok().map(UnboundKey::from)
    }
}

/// Omits the key.
impl std::fmt::Debug for DraftKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DraftKey(…)")
    }
}

/// Binds a sealed text to its row and column. IDs have one length.
fn associated(organization_id: Id<Organization>, draft_id: Id<Draft>, part: Part) -> Vec<u8> {
    let (organization_id, draft_id) = (Uuid::from(organization_id), Uuid::from(draft_id));
    [organization_id.as_bytes().as_slice(), draft_id.as_bytes(), part.as_str().as_bytes()].concat()
}

pub(super) fn seal(
    key: &DraftKey,
    organization_id: Id<Organization>,
    draft_id: Id<Draft>,
    part: Part,
    text: &[u8],
) -> Result<Vec<u8>> {
    let packed = Zeroizing::new(lz4_flex::compress_prepend_size(text));
    encrypt(key.of(draft_id), &associated(organization_id, draft_id, part), &packed)
}

/// Opens a sealed text; `None` with another key, or if it belongs elsewhere.
pub(super) fn open(
    key: &DraftKey,
    organization_id: Id<Organization>,
    draft_id: Id<Draft>,
    part: Part,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let packed = decrypt(key.of(draft_id), &associated(organization_id, draft_id, part), sealed)?;
    lz4_flex::decompress_size_prepended(&packed).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (Id<Organization>, Id<Draft>) {
        (Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)))
    }

    #[test]
    fn u_52_a_draft_is_opened_with_its_key_and_in_its_place_only() {
        let (organization, draft) = ids();
        let key = DraftKey::generate();
        let text = b"Zenobia,zenobia@example.com".repeat(100);
        let sealed = seal(&key, organization, draft, Part::Content, &text).unwrap();
        assert!(sealed.len() < text.len() / 10, "{}", sealed.len());
        assert!(!sealed.windows(7).any(|part| part == b"Zenobia"));
        let opened = open(&key, organization, draft, Part::Content, &sealed);
        assert_eq!(opened.as_deref(), Some(&text));
        let other = Id::from_uuid(Uuid::from_u128(3));
        assert_eq!(open(&DraftKey::generate(), organization, draft, Part::Content, &sealed), None);
        assert_eq!(open(&key, organization, other, Part::Content, &sealed), None);
        assert_eq!(open(&key, Id::from_uuid(Uuid::from_u128(3)), draft, Part::Content, &sealed), None);
        assert_eq!(open(&key, organization, draft, Part::Label, &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, organization, draft, Part::Content, &changed), None, "byte {at}");
        }
    }

    #[test]
    fn u_52_the_key_round_trips_through_its_cookie_and_is_not_in_debug_output() {
        let key = DraftKey::generate();
        let text = key.text();
        assert_eq!(text.expose().len(), 43);
        assert_eq!(DraftKey::parse(text.expose()).unwrap().0, key.0);
        assert_eq!(format!("{key:?}"), "DraftKey(…)");
        for other in ["", "short", &"A".repeat(42), &"A".repeat(44), &"=".repeat(43)] {
            assert!(DraftKey::parse(other).is_none(), "{other}");
        }
    }
}
