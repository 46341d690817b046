//! The password policy.
//!
//! # Decisions
//!
//! *Strength is estimated from the first 24 characters, not fewer.* The estimate takes nearly all of the time of a
//! check: on one core, about 25 µs for 8 random characters, 50 for 12, 90 for 16, 200 for 24 or more; the same for three
//! or four words. A shorter prefix would be faster, and would let weak passwords pass, since the start of a known word
//! often looks random: of the 14,906 words of more than 10 characters that zxcvbn knows, forwards or backwards, 3,252
//! have a 10-character prefix that it takes for random, `application` among them; a few of those longer than 16 do so
//! with 16. Its longest word has 23 characters, so 24 characters truncate none.
//!
//! *The estimate never reads more than a bounded prefix.* A password is at least as strong as its prefix, so a strong
//! prefix is enough. A password whose prefix is weak is rejected whatever follows, which is the safe side: nobody loses
//! more than a passphrase that starts with 48 characters of a pattern. Two bounds are needed, because two things make
//! text expensive: the work grows faster than the length, and it is multiplied by the number of ways to read `4` as `a`,
//! `1` as `i` or `l`, and so on. Without bounds, 100 digits take 15 ms, and 64 characters such as `@4({[<1!|7` hundreds.
//!
//! *The second bound does not hide words.* zxcvbn reads a word only if it writes each letter in one way, and such a word
//! has at most 6 readings. So text with more than 8 has letters that are written in several ways, and zxcvbn finds no
//! word across it, however much of it is read.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use crate::secret::Secret;

/// The maximum number of code points, and of bytes in UTF-8: enough for any passphrase, and a limit on the work per
/// password.
const LONGEST: usize = 256;
const LONGEST_BYTES: usize = 1024;

/// The number of characters that the strength is estimated from first.
const STRENGTH_LENGTH: usize = 24;

/// The number of characters that the strength is estimated from if that many are not enough.
const LONGEST_ESTIMATED: usize = 48;

/// The number of readings, and the number of characters that are estimated regardless of it.
const MOST_READINGS: usize = 8;
const SHORTEST_ESTIMATED: usize = 12;

/// The characters that zxcvbn reads as a letter, for each letter that has several.
const SUBSTITUTES: [&str; 7] = ["4@", "({[<", "69", "1!|", "1|7", "$5", "+7"];

/// A normalized password that satisfies the policy, as [`Candidate::check_strength`] says, or that a user has.
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }

    /// A password that was hashed before the policy of today, to be hashed again.
    pub(crate) fn verified(presented: Secret) -> Self {
        Self(presented)
    }
}

/// A normalized password that satisfies all rules but the one on strength, which takes much more time to check than all
/// others together. Threads that serve requests leave it to the hash pool.
#[derive(Debug)]
pub struct Candidate {
    normal: Secret,
    /// The words of the context, separated by NUL.
    context: Box<str>,
    min_strength: u8,
}

/// Normalizes a password that somebody presents, as it was normalized before it was hashed. `None` if it is longer than any
/// password.
#[must_use]
pub fn presented(text: &str) -> Option<Secret> {
    // Checked before normalization, to limit its work.
    let normal = (text.len() <= LONGEST_BYTES).then(|| ComposingNormalizerBorrowed::new_nfc().normalize(text))?;
    (normal.len() <= LONGEST_BYTES && normal.chars().count() <= LONGEST).then(|| Secret::new(normal))
}

/// The password policy.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    min_length: usize,
    min_strength: u8,
}

/// The policy rule that a password violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// Fewer characters than this minimum.
    TooShort(usize),
    /// Too many characters or bytes.
    TooLong,
    /// A control character or an unassigned code point.
    ForbiddenCharacter,
    /// Too easy to guess: common, a pattern, or derived from the person's name.
    TooEasy,
}

impl PasswordError {
    /// The code of the finding.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort(_) => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::ForbiddenCharacter => "password_forbidden_character",
            Self::TooEasy => "password_too_easy",
        }
    }

    /// The message, without the password.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::TooShort(min) => format!("shorter than {min} characters"),
            Self::TooLong => format!("longer than {LONGEST} characters or {LONGEST_BYTES} bytes"),
            Self::ForbiddenCharacter => "contains a control character or an unassigned Unicode character".to_owned(),
            Self::TooEasy => {
                "too easy to guess: common, a pattern, or the person's name or address; use several unrelated words"
                    .to_owned()
            }
        }
    }
}

impl Policy {
    /// The policy of the settings `passwords.min_length` and `passwords.min_strength`.
    #[must_use]
    pub const fn new(min_length: usize, min_strength: u8) -> Self {
        Self { min_length, min_strength }
    }

    /// Checks a new password. `context` is what an attacker who knows the person tries first: the name and the e-mail
    /// address. There are no composition rules (NIST SP 800-63B-4, section 3.1.1.2).
    ///
    /// # Errors
    /// The first rule that the password violates.
    pub fn check(&self, text: &str, context: &[&str]) -> Result<Password, PasswordError> {
        self.screen(text, context)?.check_strength()
    }

    /// Checks all rules but the one on strength. `context`: see [`Policy::check`].
    ///
    /// # Errors
    /// The first rule that the password violates.
    pub fn screen(&self, text: &str, context: &[&str]) -> Result<Candidate, PasswordError> {
        // Checked before normalization, to limit its work.
        if text.len() > LONGEST_BYTES {
            return Err(PasswordError::TooLong);
        }
        let normal = ComposingNormalizerBorrowed::new_nfc().normalize(text);
        let length = normal.chars().count();
        if length > LONGEST || normal.len() > LONGEST_BYTES {
            return Err(PasswordError::TooLong);
        }
        if length < self.min_length {
            return Err(PasswordError::TooShort(self.min_length));
        }
        if normal.chars().any(is_forbidden) {
            return Err(PasswordError::ForbiddenCharacter);
        }
        let (normal, context) = (Secret::new(normal), context.join("\0").into());
        Ok(Candidate { normal, context, min_strength: self.min_strength })
    }
}

impl Candidate {
    /// Checks the strength.
    ///
    /// # Errors
    /// [`PasswordError::TooEasy`].
    pub fn check_strength(self) -> Result<Password, PasswordError> {
        if self.is_strong() { Ok(Password(self.normal)) } else { Err(PasswordError::TooEasy) }
    }

    fn is_strong(&self) -> bool {
        if self.min_strength == 0 {
            return true;
        }
        let (normal, mut context) = (self.normal.expose(), self.context.split('\0').collect::<Vec<_>>());
        let is_enough =
            |text: &str, context: &[&str]| u8::from(zxcvbn::zxcvbn(text, context).score()) >= self.min_strength;
        let text = affordable(normal);
        let start = text.char_indices().nth(STRENGTH_LENGTH).and_then(|(end, _)| text.get(..end));
        let start = start.filter(|start| cut(normal, start, &context).is_empty());
        if start.is_some_and(|start| is_enough(start, &context)) {
            return true;
        }
        let cut = cut(normal, text, &context);
        context.extend(cut.iter().map(String::as_str));
        is_enough(text, &context)
    }
}

/// The prefix to estimate the strength from. See the decisions above.
fn affordable(text: &str) -> &str {
    let mut seen = [const { Vec::new() }; SUBSTITUTES.len()];
    for (length, (end, c)) in text.char_indices().enumerate() {
        for (seen, _) in seen.iter_mut().zip(SUBSTITUTES).filter(|(_, substitutes)| substitutes.contains(c)) {
            if !seen.contains(&c) {
                seen.push(c);
            }
        }
        let readings: usize = seen.iter().map(|seen| seen.len().max(1)).product();
        if length >= LONGEST_ESTIMATED || (length >= SHORTEST_ESTIMATED && readings > MOST_READINGS) {
            return text.get(..end).unwrap_or(text);
        }
    }
    text
}

/// The starts of the words of the context that extend beyond the prefix. The whole password can be easier to guess than
/// its prefix because of such a word, as an e-mail address of 30 characters.
fn cut(whole: &str, start: &str, context: &[&str]) -> Vec<String> {
    let (whole, start) = (whole.to_lowercase(), start.to_lowercase());
    let words = context.iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase());
    let cut = |word: String| {
        let mut places = whole.match_indices(&word).map(|(place, _)| place);
        let place = places.find(|place| *place < start.len() && place + word.len() > start.len())?;
        start.get(place..).map(str::to_owned)
    };
    words.filter_map(cut).collect()
}

/// Unassigned code points can normalize differently in a later version of Unicode, which would lock the user out.
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

    fn error(text: &str) -> Option<PasswordError> {
        POLICY.check(text, &["Ada", "Lovelace", "ada.lovelace"]).err()
    }

    #[test]
    fn the_rules_hold_at_their_edges() {
        assert_eq!(error("kT9$wqz"), Some(PasswordError::TooShort(8)));
        assert_eq!(error("kT9$wqzP"), None);
        // Characters count, not bytes.
        assert_eq!(error("äöüß🦀éñ"), Some(PasswordError::TooShort(8)));
        let long: String = "kT9$wqzP".repeat(32);
        assert_eq!(error(&long), None);
        assert_eq!(error(&format!("{long}x")), Some(PasswordError::TooLong));
        assert_eq!(error(&"🦀".repeat(257)), Some(PasswordError::TooLong));
        assert_eq!(error("kT9$wqzP\0"), Some(PasswordError::ForbiddenCharacter));
        assert_eq!(error("kT9$wqzP\u{378}"), Some(PasswordError::ForbiddenCharacter));
    }

    #[test]
    fn common_passwords_are_rejected() {
        for easy in ["password", "12345678", "qwertyuiop", "Password123!", "lovelace", "ada.lovelace"] {
            assert_eq!(error(easy), Some(PasswordError::TooEasy), "{easy}");
        }
        assert_eq!(error("  correct horse battery staple  "), None);
    }

    #[test]
    fn a_long_address_is_no_password_for_its_owner() {
        let address = "ada@muster-company-berlin.example";
        let context = ["muster", "Ada", address, "ada", "muster-company-berlin.example"];
        for easy in [address.to_owned(), address.to_uppercase(), format!("{address}1"), format!("1{address}")] {
            assert_eq!(POLICY.check(&easy, &context).err(), Some(PasswordError::TooEasy), "{easy}");
        }
        assert!(POLICY.check("ada@muster-company-berlin.example", &[]).is_ok());
        assert!(POLICY.check(&format!("{address} kT9$wqzP"), &context).is_ok());
    }

    #[test]
    fn long_words_are_rejected_even_if_their_prefixes_look_random() {
        for easy in ["application", "responsibilities", "nord-pas-de-calais", "tfahcsniemegsgnutlawrev"] {
            assert_eq!(error(easy), Some(PasswordError::TooEasy), "{easy}");
        }
    }

    #[test]
    fn a_weak_start_is_rejected_whatever_follows() {
        assert_eq!(error(&format!("{} kT9$wqzPlr", "a".repeat(47))), Some(PasswordError::TooEasy));
        assert_eq!(error(&format!("{} kT9$wqzPlr", "a".repeat(37))), None);
    }

    #[test]
    fn the_estimated_prefix_is_bounded() {
        assert_eq!(affordable(&"x".repeat(240)), "x".repeat(48));
        assert_eq!(affordable(&"1234567890".repeat(24)), &"1234567890".repeat(5)[..48]);
        // Each word has at most 6 readings.
        for word in ["(4t@|0gu3", "1nst|tut10n4l1z4t1on", "p@$$w0rd!!", "|1br4ry7"] {
            assert_eq!(affordable(word), word);
        }
        // i in 3 ways, l in 2: 6; a in 2: 12.
        assert_eq!(affordable("1!|xxxxxxxxxxxxx4@yyyyyyyy"), "1!|xxxxxxxxxxxxx4");
        assert_eq!(affordable("1!|4@({[<69$5+7"), "1!|4@({[<69$");
        assert_eq!(error(&"@4({[<1!|7$5+69".repeat(16)), None);
    }

    #[test]
    fn an_address_that_the_prefix_cuts_is_no_password_for_its_owner() {
        let address = format!("{}@example.com", "kt9wqzplr".repeat(6));
        assert_eq!(POLICY.check(&address, &[&address]).err(), Some(PasswordError::TooEasy));
        assert_eq!(POLICY.check(&format!("{address} {address}"), &[&address]).err(), Some(PasswordError::TooEasy));
        assert!(POLICY.check(&address, &[]).is_ok());
    }

    #[test]
    fn nothing_is_trimmed() {
        let password = POLICY.check("  correct horse battery  ", &[]).unwrap();
        assert_eq!(password.as_bytes(), b"  correct horse battery  ");
    }

    proptest! {
        #[test]
        fn composed_and_decomposed_characters_are_the_same_password(text in "[a-zäöüéñ]{12,40}") {
            let policy = Policy { min_length: 8, min_strength: 0 };
            let decomposed = icu_normalizer::DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            let (one, other) = (policy.check(&text, &[]).unwrap(), policy.check(&decomposed, &[]).unwrap());
            prop_assert_eq!(one.as_bytes(), other.as_bytes());
        }

        #[test]
        fn a_password_within_the_prefix_length_is_rejected_exactly_if_it_is_weak(
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
