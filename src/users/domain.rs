//! Domains of e-mail addresses: their ASCII form, and the characters that a domain name can contain.
//!
//! # Decisions
//!
//! *IDNA2008 decides, not only UTS #46.* UTS #46 maps what people type (upper case, full-width letters) and accepts symbols
//! that no registry registers: dashes, quotation marks, brackets, emoji. They come from word processors and from text that
//! was copied with its punctuation. RFC 6531, section 3.3, requires U-labels (RFC 5890), whose code points are those of
//! RFC 5892. Emoji domains exist below a few top-level domains, but RFC 5892 forbids them (see also ICANN's SAC095).
//!
//! *Joiners are allowed where their context allows them* (RFC 5892, appendix A): Persian names need them, and the A-label of
//! such a name is accepted anyway. Their rules are in UTS #46 as well, and checked there.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, HangulSyllableType, Script};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// Why a domain is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidDomain {
    /// Not a domain name.
    Malformed,
    /// A domain name can't contain this character.
    Character(char),
}

/// Returns the domain as lower-case A-labels.
pub(super) fn to_ascii(domain: &str) -> Result<String, InvalidDomain> {
    let uts46 = Uts46::new();
    let ascii = uts46
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map_err(|_| InvalidDomain::Malformed)?;
    let (unicode, _) = uts46.to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    match unicode.split('.').find_map(forbidden) {
        None => Ok(ascii.into_owned()),
        // As it was written: U+2011 is mapped to U+2010, for example.
        Some(mapped) => {
            let nfkc = ComposingNormalizerBorrowed::new_nfkc();
            let written = domain.chars().find(|c| nfkc.normalize_iter(std::iter::once(*c)).any(|c| c == mapped));
            Err(InvalidDomain::Character(written.unwrap_or(mapped)))
        }
    }
}

/// The first character of a mapped label that RFC 5892 does not allow. UTS #46 checks ASCII characters, joiners,
/// unassigned and ignorable ones, and that the label is stable.
fn forbidden(label: &str) -> Option<char> {
    let characters: Vec<char> = label.chars().collect();
    characters
        .iter()
        .enumerate()
        .find(|(at, c)| !c.is_ascii() && !is_valid(**c).unwrap_or_else(|| fits_context(&characters, *at)))
        .map(|(_, c)| *c)
}

/// Whether a character is allowed everywhere; `None` if that depends on its neighbors.
///
/// RFC 5892, section 2: the exceptions (F), the old Hangul Jamo (I), the ignorable blocks (D), then letters and digits (A).
fn is_valid(c: char) -> Option<bool> {
    match c {
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' => None,
        // UTS #46 has checked them.
        '\u{200c}' | '\u{200d}' => Some(true),
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => Some(true),
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => Some(false),
        '\u{20d0}'..='\u{20ff}' | '\u{1d100}'..='\u{1d24f}' => Some(false),
        c if is_jamo(c) => Some(false),
        c => Some(matches!(
            CodePointMapData::<GeneralCategory>::new().get(c),
            GeneralCategory::LowercaseLetter
                | GeneralCategory::UppercaseLetter
                | GeneralCategory::OtherLetter
                | GeneralCategory::ModifierLetter
                | GeneralCategory::DecimalNumber
                | GeneralCategory::NonspacingMark
                | GeneralCategory::SpacingMark
        )),
    }
}

fn is_jamo(c: char) -> bool {
    use HangulSyllableType as Type;
    let of = CodePointMapData::<Type>::new().get(c);
    [Type::LeadingJamo, Type::VowelJamo, Type::TrailingJamo].contains(&of)
}

/// RFC 5892, appendices A.3 to A.7. That Arabic digits are of one kind (A.8 and A.9) follows from the rules of RFC 5893,
/// which UTS #46 checks.
fn fits_context(label: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| label.get(at)).copied();
    let after = label.get(at + 1).copied();
    let is = |c: Option<char>, script: Script| c.is_some_and(|c| script_of(c) == script);
    match label.get(at) {
        Some('\u{b7}') => before == Some('l') && after == Some('l'),
        Some('\u{375}') => is(after, Script::Greek),
        Some('\u{5f3}' | '\u{5f4}') => is(before, Script::Hebrew),
        Some('\u{30fb}') => {
            label.iter().any(|c| [Script::Hiragana, Script::Katakana, Script::Han].contains(&script_of(*c)))
        }
        _ => false,
    }
}

fn script_of(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::{InvalidDomain, to_ascii};

    #[test]
    fn characters_that_no_domain_name_contains_are_named() {
        for domain in [
            "my\u{2013}company.com",
            "my\u{2011}company.com",
            "example.com\u{201d}",
            "\u{ab}example.com",
            "example.com\u{bb}",
            "example.com\u{3001}",
            "ex\u{2022}ample.com",
            "ex\u{20ac}ample.com",
            "i\u{2764}.ws",
            "\u{1f4a9}.la",
            "ex\u{2211}.com",
            "\u{627}\u{640}\u{628}.com",
            "\u{1100}.com",
            "a\u{20d0}.com",
            "a\u{b7}b.com",
            "\u{375}a.com",
            "\u{627}\u{5f3}\u{628}.com",
            "a\u{30fb}b.com",
        ] {
            let named = domain.chars().find(|c| !c.is_alphanumeric() && *c != '.' || "\u{640}\u{1100}".contains(*c));
            assert_eq!(to_ascii(domain), Err(InvalidDomain::Character(named.unwrap())), "{domain}");
        }
    }

    #[test]
    fn the_a_label_of_such_a_name_is_rejected_too() {
        assert_eq!(to_ascii("xn--i-7iq.ws"), Err(InvalidDomain::Character('\u{2764}')));
        assert_eq!(to_ascii("xn--ls8h.la"), Err(InvalidDomain::Character('\u{1f4a9}')));
    }

    #[test]
    fn names_in_many_scripts_are_accepted() {
        for (domain, ascii) in [
            ("B\u{fc}cher.example", "xn--bcher-kva.example"),
            ("stra\u{df}e.de", "xn--strae-oqa.de"),
            ("example\u{3002}com", "example.com"),
            ("\u{646}\u{627}\u{645}\u{647}\u{200c}\u{627}\u{6cc}.com", "xn--mgba3gch31f060k.com"),
            ("xn--mgba3gch31f060k.com", "xn--mgba3gch31f060k.com"),
            ("l\u{b7}l.cat", "xn--ll-0ea.cat"),
            ("\u{4f8b}\u{5b50}.\u{516c}\u{53f8}", "xn--fsqu00a.xn--55qx5d"),
            ("\u{30a2}\u{30fb}\u{30a2}.jp", "xn--ccka0y.jp"),
            ("\u{905}\u{902}\u{93e}.in", "xn--i1bf6o.in"),
        ] {
            assert_eq!(to_ascii(domain).as_deref(), Ok(ascii), "{domain}");
        }
    }

    #[test]
    fn other_text_is_not_a_domain() {
        for domain in [
            "",
            ".",
            "a..b",
            "-a.com",
            "a b.com",
            "a\u{200d}b.com",
            "a\u{200c}b.com",
            "[127.0.0.1]",
            "xn--a",
            "\u{627}\u{661}\u{6f1}.com",
        ] {
            assert_eq!(to_ascii(domain), Err(InvalidDomain::Malformed), "{domain:?}");
        }
    }
}
