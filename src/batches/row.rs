//! Taking a list of users apart: JSON in, users or findings out. Pure.
//!
//! A value of the wrong type is a finding of its row, not the end of reading: only text that
//! is not JSON at all, or not a list, is refused as a whole.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::passwords::Policy;
use crate::report::{FIELDS, Finding, Report};
use crate::secret::Secret;
use crate::users::{Credential, EmailAddress, Line, Name, NewUser};

/// The longest unknown field name that is repeated in a finding, in characters.
const LONGEST_NAME_SHOWN: usize = 64;

/// The length of a list that is worth a second thread.
const WORTH_SHARING: usize = 64;

/// How many unknown fields of one row are named. A mistake in a program is clear after a few, and
/// the answer to a body of nothing else stays bounded.
const MOST_UNKNOWN_NAMED: usize = 5;

/// What a list may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most rows.
    pub max_users: usize,
    /// The rules for passwords.
    pub policy: Policy,
}

/// A list, taken apart.
#[derive(Debug)]
pub struct Checked {
    /// Each row that has a valid address: its place, the address, and the user if nothing is
    /// wrong with the rest of it. The addresses are all different.
    pub users: Vec<(usize, EmailAddress, Option<NewUser>)>,
    /// Everything that is wrong.
    pub report: Report,
}

/// Takes the JSON text of a list apart.
///
/// # Errors
/// `invalid_json`, `invalid_request`, `empty_batch` or `too_large` when there is no list to
/// report on.
pub fn check(body: &[u8], limits: &Limits) -> Result<Checked> {
    let (rows, findings) = parse(body, limits.max_users)?;
    let mut report = Report::new(rows.len());
    findings.into_iter().for_each(|finding| report.add(finding));
    let mut users = Vec::with_capacity(rows.len());
    let mut first_with: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let rows = rows.into_iter().enumerate().filter_map(|(index, row)| Some((index, row?))).collect();
    for (index, (email, user), findings) in check_on_all_cores(rows, limits.policy) {
        findings.into_iter().for_each(|finding| report.add(finding));
        let Some(email) = email else { continue };
        match first_with.get(email.key()) {
            Some(first) => report.add(Finding::email_twice(index, *first, email.as_str())),
            None => {
                first_with.insert(email.key().to_owned(), index);
                users.push((index, email, user));
            }
        }
    }
    Ok(Checked { users, report })
}

/// A row's place, what it holds, and what is wrong with it.
type CheckedRow = (usize, (Option<EmailAddress>, Option<NewUser>), Vec<Finding>);

/// Checks each row by itself, in order. How easy a password is to guess takes its time to find out,
/// so a long list is shared between the cores, which have nothing to hash yet.
fn check_on_all_cores(mut rows: Vec<(usize, Row)>, policy: Policy) -> Vec<CheckedRow> {
    let check = move |rows: Vec<(usize, Row)>| -> Vec<CheckedRow> {
        let check_one = |(index, row): (usize, Row)| {
            let mut findings = Vec::new();
            let checked = row.check(index, &policy, &mut findings);
            (index, checked, findings)
        };
        rows.into_iter().map(check_one).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if rows.len() < WORTH_SHARING || threads == 1 {
        return check(rows);
    }
    let share = rows.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(threads);
        while !rows.is_empty() {
            let rest = rows.split_off(share.min(rows.len()));
            let mine = std::mem::replace(&mut rows, rest);
            running.push(scope.spawn(move || check(mine)));
        }
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<CheckedRow>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().flat_map(join).collect()
    })
}

/// One field, as far as reading it went.
#[derive(Debug, Default)]
enum Field<T> {
    /// Not there, or null.
    #[default]
    Missing,
    /// There, of the wrong type; the finding has been made.
    Wrong,
    /// There.
    Is(T),
}

impl<T> Field<T> {
    fn into_option(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Missing | Self::Wrong => None,
        }
    }
}

#[derive(Debug, Default)]
struct Row {
    name: Field<String>,
    email: Field<String>,
    password: Field<Secret>,
    is_sso_user: Field<bool>,
    lastname: Field<String>,
    title: Field<String>,
}

impl Row {
    /// Checks all fields. Gives the address if that is valid, and the user if everything is.
    fn check(
        self,
        index: usize,
        policy: &Policy,
        findings: &mut Vec<Finding>,
    ) -> (Option<EmailAddress>, Option<NewUser>) {
        let wrong = matches!(self.lastname, Field::Wrong) || matches!(self.title, Field::Wrong);
        let name = required(index, "name", self.name, findings).and_then(|name| {
            let name = Name::parse(name);
            name.map_err(|why| findings.push(Finding::field(index, "name", why.code(), why.message()))).ok()
        });
        let email = required(index, "email", self.email, findings).and_then(|email| {
            let email = EmailAddress::parse(&email);
            email.map_err(|why| findings.push(Finding::field(index, "email", why.code(), why.message()))).ok()
        });
        let is_sso_user = required(index, "is_sso_user", self.is_sso_user, findings);
        let lastname = line(index, "lastname", self.lastname, findings);
        let title = line(index, "title", self.title, findings);

        let mut context = vec!["muster"];
        context.extend(name.as_ref().map(Name::as_str));
        context.extend(lastname.iter().flatten().map(Line::as_str));
        if let Some(email) = &email {
            context.push(email.as_str());
            context.extend(email.key().split('@'));
        }
        let credential = credential(index, self.password, is_sso_user, policy, &context, findings);
        let user = match (name, email.clone(), lastname, title, credential) {
            (Some(name), Some(email), Ok(lastname), Ok(title), Some(credential)) if !wrong => {
                Some(NewUser { name, email, lastname, title, credential })
            }
            _ => None,
        };
        (email, user)
    }
}

fn required<T>(index: usize, field: &str, value: Field<T>, findings: &mut Vec<Finding>) -> Option<T> {
    if matches!(value, Field::Missing) {
        findings.push(Finding::field(index, field, "missing", "is missing"));
    }
    value.into_option()
}

/// An optional line of text. `Err` if there is one that is not valid.
fn line(
    index: usize,
    field: &str,
    value: Field<String>,
    findings: &mut Vec<Finding>,
) -> std::result::Result<Option<Line>, ()> {
    value.into_option().map(Line::parse).transpose().map_err(|why| {
        findings.push(Finding::field(index, field, why.code(), why.message()));
    })
}

fn credential(
    index: usize,
    password: Field<Secret>,
    is_sso_user: Option<bool>,
    policy: &Policy,
    context: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Credential> {
    if matches!(password, Field::Wrong) {
        return None;
    }
    let password = password.into_option().filter(|password| !password.expose().is_empty());
    match (is_sso_user, password) {
        (Some(true), Some(_)) => {
            let message = "an SSO user can't have a password: leave it out, or set is_sso_user to false";
            findings.push(Finding::field(index, "password", "password_for_sso_user", message));
            None
        }
        (Some(true), None) => Some(Credential::Sso),
        (Some(false), None) => Some(Credential::Unset),
        (None, None) => None,
        (Some(false) | None, Some(password)) => match policy.check(password.expose(), context) {
            Ok(password) => Some(Credential::Password(password)),
            Err(why) => {
                findings.push(Finding::field(index, "password", why.code(), why.message()));
                None
            }
        },
    }
}

/// Rows (`None` for one that is not an object) and what is wrong with their types.
type Rows = (Vec<Option<Row>>, Vec<Finding>);

fn parse(body: &[u8], max_users: usize) -> Result<Rows> {
    let mut too_many = false;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let rows = ListSeed { max_users, too_many: &mut too_many }
        .deserialize(&mut deserializer)
        .and_then(|rows| deserializer.end().map(|()| rows));
    match rows {
        Ok((rows, _)) if rows.is_empty() => {
            Err(Error::new(Code::EmptyBatch, "the list is empty: there is nobody to create"))
        }
        Ok(rows) => Ok(rows),
        Err(_) if too_many => Err(Error::new(
            Code::TooLarge,
            format!("more than {max_users} users in one batch (setting `batch.max_users`): send several batches"),
        )),
        Err(error) if error.is_data() => {
            Err(Error::invalid("the body has to be a JSON array of users: [{\"name\": …, \"email\": …}, …]"))
        }
        Err(error) => Err(Error::new(Code::InvalidJson, format!("the body is not valid JSON: {error}"))),
    }
}

struct ListSeed<'a> {
    max_users: usize,
    too_many: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = Rows;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Rows, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Rows, A::Error> {
        let (mut rows, mut findings) = (Vec::new(), Vec::new());
        while let Some(row) = list.next_element_seed(RowSeed { index: rows.len(), findings: &mut findings })? {
            if rows.len() >= self.max_users {
                *self.too_many = true;
                return Err(serde::de::Error::custom("too many"));
            }
            rows.push(row);
        }
        Ok((rows, findings))
    }
}

struct RowSeed<'a> {
    index: usize,
    findings: &'a mut Vec<Finding>,
}

impl RowSeed<'_> {
    fn not_an_object<T>(self, found: &str) -> Option<T> {
        let message = format!("a user has to be an object with {}; this is {found}", FIELDS.join(", "));
        self.findings.push(Finding::row(self.index, "wrong_type", message));
        None
    }
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Option<Row>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Option<Row>, A::Error> {
        let mut row = Row::default();
        let mut fields = Fields { index: self.index, findings: self.findings, seen: Vec::new(), unknown: 0 };
        while let Some(key) = object.next_key::<String>()? {
            if !fields.is_new(&key) {
                let _: IgnoredAny = object.next_value()?;
                continue;
            }
            match key.as_str() {
                "name" => row.name = fields.text(&key, object.next_value()?),
                "email" => row.email = fields.text(&key, object.next_value()?),
                "lastname" => row.lastname = fields.text(&key, object.next_value()?),
                "title" => row.title = fields.text(&key, object.next_value()?),
                "password" => {
                    row.password = match fields.text(&key, object.next_value()?) {
                        Field::Is(text) => Field::Is(Secret::new(text)),
                        Field::Wrong => Field::Wrong,
                        Field::Missing => Field::Missing,
                    };
                }
                _ => row.is_sso_user = fields.flag(&key, object.next_value()?),
            }
        }
        fields.finish();
        Ok(Some(row))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Option<Row>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.not_an_object("a list"))
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("text"))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("a number"))
    }

    fn visit_unit<E>(self) -> std::result::Result<Option<Row>, E> {
        Ok(self.not_an_object("null"))
    }
}

/// Takes the values of one row's fields. However many there are, findings stay few.
struct Fields<'a> {
    index: usize,
    findings: &'a mut Vec<Finding>,
    /// Which known fields there have been, and whether more than once.
    seen: Vec<(&'static str, bool)>,
    /// How many unknown ones.
    unknown: usize,
}

impl Fields<'_> {
    /// Whether it is a known field, for the first time. JSON leaves open which of two values of one
    /// name counts, so a second one is a finding.
    fn is_new(&mut self, key: &str) -> bool {
        let Some(known) = FIELDS.iter().find(|known| **known == key) else {
            self.unknown(key);
            return false;
        };
        match self.seen.iter_mut().find(|(seen, _)| seen == known) {
            None => {
                self.seen.push((known, false));
                true
            }
            Some((_, told)) => {
                if !*told {
                    *told = true;
                    self.findings.push(Finding::field(self.index, *known, "duplicate_field", "is there twice"));
                }
                false
            }
        }
    }

    fn text(&mut self, key: &str, value: Value) -> Field<String> {
        match value {
            Value::String(text) => Field::Is(text),
            Value::Null => Field::Missing,
            other => self.wrong(key, "text", &other),
        }
    }

    fn flag(&mut self, key: &str, value: Value) -> Field<bool> {
        match value {
            Value::Bool(flag) => Field::Is(flag),
            Value::Null => Field::Missing,
            other => self.wrong(key, "true or false", &other),
        }
    }

    fn wrong<T>(&mut self, key: &str, due: &str, found: &Value) -> Field<T> {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.findings.push(Finding::field(self.index, key, "wrong_type", format!("has to be {due}, not {found}")));
        Field::Wrong
    }

    fn unknown(&mut self, key: &str) {
        self.unknown += 1;
        if self.unknown > MOST_UNKNOWN_NAMED {
            return;
        }
        let shown: String = key
            .chars()
            .take(LONGEST_NAME_SHOWN)
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        let message = format!("is unknown; a user has {}", FIELDS.join(", "));
        self.findings.push(Finding::field(self.index, shown, "unknown_field", message));
    }

    /// Says how many unknown fields were not named.
    fn finish(self) {
        let more = self.unknown.saturating_sub(MOST_UNKNOWN_NAMED);
        if more > 0 {
            self.findings.push(Finding::row(self.index, "unknown_field", format!("has {more} more unknown fields")));
        }
    }
}
