//! Judging the rows of a list: users or findings out. Pure.

use std::collections::HashMap;

use super::json::{Field, Row, parse};
use crate::error::Result;
use crate::passwords::Policy;
use crate::report::{Finding, Report};
use crate::secret::Secret;
use crate::users::{Credential, EmailAddress, Line, Name, NewUser};

/// The length of a list that is worth a second thread.
const WORTH_SHARING: usize = 64;

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
