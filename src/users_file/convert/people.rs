//! The people of an export, checked with the rules of the server.

use std::collections::HashSet;

use serde::Serialize;

use super::super::parsed::MAX_ROWS;
use super::{Broken, Converted, Options, Read};
use crate::secret::Secret;
use crate::users::{EmailAddress, Line, Name, trim};

/// The longest part of a value in a note, in characters.
const LONGEST_LABEL: usize = 120;

/// A person as the export has them. An empty text is a missing one; nothing is checked.
#[derive(Default)]
pub(super) struct Person {
    /// Names the person in notes if there is no e-mail address: a user name, an ID or a place.
    pub label: String,
    pub emails: Vec<String>,
    pub first_name: String,
    pub last_name: String,
    /// Used if there is no first name.
    pub full_name: String,
    /// Used if there is no other name.
    pub user_name: String,
    pub title: String,
    pub sign_in: SignIn,
    /// Whether the imported password must be changed.
    pub must_change_password: bool,
    pub is_disabled: bool,
    /// Whether the export says that nobody has verified the address.
    pub is_unverified: bool,
    /// Why the person is not an account of a person.
    pub left_out: Option<&'static str>,
    /// What else the note says.
    pub remarks: Vec<String>,
}

/// How a person signs in to muster.
pub(super) enum SignIn {
    Sso,
    /// With this hash, which [`super::hash`] has accepted.
    Hash(Secret),
    /// With a password that has to be set; the reason why there is none.
    Unset(String),
}

impl Default for SignIn {
    fn default() -> Self {
        Self::Unset("the export has no password".to_owned())
    }
}

/// A row of the list.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastname: Option<&'a str>,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    is_sso_user: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_change_password: Option<bool>,
}

#[derive(Serialize)]
struct Suspended<'a> {
    user: &'a str,
}

/// Collects the people of an export.
pub(super) struct People {
    /// Whether people sign in through single sign-on, for sources that do not say so.
    pub is_sso: bool,
    includes_disabled: bool,
    seen: usize,
    emails: HashSet<String>,
    converted: Converted,
}

impl People {
    pub fn new(options: &Options) -> Self {
        let converted =
            Converted { list: String::new(), users: 0, suspended: String::new(), notes: Vec::new(), left_out: 0 };
        Self {
            is_sso: options.sso.or(options.source.default_sso()).unwrap_or(false),
            includes_disabled: options.disabled,
            seen: 0,
            emails: HashSet::new(),
            converted,
        }
    }

    pub fn converted(self) -> Converted {
        self.converted
    }

    /// The number of people seen so far.
    pub const fn seen(&self) -> usize {
        self.seen
    }

    /// Adds a person, or a note why they are left out.
    ///
    /// # Errors
    /// Fails for more people than a users file can have.
    pub fn add(&mut self, person: Person) -> Read<()> {
        self.seen += 1;
        if self.seen > MAX_ROWS {
            return Err(Broken::new("more than 100000 people; split the export into several files"));
        }
        let email = person.emails.first().map_or("", |email| trim(email));
        let label = shortened(if email.is_empty() { trim(&person.label) } else { email });
        let mut remarks = Vec::new();
        match self.arrive(&person, email, &mut remarks) {
            Ok(()) if remarks.is_empty() => {}
            Ok(()) => self.converted.notes.push(format!("{label}: {}", remarks.join("; "))),
            Err(reason) => {
                self.converted.left_out += 1;
                self.converted.notes.push(format!("{label}: left out: {reason}"));
            }
        }
        Ok(())
    }

    /// Writes a person to the list; `Err` is the reason why they are left out.
    fn arrive(&mut self, person: &Person, email: &str, remarks: &mut Vec<String>) -> Result<(), String> {
        if let Some(reason) = person.left_out {
            return Err(reason.to_owned());
        }
        if email.is_empty() {
            return Err("no e-mail address".to_owned());
        }
        let address = EmailAddress::parse(email).map_err(|why| String::from(why.message()))?;
        if person.is_disabled && !self.includes_disabled {
            return Err("disabled".to_owned());
        }
        let (name, lastname) = names(person, email, remarks);
        let name = Name::parse(name.to_owned()).map_err(|why| format!("the name {}", verb(&why.message())))?;
        let lastname = lastname.map(|lastname| Line::parse(lastname.to_owned())).transpose();
        let lastname = lastname.map_err(|why| format!("the last name {}", verb(&why.message())))?;
        let title = match trim(&person.title) {
            "" => None,
            title => Line::parse(title.to_owned())
                .map_err(|why| remarks.push(format!("the title is dropped: it {}", verb(&why.message()))))
                .ok(),
        };
        if !self.emails.insert(address.key().to_owned()) {
            return Err("an earlier person has the same e-mail address".to_owned());
        }
        let others = person.emails.len();
        if others > 1 {
            remarks.push(format!("has {others} e-mail addresses, of which the first is used"));
        }
        if person.is_unverified {
            remarks.push("the e-mail address is not verified".to_owned());
        }
        remarks.extend(person.remarks.iter().cloned());
        let hash = match &person.sign_in {
            SignIn::Hash(hash) => Some(hash.expose()),
            SignIn::Sso => None,
            SignIn::Unset(reason) => {
                remarks.push(format!("has no password until one is set: {reason}"));
                None
            }
        };
        let row = Row {
            name: name.as_str(),
            lastname: lastname.as_ref().map(Line::as_str),
            email: address.as_str(),
            title: title.as_ref().map(Line::as_str),
            is_sso_user: matches!(person.sign_in, SignIn::Sso),
            password_hash: hash,
            must_change_password: (hash.is_some() && person.must_change_password).then_some(true),
        };
        push_line(&mut self.converted.list, &row);
        self.converted.users += 1;
        if person.is_disabled {
            push_line(&mut self.converted.suspended, &Suspended { user: address.as_str() });
        }
        Ok(())
    }
}

/// The name and the last name. A name that is only the address again is none.
fn names<'p>(person: &'p Person, email: &'p str, remarks: &mut Vec<String>) -> (&'p str, Option<&'p str>) {
    let given = |text: &'p str| Some(trim(text)).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case(email));
    let last_name = given(&person.last_name);
    if let Some(name) = given(&person.first_name) {
        return (name, last_name);
    }
    let others = [given(&person.full_name), last_name, given(&person.user_name)];
    let name = others.into_iter().flatten().next().unwrap_or_else(|| {
        let name = email.split('@').next().unwrap_or(email);
        remarks.push(format!("has no name and is named `{}`", shortened(name)));
        name
    });
    (name, None)
}

/// A message about a text, as a predicate.
fn verb(message: &str) -> String {
    if message.starts_with("longer") { format!("is {message}") } else { message.to_owned() }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_LABEL) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn push_line(lines: &mut String, value: &impl Serialize) {
    // Serializing text and booleans can't fail.
    if let Ok(line) = serde_json::to_string(value) {
        lines.push_str(&line);
        lines.push('\n');
    }
}
