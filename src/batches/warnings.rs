//! Warnings: what is probably a mistake in a valid list, and does not prevent its creation.
//!
//! # Decisions
//!
//! *Warnings about people are computed from their data whenever they are read*, like those about hashes, so that nothing
//! has to be stored. Passwords are not stored, so warnings about them are only in the responses of a dry run and of the
//! request that creates the batch.
//!
//! *A shared password is reported without naming the rows that share it.* The response is stored for retries, and nobody
//! should learn from the database which hashes belong to the same password.
//!
//! *Only the most frequent domains are compared*, so that the work is proportional to the length of the list.

use std::collections::HashMap;

use super::CheckedUser;
use crate::field::UserField;
use crate::passwords::ImportedHash;
use crate::report::Finding;
use crate::users::{Credential, NewUser, is_trimmed};

/// The domains of large e-mail providers. The names that differ from them by one edit belong to somebody else, and receive
/// misdirected mail.
const PROVIDERS: [&str; 24] = [
    "aol.com",
    "email.com",
    "fastmail.com",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.com",
    "mail.ru",
    "msn.com",
    "orange.fr",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "t-online.de",
    "web.de",
    "yahoo.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// A domain is frequent if it has this many users, and this many times the users of the domain that is compared with it.
const FREQUENT: usize = 5;
/// The number of frequent domains that are compared.
const MOST_FREQUENT: usize = 20;

/// The shortest provider whose near misses are reported: `me.com` is as near to `we.com` as to a misspelling.
const SHORTEST_COMPARED: usize = 8;

/// The shortest name of an organization that is searched for in passwords.
const SHORTEST_ORGANIZATION: usize = 4;

/// The data of a user that warnings are about.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    /// The index of the row.
    pub(super) index: usize,
    /// The domain of the address, in lower case.
    pub(super) domain: &'a str,
    pub(super) name: &'a str,
    pub(super) lastname: Option<&'a str>,
    pub(super) title: Option<&'a str>,
}

impl<'a> Person<'a> {
    pub(super) fn new(index: usize, user: &'a NewUser) -> Self {
        Self {
            index,
            domain: user.email.domain(),
            name: user.name.as_str(),
            lastname: user.lastname.as_ref().map(|lastname| lastname.as_str()),
            title: user.title.as_ref().map(|title| title.as_str()),
        }
    }
}

/// The warnings about the users of a list whose rows are valid.
pub(crate) fn of_users(users: &[CheckedUser]) -> Vec<Finding> {
    let people: Vec<_> = users.iter().filter_map(CheckedUser::person).collect();
    of_people(&people)
}

/// The warnings about the people of a list, in the order of its rows.
pub(super) fn of_people(people: &[Person<'_>]) -> Vec<Finding> {
    let domains = of_domains(people);
    let mut warnings = Vec::new();
    for person in people {
        if let Some((code, message)) = domains.get(person.domain) {
            warnings.push(Finding::field(person.index, UserField::Email, code, message.clone()));
        }
        let texts = [
            (UserField::Name, Some(person.name)),
            (UserField::Lastname, person.lastname),
            (UserField::Title, person.title),
        ];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            if let Some(first) = text.chars().next().filter(|first| "=+-@".contains(*first)) {
                let message = format!("starts with `{first}`: a spreadsheet would take the text for a formula");
                warnings.push(Finding::field(person.index, field, "formula", message));
            }
            if let Some(hidden) = text.chars().find(|c| is_invisible(*c)) {
                let message = format!("contains U+{:04X}, which is invisible", u32::from(hidden));
                warnings.push(Finding::field(person.index, field, "invisible_character", message));
            }
            if text.contains(char::REPLACEMENT_CHARACTER) {
                let message = "contains U+FFFD, which replaces a character that was lost in a conversion";
                warnings.push(Finding::field(person.index, field, "replacement_character", message));
            }
        }
    }
    warnings
}

/// Whether a character inside a name is invisible and no part of the name: those that are dropped around it, but for joiners.
fn is_invisible(c: char) -> bool {
    is_trimmed(c) && !c.is_whitespace() && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// The code and message for each domain of the list that is probably a mistake.
fn of_domains<'a>(people: &[Person<'a>]) -> HashMap<&'a str, (&'static str, String)> {
    let mut users_of: HashMap<&str, usize> = HashMap::new();
    for person in people {
        *users_of.entry(person.domain).or_default() += 1;
    }
    let mut frequent: Vec<(&str, usize)> =
        users_of.iter().map(|(domain, users)| (*domain, *users)).filter(|(_, users)| *users >= FREQUENT).collect();
    frequent.sort_by_key(|(domain, users)| (std::cmp::Reverse(*users), *domain));
    frequent.truncate(MOST_FREQUENT);
    let warning = |domain: &str, users: usize| {
        if !domain.contains('.') {
            return Some(("domain_without_dot", format!("the domain `{domain}` has no dot")));
        }
        if PROVIDERS.contains(&domain) {
            return None;
        }
        let near = |other: &str| is_one_edit(domain, other);
        if let Some((other, others)) =
            frequent.iter().find(|(other, others)| *others >= users * FREQUENT && near(other))
        {
            let message = format!(
                "the domain `{domain}` is one edit away from `{other}`, the domain of {others} users of the list"
            );
            return Some(("domain_misspelled", message));
        }
        let provider = PROVIDERS.into_iter().find(|other| other.len() >= SHORTEST_COMPARED && near(other))?;
        Some(("domain_misspelled", format!("the domain `{domain}` is one edit away from `{provider}`")))
    };
    users_of.iter().filter_map(|(domain, users)| Some((*domain, warning(domain, *users)?))).collect()
}

/// Whether one text becomes the other by inserting, removing or replacing one character, or by swapping two neighbors. In
/// linear time, unlike a general edit distance: domains have up to 253 characters.
fn is_one_edit(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some((first, rest)), Some((other, others))) = (a.split_first(), b.split_first())
        && first == other
    {
        (a, b) = (rest, others);
    }
    while let (Some((last, rest)), Some((other, others))) = (a.split_last(), b.split_last())
        && last == other
    {
        (a, b) = (rest, others);
    }
    match (a, b) {
        ([_], []) | ([], [_]) | ([_], [_]) => true,
        ([first, second], [third, fourth]) => first == fourth && second == third,
        _ => false,
    }
}

/// The warnings about the passwords of new users, with the indexes of their rows: shared by several users, or with the
/// organization's name.
pub(crate) fn of_passwords<'a>(
    users: impl Iterator<Item = (usize, &'a NewUser)> + Clone,
    organization: &str,
) -> Vec<Finding> {
    let passwords = || {
        users.clone().filter_map(|(index, user)| match &user.credential {
            Credential::Password(password) => Some((index, password.as_bytes())),
            _ => None,
        })
    };
    let mut users_with: HashMap<&[u8], usize> = HashMap::new();
    for (_, password) in passwords() {
        *users_with.entry(password).or_default() += 1;
    }
    let organization = organization.to_lowercase();
    let organization = Some(organization.as_str()).filter(|name| name.chars().count() >= SHORTEST_ORGANIZATION);
    let warnings = passwords().flat_map(|(index, password)| {
        let is_shared = users_with.get(password).is_some_and(|users| *users > 1);
        let shared = is_shared.then_some(("password_shared", "is the password of several users of the list"));
        let named = organization.filter(|name| contains(password, name));
        let named = named.map(|_| ("password_with_organization", "contains the name of the organization"));
        let finding = move |(code, message)| Finding::field(index, UserField::Password, code, message);
        [shared, named].into_iter().flatten().map(finding)
    });
    warnings.collect()
}

/// Whether a password contains a word in lower case.
fn contains(password: &[u8], word: &str) -> bool {
    let password = zeroize::Zeroizing::new(String::from_utf8_lossy(password).to_lowercase());
    password.contains(word)
}

/// The warning about an imported hash that is weaker than today's recommendation.
pub(super) fn of_hash(index: usize, hash: &ImportedHash) -> Option<Finding> {
    hash.weakness().map(|why| Finding::field(index, UserField::PasswordHash, WEAK_HASH, why))
}

const WEAK_HASH: &str = "weak_hash";

/// The number of weak hashes among the warnings.
pub(super) fn weak_hashes(warnings: &[Finding]) -> usize {
    warnings.iter().filter(|warning| warning.code == WEAK_HASH).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(index: usize, domain: &'static str) -> Person<'static> {
        Person { index, domain, name: "Ada", lastname: None, title: None }
    }

    fn found(people: &[Person<'_>]) -> Vec<(usize, Option<String>, &'static str, String)> {
        of_people(people).into_iter().map(|w| (w.index, w.field, w.code, w.message)).collect()
    }

    #[test]
    fn a_domain_next_to_a_frequent_one_or_to_a_provider_is_reported() {
        let mut people: Vec<_> = (0..10).map(|index| person(index, "example.com")).collect();
        let others = ["exmaple.com", "example.org", "gmial.com", "gmail.com", "mail.com", "gmx.at", "intranet"];
        people.extend(others.into_iter().enumerate().map(|(index, domain)| person(10 + index, domain)));
        let email = Some("email".to_owned());
        assert_eq!(
            found(&people),
            [
                (
                    10,
                    email.clone(),
                    "domain_misspelled",
                    "the domain `exmaple.com` is one edit away from `example.com`, the domain of 10 users of the list"
                        .to_owned()
                ),
                (
                    12,
                    email.clone(),
                    "domain_misspelled",
                    "the domain `gmial.com` is one edit away from `gmail.com`".to_owned()
                ),
                (16, email, "domain_without_dot", "the domain `intranet` has no dot".to_owned()),
            ]
        );
    }

    #[test]
    fn two_domains_with_similar_numbers_of_users_are_both_right() {
        let people: Vec<_> =
            (0..20).map(|index| person(index, if index % 3 == 0 { "sales1.org" } else { "sales2.org" })).collect();
        assert_eq!(found(&people), []);
    }

    #[test]
    fn formulas_and_lost_characters_are_reported_in_each_text() {
        let people = [Person {
            index: 3,
            domain: "example.com",
            name: "J\u{fffd}rgen",
            lastname: Some("-Me\u{200b}yer"),
            title: Some("=HYPERLINK(\"\u{1f468}\u{200d}\u{1f469}\")"),
        }];
        let codes: Vec<_> = found(&people).into_iter().map(|(_, field, code, _)| (field.unwrap(), code)).collect();
        let expected = [
            ("name", "replacement_character"),
            ("lastname", "formula"),
            ("lastname", "invisible_character"),
            ("title", "formula"),
        ];
        assert_eq!(codes, expected.map(|(field, code)| (field.to_owned(), code)));
        assert_eq!(found(&people)[2].3, "contains U+200B, which is invisible");
    }

    proptest! {
        #[test]
        fn one_edit_is_what_the_restricted_edit_distance_says(a in "[ab.]{0,6}", b in "[ab.]{0,6}") {
            prop_assert_eq!(is_one_edit(&a, &b), strsim::osa_distance(&a, &b) == 1);
        }
    }
}
