//! E-mail addresses: validation and comparison.
//!
//! Two spellings of one address must not create two accounts, and two different addresses must not be treated as one.
//! An address is stored as it was entered and compared by its *key*: the domain as lower-case A-labels (see
//! [`super::domain`]), the local part in NFKC and case-folded. So `A@x.y`, `a@x.y` and full-width `ａ@x.y` are the same address, and so are
//! `Strauß@x.y` and `strauss@x.y`, and `a@bücher.example` and `a@xn--bcher-kva.example`.
//!
//! muster computes the key itself, because lower case in the database depends on its collation and version.
//! `tests/golden/email_keys.tsv` pins the result. The key of an address may change only with a new [`EMAIL_KEY_VERSION`] and
//! a migration of the stored keys; to accept or reject other addresses needs neither.
//!
//! # Decisions
//!
//! *White space and zero-width characters around an address are dropped*, as they come from cells and web pages and nobody
//! sees them. Inside the address they are errors, which name the character.
//!
//! *No typographic quotation marks in the local part.* RFC 6531 allows them, but `o’brien@example.com` is what a word
//! processor makes of `o'brien@example.com`; it would be a second account of the same person.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use validator::ValidateEmail;

use super::domain::{self, InvalidDomain};
use super::text::trim;

/// The version of the key function, stored with each key.
pub const EMAIL_KEY_VERSION: i16 = 1;

/// RFC 5321, section 4.5.3.1, in octets.
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_ADDRESS: usize = 254;

/// A valid address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress {
    written: String,
    key: String,
}

/// The reason why an address is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidEmail {
    /// Empty or blank.
    Empty,
    /// Not of the form `local@domain`.
    Malformed,
    /// Contains this character, which is invisible or makes different addresses look the same.
    Invisible(char),
    /// Contains this quotation mark before the `@`.
    Quote(char),
    /// The domain contains this character.
    InDomain(char),
    /// Longer than RFC 5321 allows.
    TooLong,
}

impl InvalidEmail {
    /// A stable error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Malformed | Self::Invisible(_) | Self::Quote(_) | Self::InDomain(_) => "email_invalid",
            Self::TooLong => "too_long",
        }
    }

    /// A message for people, without the name of the field.
    #[must_use]
    pub fn message(self) -> Cow<'static, str> {
        let code_point = |c: char| format!("U+{:04X}", u32::from(c));
        match self {
            Self::Empty => "must not be empty".into(),
            Self::Malformed => "not a valid e-mail address".into(),
            Self::Invisible(c) => format!("contains an invisible character ({})", code_point(c)).into(),
            Self::Quote(c) => {
                format!("contains a typographic quotation mark ({}); write ' instead", code_point(c)).into()
            }
            Self::InDomain(c) => {
                format!("has a domain with `{c}` ({}), which no domain name contains", code_point(c)).into()
            }
            Self::TooLong => "longer than an e-mail address can be (64 bytes before the `@`, 254 in total)".into(),
        }
    }
}

impl EmailAddress {
    /// Parses an address. Surrounding white space and zero-width characters are removed.
    ///
    /// # Errors
    /// The first rule that the address violates.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let written = trim(text);
        if written.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        let (local, domain) = written.rsplit_once('@').ok_or(InvalidEmail::Malformed)?;
        if local.len() > LONGEST_LOCAL_PART || written.len() > LONGEST_ADDRESS {
            return Err(InvalidEmail::TooLong);
        }
        // Joiners are allowed in some domains.
        let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
        let in_domain = domain.chars().filter(|c| !is_joiner(*c));
        if let Some(forbidden) = local.chars().chain(in_domain).find(|c| is_forbidden(*c)) {
            return Err(if forbidden.is_ascii() {
                InvalidEmail::Malformed
            } else {
                InvalidEmail::Invisible(forbidden)
            });
        }
        if let Some(quote) = local.chars().find(|c| matches!(c, '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}')) {
            return Err(InvalidEmail::Quote(quote));
        }
        let domain = domain::to_ascii(domain).map_err(|invalid| match invalid {
            InvalidDomain::Malformed => InvalidEmail::Malformed,
            InvalidDomain::Character(c) => InvalidEmail::InDomain(c),
        })?;
        let local = fold(local);
        // The rule of HTML's `<input type=email>` covers ASCII only; RFC 6531 allows all other characters in the
        // local part.
        let in_ascii: String = local.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect();
        if in_ascii.chars().count() > LONGEST_LOCAL_PART || !format!("{in_ascii}@{domain}").validate_email() {
            return Err(InvalidEmail::Malformed);
        }
        Ok(Self { written: written.to_owned(), key: format!("{local}@{domain}") })
    }

    /// The domain in the spelling of keys; `None` for text that is no domain of an address.
    #[must_use]
    pub fn domain_key(domain: &str) -> Option<String> {
        let address = Self::parse(&format!("x@{}", trim(domain))).ok()?;
        address.key.split_once('@').map(|(_, domain)| domain.to_owned())
    }

    /// The address as it was entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The key by which addresses are compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The domain, as in the key: in lower case, and in Punycode if it is internationalized.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// NFKC, case folding, and NFKC again, because folding can produce sequences that compose (Unicode, section 3.13).
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let folded = CaseMapper::new().fold_string(&nfkc.normalize(text)).into_owned();
    nfkc.normalize(&folded).into_owned()
}

/// Characters that make different addresses look the same (control characters, directional marks, invisible and
/// unassigned code points), and whitespace.
fn is_forbidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() || c == ' ';
    }
    c.is_whitespace()
        || CodePointSetData::new::<BidiControl>().contains(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || matches!(
            CodePointMapData::<GeneralCategory>::new().get(c),
            GeneralCategory::Control | GeneralCategory::Unassigned | GeneralCategory::PrivateUse
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_match_the_golden_file() {
        let golden = include_str!("../../tests/golden/email_keys.tsv");
        let lines: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 30);
        for line in lines {
            let (written, expected) = line.split_once('\t').unwrap();
            let written: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            let found = match EmailAddress::parse(&written) {
                Ok(address) => address.key().to_owned(),
                Err(invalid) => format!("!{}", invalid.code()),
            };
            assert_eq!(found, expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_the_key(local in "[\\PC&&[^@ ]]{1,20}", domain in "[a-zäß]{1,10}\\.[a-z]{2,5}") {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}")) {
                let again = EmailAddress::parse(address.key()).map(|address| address.key().to_owned());
                prop_assert_eq!(again.as_deref(), Ok(address.key()));
            }
        }

        #[test]
        fn case_does_not_change_the_key(local in "[a-z0-9.+-]{1,20}", domain in "[a-z]{1,10}\\.[a-z]{2,5}") {
            let (lower, upper) = (format!("{local}@{domain}"), format!("{local}@{domain}").to_uppercase());
            let key = |text: &str| EmailAddress::parse(text).map(|address| address.key().to_owned());
            prop_assert_eq!(key(&lower), key(&upper));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,80}@?\\PC{0,80}") {
            let _ = EmailAddress::parse(&text);
        }
    }
}
