//! Checking the rows of a list: returns users or findings, without the database.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::warnings::{self, Person};
use crate::caller::PermissionLevel;
use crate::error::Result;
use crate::field::{CredentialConflict, UserField};
use crate::passwords::{Candidate, ImportedHash, Policy};
use crate::report::{Finding, Findings, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::{self, Field, ListLimits, Row, SentAttributes};
use crate::secret::Secret;
use crate::users::{
    Attributes, AttributesPatch, Credential, EmailAddress, Expiry, Line, Name, NewUser, password_context,
};

/// The rules for the rows of a list.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The password policy.
    pub policy: Policy,
    /// Whether rows may create owners.
    pub may_grant_owner: bool,
    /// The time, which an expiry must follow.
    pub now: DateTime<Utc>,
}

/// A list as it was sent, parsed but not checked.
#[derive(Debug)]
pub struct List {
    bytes: Bytes,
    rows: Vec<Option<Row>>,
    /// Values of a wrong type.
    findings: Findings,
    share: BodyShare,
}

/// A checked list.
#[derive(Debug)]
pub struct CheckedList {
    /// The rows with a valid e-mail address. No two have the same.
    pub users: Vec<CheckedUser>,
    /// All findings.
    pub report: Report,
    /// Findings that do not prevent the creation, except those about passwords; only complete if the report is empty.
    pub warnings: Vec<Finding>,
    /// The memory of the list.
    pub share: BodyShare,
}

/// A row with a valid e-mail address.
#[derive(Debug)]
pub struct CheckedUser {
    /// The row's index in the list.
    pub index: usize,
    /// The user, or only the address if another field is invalid. A user with a candidate gets its credential when the
    /// candidate has been checked.
    pub user: std::result::Result<NewUser, EmailAddress>,
    /// The password, if the row has no finding: the strength of others is not checked.
    pub candidate: Option<Candidate>,
}

impl CheckedUser {
    /// The e-mail address.
    #[must_use]
    pub const fn email(&self) -> &EmailAddress {
        match &self.user {
            Ok(user) => &user.email,
            Err(email) => email,
        }
    }

    pub(super) fn person(&self) -> Option<Person<'_>> {
        self.user.as_ref().ok().map(|user| Person::new(self.index, user))
    }
}

impl List {
    /// Parses the JSON text of a list.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_request`, `empty_batch` or `too_large`, when there are no rows to report on; `overloaded`.
    pub(super) fn parse(body: RequestBody, limits: ListLimits) -> Result<Self> {
        let (bytes, mut share) = body.into_parts();
        let (rows, findings) = rows::parse(&bytes, &mut share, limits, UserField::NEW_USER, "create")?;
        Ok(Self { bytes, rows, findings, share })
    }

    /// The text, which identifies the list.
    pub(super) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Checks every field of every row, except the strength of passwords, and finds duplicate addresses.
    #[must_use]
    pub fn check(self, limits: &Limits) -> CheckedList {
        let Self { bytes, rows, findings, share } = self;
        drop(bytes);
        let mut report = Report::on(rows.len(), "created", findings);
        let mut users: Vec<CheckedUser> = Vec::with_capacity(rows.len());
        let mut first_with: HashMap<String, usize> = HashMap::with_capacity(rows.len());
        let mut warnings = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Some(row) = row else { continue };
            let CheckedRow { user, candidate, findings, warning } = check_row(row, index, limits);
            findings.into_iter().for_each(|finding| report.add(finding));
            warnings.extend(warning.map(|warning| *warning));
            let Some(user) = user else { continue };
            let user = CheckedUser { index, user, candidate: candidate.filter(|_| !report.has_row(index)) };
            match first_with.get(user.email().key()) {
                Some(first) => report.add(Finding::email_twice(index, *first, user.email().as_str())),
                None => {
                    first_with.insert(user.email().key().to_owned(), index);
                    users.push(user);
                }
            }
        }
        if report.is_empty() {
            warnings.extend(warnings::of_users(&users));
            warnings.sort_by_key(Finding::order);
        }
        CheckedList { users, report, warnings, share }
    }
}

/// The result of checking one row.
pub(crate) struct CheckedRow {
    /// As in [`CheckedUser`]; `None` without a valid address.
    pub(crate) user: Option<std::result::Result<NewUser, EmailAddress>>,
    pub(crate) candidate: Option<Candidate>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warning: Option<Box<Finding>>,
}

/// Checks all fields of a row.
pub(crate) fn check_row(row: Row, index: usize, limits: &Limits) -> CheckedRow {
    let mut findings = Vec::new();
    let wrong = [&row.lastname, &row.title, &row.expires_at].into_iter().any(|text| matches!(text, Field::Wrong));
    let name = required(index, UserField::Name, row.name, &mut findings).and_then(|name| {
        let name = Name::parse(name);
        name.map_err(|why| findings.push(Finding::field(index, UserField::Name, why.code(), why.message()))).ok()
    });
    let email = required(index, UserField::Email, row.email, &mut findings).and_then(|email| {
        let email = EmailAddress::parse(&email);
        email.map_err(|why| findings.push(Finding::field(index, UserField::Email, why.code(), why.message()))).ok()
    });
    let is_sso_user = required(index, UserField::IsSsoUser, row.is_sso_user, &mut findings);
    let lastname = line(index, UserField::Lastname, row.lastname, &mut findings);
    let title = line(index, UserField::Title, row.title, &mut findings);
    let permission_level = permission_level(index, row.permission_level, limits, &mut findings);
    let expires_at = row.expires_at.into_option().map(|text| Expiry::parse_new(&text, limits.now)).transpose();
    let expires_at = expires_at.map_err(|why| {
        findings.push(Finding::field(index, UserField::ExpiresAt, why.code(), why.message()));
    });
    let attributes = attributes(index, row.attributes, &mut findings);

    let context = password_context(
        name.as_ref().map(Name::as_str),
        lastname.iter().flatten().map(Line::as_str).next(),
        email.as_ref(),
    );
    let given = Given { password: row.password, hash: row.password_hash, must_change: row.must_change_password };
    let mut candidate = None;
    let credential = given.credential(index, is_sso_user, limits, &context, &mut findings).map(|given| match given {
        Entered::Password(password) => {
            candidate = Some(password);
            Credential::Unset
        }
        Entered::Other(credential) => credential,
    });
    let warning = match &credential {
        Some(Credential::Imported { hash, .. }) => warnings::of_hash(index, hash).map(Box::new),
        _ => None,
    };
    let user = email.map(|email| match (name, lastname, title, credential, permission_level, expires_at, attributes) {
        (
            Some(name),
            Ok(lastname),
            Ok(title),
            Some(credential),
            Some(permission_level),
            Ok(expires_at),
            Some(attributes),
        ) if !wrong => {
            Ok(NewUser { name, email, lastname, title, credential, permission_level, expires_at, attributes })
        }
        _ => Err(email),
    });
    CheckedRow { user, candidate, findings, warning }
}

fn required<T>(index: usize, field: UserField, value: Field<T>, findings: &mut Vec<Finding>) -> Option<T> {
    if value.is_empty() {
        findings.push(Finding::field(index, field, "missing", "is missing"));
    }
    value.into_option()
}

/// An optional line of text; `Err` if it is invalid.
fn line(
    index: usize,
    field: UserField,
    value: Field<String>,
    findings: &mut Vec<Finding>,
) -> std::result::Result<Option<Line>, ()> {
    value.into_option().map(Line::parse).transpose().map_err(|why| {
        findings.push(Finding::field(index, field, why.code(), why.message()));
    })
}

/// The attributes of a new user; `None` if one of them is invalid.
fn attributes(index: usize, sent: Field<SentAttributes>, findings: &mut Vec<Finding>) -> Option<Attributes> {
    if matches!(sent, Field::Wrong) {
        return None;
    }
    let mut invalid = Findings::new(usize::MAX);
    let patch = AttributesPatch::check(sent, index, &mut invalid).unwrap_or_default();
    let attributes = Attributes::default().with(&patch);
    let invalid: Vec<Finding> = invalid.into_kept().into_iter().chain(attributes.check_size(index)).collect();
    let is_valid = invalid.is_empty();
    findings.extend(invalid);
    is_valid.then_some(attributes)
}

fn permission_level(
    index: usize,
    level: Field<String>,
    limits: &Limits,
    findings: &mut Vec<Finding>,
) -> Option<PermissionLevel> {
    let mut refuse = |code, message: &str| {
        findings.push(Finding::field(index, UserField::PermissionLevel, code, message));
        None
    };
    match level {
        Field::Missing | Field::Null => Some(PermissionLevel::Collaborator),
        Field::Wrong => None,
        Field::Is(text) => match PermissionLevel::parse(&text) {
            Some(PermissionLevel::Owner) if !limits.may_grant_owner => refuse(
                "permission_level_forbidden",
                "only an owner's API key that is not limited to scopes can create owners",
            ),
            Some(level) => Some(level),
            None => refuse("permission_level_unknown", "must be `collaborator` or `owner`"),
        },
    }
}

/// The fields of a row that decide how its user signs in.
struct Given {
    password: Field<Secret>,
    hash: Field<Secret>,
    must_change: Field<bool>,
}

/// A credential, whose password has not been checked for strength.
enum Entered {
    Password(Candidate),
    Other(Credential),
}

impl Given {
    fn credential(
        self,
        index: usize,
        is_sso_user: Option<bool>,
        limits: &Limits,
        context: &[&str],
        findings: &mut Vec<Finding>,
    ) -> Option<Entered> {
        let mut refuse = |field: UserField, code, message: &str| {
            findings.push(Finding::field(index, field, code, message));
            None
        };
        if matches!(self.password, Field::Wrong)
            || matches!(self.hash, Field::Wrong)
            || matches!(self.must_change, Field::Wrong)
        {
            return None;
        }
        let given = |text: Field<Secret>| text.into_option().filter(|text| !text.expose().is_empty());
        let (password, hash, must_change) = (given(self.password), given(self.hash), self.must_change.into_option());
        if must_change.is_some() && hash.is_none() {
            let message = "requires `password_hash`; for a `password`, the setting `passwords.must_change` applies";
            return refuse(UserField::MustChangePassword, "must_change_without_hash", message);
        }
        let mut conflict = |field, conflict: CredentialConflict| refuse(field, conflict.code(), conflict.message());
        match (is_sso_user, password, hash) {
            (_, Some(_), Some(_)) => conflict(UserField::PasswordHash, CredentialConflict::PasswordAndHash),
            (Some(true), Some(_), None) => conflict(UserField::Password, CredentialConflict::PasswordForSsoUser),
            (Some(true), None, Some(_)) => conflict(UserField::PasswordHash, CredentialConflict::PasswordForSsoUser),
            (Some(true), None, None) => Some(Entered::Other(Credential::Sso)),
            (Some(false), None, None) => Some(Entered::Other(Credential::Unset)),
            (None, None, None) => None,
            (_, Some(password), None) => match limits.policy.screen(password.expose(), context) {
                Ok(password) => Some(Entered::Password(password)),
                Err(why) => refuse(UserField::Password, why.code(), &why.message()),
            },
            (_, None, Some(hash)) => match ImportedHash::parse(hash.expose()) {
                Ok(hash) => {
                    Some(Entered::Other(Credential::Imported { hash, must_change: must_change.unwrap_or(false) }))
                }
                Err(why) => refuse(UserField::PasswordHash, why.code(), &why.message()),
            },
        }
    }
}
