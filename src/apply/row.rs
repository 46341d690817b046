//! Sorting the rows of a list into those of existing users and new users, and validating them one by one. Pure.

use std::collections::HashMap;

use bytes::Bytes;

use crate::batches::{CheckedRow, CheckedUser, Limits, check_row, warnings};
use crate::error::Result;
use crate::field::UserField;
use crate::id::{Id, User};
use crate::report::{Finding, Findings, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::{self, Field, ListLimits, Row};
use crate::secret::Secret;
use crate::users::user_ref::UserRef;
use crate::users::{Edit, EmailAddress, Status};

/// A list as it was sent.
pub(super) struct List {
    pub(super) bytes: Bytes,
    rows: Vec<Option<Row>>,
    /// Values of a wrong type.
    findings: Findings,
    share: BodyShare,
}

/// A list whose rows are validated.
pub(super) struct Sorted {
    pub(super) bytes: Bytes,
    /// The rows of existing users.
    pub(super) listed: Vec<Listed>,
    /// The rows of new users. No two have the same address.
    pub(super) new: Vec<CheckedUser>,
    pub(super) report: Report,
    /// Findings that do not prevent the change, such as weak hashes.
    pub(super) warnings: Vec<Finding>,
    /// The number of rows.
    pub(super) total: usize,
    /// The memory of the list.
    pub(super) share: BodyShare,
}

/// The row of an existing user.
pub(super) struct Listed {
    pub(super) index: usize,
    pub(super) user: UserRef,
    /// The field that names the user.
    pub(super) named_by: &'static str,
    pub(super) edit: Edit,
    pub(super) status: Option<Status>,
}

impl List {
    /// Parses the JSON text of a list.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_request`, `empty_batch` or `too_large`, when there are no rows to report on; `overloaded`.
    pub(super) fn parse(body: RequestBody, limits: ListLimits) -> Result<Self> {
        let (bytes, mut share) = body.into_parts();
        let (rows, findings) = rows::parse(&bytes, &mut share, limits, UserField::APPLY_ROW, "apply")?;
        Ok(Self { bytes, rows, findings, share })
    }

    /// The keys of the addresses by which rows name their users.
    pub(super) fn keys(&self) -> Vec<String> {
        let addresses = self.rows.iter().flatten().filter(|row| row.user.is_empty()).filter_map(address);
        addresses.map(|address| address.key().to_owned()).collect()
    }

    /// Validates all rows. `holders` are the holders of [`List::keys`].
    pub(super) fn sort(self, holders: &HashMap<String, Id<User>>, limits: &Limits) -> Sorted {
        let Self { bytes, rows, findings, share } = self;
        let total = rows.len();
        let report = Report::on(total, "applied", findings);
        let mut sorted =
            Sorted { bytes, listed: Vec::new(), new: Vec::new(), report, warnings: Vec::new(), total, share };
        let mut first_with: HashMap<String, usize> = HashMap::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Some(row) = row else { continue };
            let is_new =
                row.user.is_empty() && address(&row).is_none_or(|address| !holders.contains_key(address.key()));
            if is_new {
                sorted.add_new(row, index, limits, &mut first_with);
            } else {
                sorted.add_listed(row, index);
            }
        }
        if sorted.report.is_empty() {
            sorted.warnings.extend(warnings::of_users(&sorted.new));
            sorted.warnings.sort_by_key(Finding::order);
        }
        sorted
    }
}

/// The valid address of a row.
fn address(row: &Row) -> Option<EmailAddress> {
    match &row.email {
        Field::Is(text) => EmailAddress::parse(text).ok(),
        Field::Missing | Field::Null | Field::Wrong => None,
    }
}

impl Sorted {
    fn add_new(&mut self, mut row: Row, index: usize, limits: &Limits, first_with: &mut HashMap<String, usize>) {
        if self.status(std::mem::take(&mut row.status), index) == Some(Status::Suspended) {
            let message = "a new user is active; remove the status, and suspend the user afterwards";
            self.report.add(Finding::field(index, UserField::Status, "status_of_new_user", message));
        }
        let CheckedRow { user, candidate, findings, warning } = check_row(row, index, limits);
        findings.into_iter().for_each(|finding| self.report.add(finding));
        self.warnings.extend(warning.map(|warning| *warning));
        let Some(user) = user else { return };
        let user = CheckedUser { index, user, candidate: candidate.filter(|_| !self.report.has_row(index)) };
        match first_with.get(user.email().key()) {
            Some(first) => self.report.add(Finding::email_twice(index, *first, user.email().as_str())),
            None => {
                first_with.insert(user.email().key().to_owned(), index);
                self.new.push(user);
            }
        }
    }

    fn add_listed(&mut self, mut row: Row, index: usize) {
        let mut findings = Findings::new(usize::MAX);
        let named_by = if row.user.is_empty() { "email" } else { "user" };
        let user = match std::mem::take(&mut row.user) {
            Field::Missing | Field::Null => address(&row).map(UserRef::ByAddress),
            sent => UserRef::check(sent, index, &mut findings),
        };
        let is_given = |secret: &Field<Secret>| matches!(secret, Field::Is(text) if !text.expose().is_empty());
        for (field, is_given) in [
            (UserField::Password, is_given(&row.password)),
            (UserField::PasswordHash, is_given(&row.password_hash)),
            (UserField::MustChangePassword, matches!(row.must_change_password, Field::Is(_))),
        ] {
            if is_given {
                let message = "only a new user can get a password, and this one exists; remove the value";
                findings.push(Finding::field(index, field, "password_of_existing_user", message));
            }
        }
        let status = self.status(std::mem::take(&mut row.status), index);
        let edit = Edit::check(row, index, &mut findings);
        findings.into_kept().into_iter().for_each(|finding| self.report.add(finding));
        self.listed.extend(user.map(|user| Listed { index, user, named_by, edit, status }));
    }

    fn status(&mut self, sent: Field<String>, index: usize) -> Option<Status> {
        let text = sent.into_option()?;
        let status = Status::parse(&text);
        if status.is_none() {
            let message = "must be `active` or `suspended`";
            self.report.add(Finding::field(index, UserField::Status, "status_unknown", message));
        }
        status
    }
}
