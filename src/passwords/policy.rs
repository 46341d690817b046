//! What a password has to be.
//!
//! # Decisions
//!
//! *No shorter look at a password's strength.* It takes nearly all of a check's time: on one core of
//! a server of two about 25 µs for 8 random characters, 50 for 12, 90 for 16, 200 for 24 and for
//! anything longer; the same for three or four words. Looking at a shorter start first would be
//! faster, and would let weak passwords pass. The start of a known word often looks like chance: of
//! the 14,906 words of more than 10 characters that zxcvbn knows and refuses, forwards or backwards,
//! 3,252 have a start of 10 that it takes for random, `application` among them; of those of more than
//! 16 there are still some. Its longest word has 23 characters, so that a start of 24 cuts none.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use crate::config;
use crate::secret::Secret;

/// The most code points, and the most bytes of UTF-8. Enough for any passphrase; a bound
/// for the work that one can cause.
const LONGEST: usize = 256;
const LONGEST_BYTES: usize = 1024;

/// How much of a password is looked at for its strength first, in characters.
const STRENGTH_LENGTH: usize = 24;

/// A password that keeps the policy, normalised. The only way to one is [`Policy::check`].
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// The rules.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    min_length: usize,
    min_strength: u8,
}

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Fewer characters than this.
    TooShort(usize),
    /// More characters or bytes than fit.
    TooLong,
    /// Characters that no keyboard has the same everywhere: control characters, unassigned ones.
    ForbiddenCharacter,
    /// Found by guessing too soon; it is common, or made of the person's own name.
    TooEasy,
}

impl Weakness {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort(_) => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::ForbiddenCharacter => "password_forbidden_character",
            Self::TooEasy => "password_too_easy",
        }
    }

    /// What is due, for people. Never shows the password.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::TooShort(min) => format!("shorter than {min} characters"),
            Self::TooLong => format!("longer than {LONGEST} characters or {LONGEST_BYTES} bytes"),
            Self::ForbiddenCharacter => "has a control character or one that Unicode doesn't assign".to_owned(),
            Self::TooEasy => {
                "too easy to guess: it is common, follows a pattern or repeats the person's name or address; \
                 several unrelated words are better"
                    .to_owned()
            }
        }
    }
}

impl Policy {
    /// The rules that the settings give.
    #[must_use]
    pub const fn new(config: &config::Passwords) -> Self {
        Self { min_length: config.min_length, min_strength: config.min_strength }
    }

    /// Checks a password that is to be set. `context` is what an attacker who knows the person
    /// tries first: name, address. No rules about composition (NIST SP 800-63B-4, section 3.1.1.2).
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, text: &str, context: &[&str]) -> Result<Password, Weakness> {
        // Before normalising, so that the work is bounded.
        if text.len() > LONGEST_BYTES {
            return Err(Weakness::TooLong);
        }
        let normal = ComposingNormalizerBorrowed::new_nfc().normalize(text);
        let length = normal.chars().count();
        if length > LONGEST || normal.len() > LONGEST_BYTES {
            return Err(Weakness::TooLong);
        }
        if length < self.min_length {
            return Err(Weakness::TooShort(self.min_length));
        }
        if normal.chars().any(is_forbidden) {
            return Err(Weakness::ForbiddenCharacter);
        }
        if !self.is_strong(&normal, context) {
            return Err(Weakness::TooEasy);
        }
        Ok(Password(Secret::new(normal)))
    }
}

impl Policy {
    /// The work grows faster than the length, and a password is no easier to guess than its start:
    /// the whole is looked at only where its start is not enough, or cuts through something that
    /// belongs to the person.
    fn is_strong(&self, normal: &str, context: &[&str]) -> bool {
        let is_enough = |text: &str| u8::from(zxcvbn::zxcvbn(text, context).score()) >= self.min_strength;
        if self.min_strength == 0 {
            return true;
        }
        let start = normal.char_indices().nth(STRENGTH_LENGTH).and_then(|(end, _)| normal.get(..end));
        let start = start.filter(|start| !is_cut(normal, start, context));
        start.is_some_and(is_enough) || is_enough(normal)
    }
}

/// Whether something that belongs to the person goes on beyond the start of the password. The whole
/// may be guessed at once then, though its start can't be: an address of 30 characters, for instance.
fn is_cut(whole: &str, start: &str, context: &[&str]) -> bool {
    let (whole, start) = (whole.to_lowercase(), start.to_lowercase());
    context.iter().filter(|word| !word.is_empty()).any(|word| {
        let word = word.to_lowercase();
        whole.rfind(&word).is_some_and(|place| place + word.len() > start.len())
    })
}

/// Unassigned code points may normalise differently in a later version of Unicode, which would
/// lock their user out.
fn is_forbidden(c: char) -> bool {
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::Control | GeneralCategory::Unassigned | GeneralCategory::Surrogate
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { min_length: 8, min_strength: 2 };

    fn weakness(text: &str) -> Option<Weakness> {
        POLICY.check(text, &["Ada", "Lovelace", "ada.lovelace"]).err()
    }

    #[test]
    fn the_rules_hold_at_their_edges() {
        assert_eq!(weakness("kT9$wqz"), Some(Weakness::TooShort(8)));
        assert_eq!(weakness("kT9$wqzP"), None);
        // Characters count, not bytes.
        assert_eq!(weakness("äöüß🦀éñ"), Some(Weakness::TooShort(8)));
        let long: String = "kT9$wqzP".repeat(32);
        assert_eq!(weakness(&long), None);
        assert_eq!(weakness(&format!("{long}x")), Some(Weakness::TooLong));
        assert_eq!(weakness(&"🦀".repeat(257)), Some(Weakness::TooLong));
        assert_eq!(weakness("kT9$wqzP\0"), Some(Weakness::ForbiddenCharacter));
        assert_eq!(weakness("kT9$wqzP\u{378}"), Some(Weakness::ForbiddenCharacter));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for easy in ["password", "12345678", "qwertyuiop", "Password123!", "lovelace", "ada.lovelace"] {
            assert_eq!(weakness(easy), Some(Weakness::TooEasy), "{easy}");
        }
        assert_eq!(weakness("  correct horse battery staple  "), None);
    }

    #[test]
    fn a_long_address_is_no_password_of_its_own() {
        let address = "ada@muster-company-berlin.example";
        let context = ["muster", "Ada", address, "ada", "muster-company-berlin.example"];
        for easy in [address.to_owned(), address.to_uppercase(), format!("{address}1"), format!("1{address}")] {
            assert_eq!(POLICY.check(&easy, &context).err(), Some(Weakness::TooEasy), "{easy}");
        }
        assert!(POLICY.check("ada@muster-company-berlin.example", &[]).is_ok());
        assert!(POLICY.check(&format!("{address} kT9$wqzP"), &context).is_ok());
    }

    #[test]
    fn long_words_are_refused_though_their_starts_look_random() {
        for easy in ["application", "responsibilities", "nord-pas-de-calais", "tfahcsniemegsgnutlawrev"] {
            assert_eq!(weakness(easy), Some(Weakness::TooEasy), "{easy}");
        }
    }

    #[test]
    fn nothing_is_trimmed() {
        let password = POLICY.check("  correct horse battery  ", &[]).unwrap();
        assert_eq!(password.as_bytes(), b"  correct horse battery  ");
    }

    proptest! {
        #[test]
        fn both_spellings_of_a_character_are_one_password(text in "[a-zäöüéñ]{12,40}") {
            let policy = Policy { min_length: 8, min_strength: 0 };
            let decomposed = icu_normalizer::DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            let (one, other) = (policy.check(&text, &[]).unwrap(), policy.check(&decomposed, &[]).unwrap());
            prop_assert_eq!(one.as_bytes(), other.as_bytes());
        }

        #[test]
        fn what_is_easy_as_a_whole_and_not_longer_than_the_first_look_is_refused(
            start in "[a-z]{0,3}",
            word in "(application|Responsibilities|c0nservation|noitazinagro|12345678|qwertyuiop)",
            end in "[0-9]{0,3}",
        ) {
            let text = format!("{start}{word}{end}");
            let is_easy = u8::from(zxcvbn::zxcvbn(&text, &[]).score()) < 2;
            prop_assert_eq!(POLICY.check(&text, &[]).is_err(), is_easy);
        }

        #[test]
        fn no_text_makes_the_check_panic(text in "\\PC{0,300}") {
            let _ = Policy { min_length: 8, min_strength: 0 }.check(&text, &[]);
        }
    }
}
