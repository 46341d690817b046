//! Lists of users to add to a group or to remove from it: each row of the JSON array has `user`, an ID or an address.
//! All findings are collected, as for a batch.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, Organization, User};
use crate::report::{Finding, Findings, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::{self, Field, ListLimits, Row};
use crate::users::user_ref::{self, UserRef};

/// The rows of a list, as they were sent.
#[derive(Debug)]
pub enum MemberRows {
    /// A JSON array whose rows have `user`, an ID or an address.
    Json(RequestBody),
    /// IDs, as the vendor's client sends them.
    UserIds(Vec<String>),
}

/// A list whose rows have been validated without the database.
#[derive(Debug)]
pub(super) struct MemberList {
    rows: Vec<(usize, UserRef)>,
    report: Report,
    /// The users that were found, with the place of each in `rows`.
    found: Vec<(usize, Id<User>)>,
    /// The memory of the list.
    _share: Option<BodyShare>,
}

impl MemberList {
    /// Parses a list outside the worker threads. `done` is the participle for messages: "can't be added".
    ///
    /// # Errors
    /// `invalid_json`, `invalid_request`, `empty_batch` or `too_large` for a body that is not a list.
    pub(super) async fn parse(rows: MemberRows, limits: ListLimits, done: &'static str) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::read(rows, limits, done)).await.map_err(Error::internal)?
    }

    fn read(rows: MemberRows, limits: ListLimits, done: &'static str) -> Result<Self> {
        let (sent, mut findings, share) = match rows {
            MemberRows::Json(body) => {
                let (text, mut share) = body.into_parts();
                let (sent, findings) = rows::parse(&text, &mut share, limits, UserField::MEMBER_ROW, "add or remove")?;
                (sent, findings, Some(share))
            }
            MemberRows::UserIds(ids) => (Self::rows_of(ids)?, Findings::new(limits.findings), None),
        };
        let total = sent.len();
        let mut rows = Vec::with_capacity(total);
        for (index, row) in sent.into_iter().enumerate() {
            let user = row.and_then(|row| UserRef::check(row.user, index, &mut findings));
            rows.extend(user.map(|user| (index, user)));
        }
        Ok(Self { rows, report: Report::on(total, done, findings), found: Vec::new(), _share: share })
    }

    fn rows_of(ids: Vec<String>) -> Result<Vec<Option<Row>>> {
        if ids.is_empty() {
            return Err(Error::new(Code::EmptyBatch, "`user_ids` is empty; there are no users to add or remove"));
        }
        Ok(ids.into_iter().map(|id| Some(Row { user: Field::Is(id), ..Row::default() })).collect())
    }

    /// Finds the users, in the order of their IDs, and locks them against deletion until the transaction ends.
    ///
    /// # Errors
    /// `batch_rejected` with the complete report, which includes unknown and duplicate users.
    pub(super) async fn find(&mut self, change: &mut Change) -> Result<Vec<Id<User>>> {
        let organization_id = change.organization_id();
        // A retry runs this again, so it starts from the report of the validation.
        let mut report = self.report.clone();
        let refs: Vec<&UserRef> = self.rows.iter().map(|(_, user)| user).collect();
        let ids = user_ref::ids(change, &refs).await?;
        let known: Vec<Id<User>> = ids.iter().flatten().copied().collect();
        let locked = lock(change.connection(), organization_id, &known).await?;
        // The address may have moved to another user before the row was locked.
        let is_found = |user: &UserRef, id| locked.get(&id).is_some_and(|email_key| user.is_of(email_key));
        let rows = self.rows.iter().map(|(index, user)| (*index, user, "user"));
        self.found = user_ref::distinct(rows, ids, is_found, &mut report);
        if report.is_empty() { Ok(locked.into_keys().collect()) } else { Err(Error::rejected(report)) }
    }

    /// A report with a finding for each of these owners, who are in the list.
    pub(super) fn last_owners(&self, owners: &[Id<User>]) -> Report {
        let mut report = self.report.clone();
        let removed = self.found.iter().filter(|(_, id)| owners.contains(id));
        for (index, user) in removed.filter_map(|(place, _)| self.rows.get(*place)) {
            report.add(Finding::last_owner(*index, Some("user"), &user.shown()));
        }
        report
    }
}

/// Locks users against deletion until the transaction ends. Returns those that exist, by ID, with the keys of their
/// addresses.
async fn lock(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_ids: &[Id<User>],
) -> Result<BTreeMap<Id<User>, String>> {
    let users = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", email_key from users
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for key share
        "#,
        organization_id as Id<Organization>,
        user_ids as &[Id<User>],
    )
    .fetch_all(connection)
    .await?;
    Ok(users.into_iter().map(|user| (user.user_id, user.email_key)).collect())
}
