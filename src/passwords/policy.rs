//! What a password has to be.

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
    /// the whole is looked at only where its start is not enough.
    fn is_strong(&self, normal: &str, context: &[&str]) -> bool {
        let is_enough = |text: &str| u8::from(zxcvbn::zxcvbn(text, context).score()) >= self.min_strength;
        let start = normal.char_indices().nth(STRENGTH_LENGTH).and_then(|(end, _)| normal.get(..end));
        self.min_strength == 0 || start.is_some_and(is_enough) || is_enough(normal)
    }
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
        fn no_text_makes_the_check_panic(text in "\\PC{0,300}") {
            let _ = Policy { min_length: 8, min_strength: 0 }.check(&text, &[]);
        }
    }
}
