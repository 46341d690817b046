//! The report on a rejected list of users: every row, every field, every conflict.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use muster_client::RowFinding;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::field::UserField;

/// The number of findings in the one-line summary; `rows` has all of them.
const NAMED: usize = 5;

/// A finding on one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The row's index in the list, from 0.
    #[schema(example = 3)]
    pub index: usize,
    /// The field; `null` for a finding on the row as a whole.
    #[schema(example = "email")]
    pub field: Option<String>,
    /// A stable code.
    #[schema(value_type = String, example = "email_taken")]
    pub code: &'static str,
    /// A message for people. Never contains a password.
    #[schema(example = "already exists")]
    pub message: String,
    /// The index of the other row, for a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_index: Option<usize>,
    /// The user's address or ID, for the summary.
    #[serde(skip)]
    subject: Option<String>,
}

impl From<Finding> for RowFinding {
    fn from(Finding { index, field, code, message, other_index, subject: _ }: Finding) -> Self {
        Self { index, field, code: code.to_owned(), message, other_index }
    }
}

impl Finding {
    /// A finding on a field.
    pub(crate) fn field(
        index: usize,
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { index, field: Some(field.into()), code, message: message.into(), other_index: None, subject: None }
    }

    /// A finding on a row as a whole.
    pub(crate) fn row(index: usize, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: None, ..Self::field(index, "", code, message) }
    }

    /// A finding on the user of a row.
    pub(crate) fn about(index: usize, email: &str, code: &'static str, message: &str) -> Self {
        Self { subject: Some(email.to_owned()), ..Self::row(index, code, message) }
    }

    /// A user has the address.
    pub(crate) fn email_taken(index: usize, email: &str) -> Self {
        Self { subject: Some(email.to_owned()), ..Self::field(index, "email", EMAIL_TAKEN, "already exists") }
    }

    /// No user has the ID or address in this field; `who` is its value, if it can be shown.
    pub(crate) fn no_such_user(index: usize, field: &str, who: Option<&str>) -> Self {
        Self { subject: who.map(str::to_owned), ..Self::field(index, field, "unknown_user", "there is no such user") }
    }

    /// The sort key: the row, then the field.
    pub(crate) fn order(&self) -> (usize, usize) {
        (self.index, place(self.field.as_deref()))
    }

    /// The row removes the last owner; `field` is the field that names the user, if there is one.
    pub(crate) fn last_owner(index: usize, field: Option<&str>, who: &str) -> Self {
        let message = "is an owner, and no other active owner would be left";
        Self { field: field.map(str::to_owned), ..Self::about(index, who, "last_owner", message) }
    }

    /// An earlier row names the same user in this field.
    pub(crate) fn user_twice(index: usize, first: usize, field: &str) -> Self {
        let message = format!("the same user as users[{first}]");
        Self { other_index: Some(first), ..Self::field(index, field, "user_duplicate", message) }
    }

    /// An earlier row has the same address.
    pub(crate) fn email_twice(index: usize, first: usize, email: &str) -> Self {
        Self {
            subject: Some(email.to_owned()),
            other_index: Some(first),
            ..Self::field(index, "email", "email_duplicate", format!("the same address as users[{first}]"))
        }
    }
}

const EMAIL_TAKEN: &str = "email_taken";

impl Finding {
    /// Place and message; `list` is the name of the list.
    fn named(&self, list: &str) -> String {
        let field = self.field.as_ref().map_or_else(String::new, |field| format!(".{field}"));
        let subject = self.subject.as_ref().map_or_else(String::new, |subject| format!(" ({subject})"));
        format!("{list}[{}]{field}{subject}: {}", self.index, self.message)
    }
}

/// Findings on a list: the first ones in full, the others by number, so that a report of any list is bounded.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    max: usize,
    kept: Vec<Finding>,
    /// The number of findings for each code.
    of_code: BTreeMap<&'static str, usize>,
    /// The rows with findings.
    rows: HashSet<usize>,
}

impl Findings {
    /// No findings; the first `max` (setting `batch.max_findings`) will be kept in full.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, kept: Vec::new(), of_code: BTreeMap::new(), rows: HashSet::new() }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        *self.of_code.entry(finding.code).or_default() += 1;
        self.rows.insert(finding.index);
        if self.kept.len() < self.max {
            self.kept.push(finding);
        }
    }

    /// The findings that are kept in full.
    pub(crate) fn into_kept(self) -> Vec<Finding> {
        self.kept
    }

    fn len(&self) -> usize {
        self.of_code.values().sum()
    }
}

/// The findings on a list.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the list.
    list: &'static str,
    total: usize,
    /// The participle for messages, such as `created`.
    done: &'static str,
    findings: Findings,
}

impl Report {
    /// A report on a list of `total` users; `done` is the participle for messages, such as `suspended`.
    pub(crate) const fn on(total: usize, done: &'static str, findings: Findings) -> Self {
        Self { list: "users", total, done, findings }
    }

    /// A report on a list of `total` bindings of a policy.
    pub(crate) const fn on_bindings(total: usize, findings: Findings) -> Self {
        Self { list: "bindings", total, done: "set", findings }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.findings.of_code.is_empty()
    }

    /// Whether there is a finding on this row.
    pub(crate) fn has_row(&self, index: usize) -> bool {
        self.findings.rows.contains(&index)
    }

    /// The number of rows in the list.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// The findings that are kept in full, sorted by row and field.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.findings.kept.iter().collect();
        findings.sort_by_key(|finding| finding.order());
        findings
    }

    /// The number of findings that are not kept in full; `None` if there are none.
    #[must_use]
    pub fn more_findings(&self) -> Option<usize> {
        self.findings.len().checked_sub(self.findings.kept.len()).filter(|more| *more > 0)
    }

    /// Whether all findings are conflicts with existing users.
    #[must_use]
    pub fn only_conflicts(&self) -> bool {
        self.findings.of_code.keys().all(|code| *code == EMAIL_TAKEN)
    }

    /// Whether one finding for each row is kept.
    pub(crate) fn is_complete(&self) -> bool {
        self.findings.kept.len() == self.total && self.more_findings().is_none()
    }

    /// The e-mail addresses in the findings.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &str> {
        self.findings.kept.iter().filter_map(|finding| finding.subject.as_deref())
    }

    /// The number of findings for each code.
    #[must_use]
    pub fn counts(&self) -> Map<String, Value> {
        self.findings.of_code.iter().map(|(code, count)| ((*code).to_owned(), (*count).into())).collect()
    }
}

/// The sort key of a field: `user`, then the order of a new user's fields, then everything else.
fn place(field: Option<&str>) -> usize {
    let fields = UserField::NEW_USER;
    match field {
        Some("user") => 0,
        field => fields.iter().position(|known| Some(known.as_str()) == field).unwrap_or(fields.len()) + 1,
    }
}

impl Report {
    /// The number of rows with findings.
    pub(crate) fn rows(&self) -> usize {
        self.findings.rows.len()
    }

    /// The summary without addresses, for storage: addresses must not outlive their users.
    pub(crate) fn without_addresses(&self, line: &str) -> String {
        let addresses = self.findings.kept.iter().filter_map(|finding| finding.subject.as_deref());
        addresses.fold(line.to_owned(), |line, address| line.replace(&format!(" ({address})"), ""))
    }

    /// The first findings, and the number of the others.
    pub(crate) fn named(&self) -> String {
        let findings = self.findings();
        let mut named: Vec<String> = findings.iter().take(NAMED).map(|finding| finding.named(self.list)).collect();
        let more = self.findings.len().saturating_sub(named.len());
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        named.join("; ")
    }

    /// The summary of a rejected undo.
    pub(crate) fn undo_summary(&self) -> String {
        format!("{} of {} users were used since; no user was removed: {}", self.rows(), self.total, self.named())
    }
}

impl fmt::Display for Report {
    /// One line: the number of rows, the first findings, the number of the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.done;
        match self.total {
            1 => write!(f, "the user can't be {done}: {}", self.named()),
            total => write!(f, "{} of {total} users can't be {done}: {}", self.rows(), self.named()),
        }
    }
}
