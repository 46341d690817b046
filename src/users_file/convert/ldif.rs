//! LDAP directories: LDIF.
//!
//! Sources: RFC 2849 for LDIF; RFC 4519 and RFC 2798 for `mail`, `givenName`, `sn`, `cn`, `displayName`, `title` and
//! `userPassword`; Microsoft's reference of `userAccountControl`, whose bit 2 is a disabled account; the manual pages of
//! `ldapsearch`, which ends with the result of the search, and of `ldifde`, which writes `changetype: add` into exports;
//! OpenLDAP's `slapo-ppolicy(5)` for `pwdAccountLockedTime` and `pwdReset`; 389 Directory Server's `nsAccountLock`.
//!
//! Entries of other things than people (units, groups, computers) are skipped: they are no people who are missing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hash;
use super::people::{People, Person, SignIn};
use super::{Broken, Read};
use crate::secret::Secret;

/// The attributes that are read, in lower case.
const ATTRIBUTES: &[&str] = &[
    "objectclass",
    "mail",
    "givenname",
    "sn",
    "cn",
    "displayname",
    "uid",
    "samaccountname",
    "title",
    "userpassword",
    "useraccountcontrol",
    "nsaccountlock",
    "pwdaccountlockedtime",
    "pwdreset",
];

/// The classes of people, and of accounts that may be those of people.
const PEOPLE: &[&str] = &["person", "organizationalperson", "inetorgperson", "user", "posixaccount", "account"];

/// The time that stands for "until an administrator unlocks the account".
const LOCKED_PERMANENTLY: &str = "000001010000Z";

/// The bit of `userAccountControl` for a disabled account.
const ACCOUNT_DISABLED: i64 = 2;

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let mut reader = Reader { people, entry: None, has_entries: false, skips: false };
    // A line with the folded ones after it, and its number.
    let mut whole: Option<(String, usize)> = None;
    for (index, line) in export.split('\n').enumerate() {
        let (line, number) = (line.strip_suffix('\r').unwrap_or(line), index + 1);
        if let Some(rest) = line.strip_prefix(' ') {
            match &mut whole {
                Some((text, _)) => text.push_str(rest),
                None if rest.trim().is_empty() => {}
                None => return Err(Broken::line(number, "not LDIF: a continued line after an empty one")),
            }
            continue;
        }
        if let Some((text, number)) = whole.take() {
            reader.line(&text, number)?;
        }
        if line.is_empty() {
            reader.end()?;
        } else {
            whole = Some((line.to_owned(), number));
        }
    }
    if let Some((text, number)) = whole {
        reader.line(&text, number)?;
    }
    reader.end()?;
    match (reader.has_entries, reader.people.seen()) {
        (false, _) => Err(Broken::new("contains no LDIF entries")),
        (true, 0) => Err(Broken::new("contains no entries of people, such as `objectClass: person`")),
        (true, _) => Ok(()),
    }
}

struct Reader<'p> {
    people: &'p mut People,
    entry: Option<Entry>,
    has_entries: bool,
    /// Whether the lines up to the next empty one belong to no entry.
    skips: bool,
}

/// An entry, with the attributes that are read.
struct Entry {
    name: String,
    line: usize,
    values: Vec<(&'static str, Secret)>,
    /// An attribute whose value is not text.
    malformed: Option<&'static str>,
}

impl Reader<'_> {
    /// Reads a whole line.
    fn line(&mut self, line: &str, number: usize) -> Read<()> {
        if line.starts_with('#') || self.skips {
            return Ok(());
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(Broken::line(number, "not LDIF: expected `attribute: value`"));
        };
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "dn" => self.begin(value, number),
            "changetype" => change(value.trim(), number),
            "control" => Ok(()),
            _ if self.entry.is_some() => {
                self.attribute(&name, value);
                Ok(())
            }
            "version" => match value.trim() {
                "1" => Ok(()),
                _ => Err(Broken::line(number, "unknown version of LDIF; expected 1")),
            },
            // `ldapsearch` ends with the number and the result of the search, and writes referrals like entries.
            "search" | "ref" => Ok(()),
            "result" => self.result(value.trim(), number),
            _ => Err(Broken::line(number, "not LDIF: expected `dn:`")),
        }
    }

    fn begin(&mut self, value: &str, number: usize) -> Read<()> {
        self.end()?;
        self.has_entries = true;
        let name = decoded(value).unwrap_or_else(|| format!("line {number}"));
        self.entry = Some(Entry { name, line: number, values: Vec::new(), malformed: None });
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let (Some(entry), Some(known)) = (self.entry.as_mut(), ATTRIBUTES.iter().copied().find(|known| *known == name))
        else {
            return;
        };
        // `attribute:< URL` is a value in another file.
        if value.starts_with('<') {
            return;
        }
        match decoded(value) {
            Some(text) => entry.values.push((known, text.into())),
            None => entry.malformed = Some(known),
        }
    }

    /// The result of a search: an incomplete one is not an export.
    fn result(&mut self, value: &str, number: usize) -> Read<()> {
        self.skips = true;
        match value.split(' ').next() {
            Some("0") => Ok(()),
            _ => Err(Broken::line(number, "the search failed or reached a limit, so that the export is incomplete")),
        }
    }

    /// Ends an entry.
    fn end(&mut self) -> Read<()> {
        self.skips = false;
        match self.entry.take() {
            Some(entry) if entry.is_person() => {
                let person = entry.person(self.people.is_sso);
                self.people.add(person)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a change is a new entry, as exports of Active Directory write them.
fn change(kind: &str, number: usize) -> Read<()> {
    let known = ["delete", "modify", "modrdn", "moddn"].into_iter().find(|known| known.eq_ignore_ascii_case(kind));
    match known {
        _ if kind.eq_ignore_ascii_case("add") => Ok(()),
        Some(known) => {
            Err(Broken::line(number, format!("a change (`changetype: {known}`) is no entry; export the entries")))
        }
        None => Err(Broken::line(number, "unknown `changetype`; export the entries")),
    }
}

/// The value after the first colon: text, or text in base64 after another one. `None` if it is not text.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(':') {
        None => Some(value.trim_start_matches(' ').to_owned()),
        Some(base64) => String::from_utf8(STANDARD.decode(base64.trim()).ok()?).ok(),
    }
}

impl Entry {
    fn all<'e>(&'e self, attribute: &'static str) -> impl Iterator<Item = &'e str> {
        self.values.iter().filter(move |(name, _)| *name == attribute).map(|(_, value)| value.expose())
    }

    fn first(&self, attribute: &'static str) -> &str {
        self.all(attribute).next().unwrap_or_default()
    }

    fn has_class(&self, class: &str) -> bool {
        self.all("objectclass").any(|found| found.eq_ignore_ascii_case(class))
    }

    /// Whether this may be a person; an export can lack the classes.
    fn is_person(&self) -> bool {
        if self.all("objectclass").next().is_none() {
            return ["mail", "uid", "samaccountname", "userpassword"]
                .iter()
                .any(|attribute| self.values.iter().any(|(name, _)| name == attribute));
        }
        !self.has_class("computer") && PEOPLE.iter().any(|class| self.has_class(class))
    }

    fn person(&self, is_sso: bool) -> Person {
        let is_set = |attribute| self.first(attribute).eq_ignore_ascii_case("true");
        let control: i64 = self.first("useraccountcontrol").parse().unwrap_or_default();
        let full_name = match self.first("displayname") {
            "" => self.first("cn"),
            name => name,
        };
        let user_name = match self.first("uid") {
            "" => self.first("samaccountname"),
            name => name,
        };
        Person {
            label: if self.name.is_empty() { format!("line {}", self.line) } else { self.name.clone() },
            emails: self.all("mail").filter(|mail| !mail.trim().is_empty()).map(str::to_owned).collect(),
            first_name: self.first("givenname").to_owned(),
            last_name: self.first("sn").to_owned(),
            full_name: full_name.to_owned(),
            user_name: user_name.to_owned(),
            title: self.first("title").to_owned(),
            sign_in: if is_sso { SignIn::Sso } else { self.sign_in() },
            must_change_password: is_set("pwdreset"),
            is_disabled: control & ACCOUNT_DISABLED != 0
                || is_set("nsaccountlock")
                || self.first("pwdaccountlockedtime") == LOCKED_PERMANENTLY,
            left_out: self.left_out(),
            ..Person::default()
        }
    }

    fn left_out(&self) -> Option<&'static str> {
        if self.has_class("contact") {
            return Some("a contact, not an account");
        }
        let malformed = self.malformed.filter(|attribute| *attribute != "userpassword")?;
        Some(if malformed == "mail" { "its `mail` is not text" } else { "an attribute is not text" })
    }

    fn sign_in(&self) -> SignIn {
        let mut found = self.all("userpassword").map(password);
        match found.next() {
            Some(hash @ SignIn::Hash(_)) => hash,
            Some(unset) => found.find(|other| matches!(other, SignIn::Hash(_))).unwrap_or(unset),
            None if self.malformed == Some("userpassword") => {
                SignIn::Unset("its `userPassword` is not text".to_owned())
            }
            None => SignIn::Unset("the export has no `userPassword`".to_owned()),
        }
    }
}

/// Converts a value of `userPassword`: `{SCHEME}` and a hash (RFC 3112), or a password in plain text.
///
/// OpenLDAP's modules `argon2` and `pbkdf2` write `{ARGON2}$argon2id$…` and `{PBKDF2-SHA256}ITERATIONS$SALT$HASH`, with `.`
/// for `+` in base64.
fn password(value: &str) -> SignIn {
    let Some((scheme, rest)) = value.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return if value.starts_with('$') { hash::check(value) } else { hash::plain_text() };
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "argon2" | "argon2id" | "argon2i" | "crypt" | "bcrypt" | "blf-crypt" if rest.starts_with('$') => {
            hash::check(&hash::without_padding(rest))
        }
        "pbkdf2-sha256" | "pbkdf2-sha512" => match rest.split_once('$') {
            Some((rounds, rest)) => {
                hash::check(&hash::without_padding(&format!("${scheme}$i={rounds}${}", rest.replace('.', "+"))))
            }
            None => hash::check(value),
        },
        _ => hash::check(value),
    }
}
