//! Lists of users: updated, suspended, reactivated or deleted, all or none.
//!
//! As for a list of new users, validation continues after the first finding: one report covers all rows and all
//! fields, users that do not exist, and addresses that belong to other users. A dry run executes everything and rolls
//! back.
//!
//! # Decisions
//!
//! *A list may swap addresses between its users*: uniqueness is validated for the final state.
//!
//! *A user who already is as requested is unchanged, not an error*: in an emergency, one account that was suspended before
//! must not keep the others open. Who does not exist stays an error, for a deletion too: the row may be misspelled, and
//! muster does not keep whom it has deleted.
//!
//! *Users who can't be changed are left out only on request* ([`ListOptions::skip_blocked`]), and the result names them with their
//! findings. A list that is malformed is rejected as ever. If the list would leave no owner, all its owners are left out: which of
//! them should stay is not for muster to decide.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::changes::Changes;
use super::edit::Edit;
use super::lock::{self, LockedUser};
use super::user_ref::{self, UserRef};
use super::write::{self, FieldChange};
use super::{EXPIRED, OWN_ACCOUNT, Status, UserDetails, read};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, User};
use crate::report::{Finding, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::{self, ListLimits};

/// An operation on a list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOperation {
    /// Changes names, last names, titles, addresses, sign-in methods, permission levels, expiries and attributes.
    Update,
    /// Suspends the users.
    Suspend,
    /// Reactivates the users.
    Reactivate,
    /// Deletes the users and all data that identifies them.
    Delete,
}

impl ListOperation {
    const fn action(self) -> Action {
        match self {
            Self::Update => Action::UserBatchUpdate,
            Self::Suspend => Action::UserBatchSuspend,
            Self::Reactivate => Action::UserBatchReactivate,
            Self::Delete => Action::UserBatchDelete,
        }
    }

    /// The participle for messages: "can't be suspended".
    const fn done(self) -> &'static str {
        match self {
            Self::Update => "changed",
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Delete => "deleted",
        }
    }

    /// The status that the users get.
    const fn status(self) -> Option<Status> {
        match self {
            Self::Suspend => Some(Status::Suspended),
            Self::Reactivate => Some(Status::Active),
            Self::Update | Self::Delete => None,
        }
    }
}

/// How a list is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Whether everything is rolled back.
    pub dry_run: bool,
    /// Whether users who can't be changed are left out; otherwise one of them rejects the list.
    pub skip_blocked: bool,
}

/// The result of a change to a list.
#[derive(Debug)]
pub struct ChangedList {
    /// The users after the change, or the last state of deleted ones, in the order of the list.
    pub users: Vec<UserDetails>,
    /// The number of users that were changed. The others already were as requested.
    pub changed: usize,
    /// The changed fields of an update, in the order of the list.
    pub changes: Vec<(Id<User>, FieldChange)>,
    /// Findings on the users who were left out.
    pub skipped: Vec<Finding>,
    /// The number of users who were left out.
    pub skipped_count: usize,
    /// What a suspension or a deletion ends.
    pub ended: Access,
}

/// What users have access with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Sessions that are not over.
    pub sessions: i64,
    /// API keys that are valid.
    pub keys: i64,
}

/// A parsed list.
struct List {
    operation: ListOperation,
    rows: Vec<Row>,
    report: Report,
    /// The memory of the list.
    _share: BodyShare,
}

/// A row with a valid reference to a user.
struct Row {
    index: usize,
    user: UserRef,
    revision: Option<i64>,
    edit: Edit,
}

/// Applies an operation to all users of a list, or to none. The body is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the body; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`;
/// `batch_rejected` or `batch_conflict` with the complete report; `last_owner` with a finding for each owner;
/// `overloaded`; `unavailable`.
pub async fn change_all(
    app: &App,
    caller: &Caller,
    operation: ListOperation,
    options: ListOptions,
    body: impl Future<Output = Result<RequestBody>>,
) -> Result<ChangedList> {
    app.authorize(caller, operation.action()).await?;
    let list = match body.await {
        Ok(body) => List::parse(operation, body, ListLimits::from(&app.config.batch)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &list
        && !options.dry_run
        && let Some(denial) = AuditDenial::of_list(None, error)
    {
        app.record_denial(caller, operation.action(), &denial).await;
    }
    let list = list?;
    let ListOptions { dry_run, skip_blocked } = options;
    let write = async |change: &mut Change| list.write(change, skip_blocked).await;
    app.change_many(caller, operation.action(), Target::Nothing, dry_run, write).await
}

impl List {
    /// Parses a list and validates its rows one by one, on a separate thread.
    async fn parse(operation: ListOperation, body: RequestBody, limits: ListLimits) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::read(operation, body, limits)).await.map_err(Error::internal)?
    }

    fn read(operation: ListOperation, body: RequestBody, limits: ListLimits) -> Result<Self> {
        let fields = match operation {
            ListOperation::Update => UserField::EDIT_ROW,
            ListOperation::Suspend | ListOperation::Reactivate | ListOperation::Delete => UserField::TARGET_ROW,
        };
        let (text, mut share) = body.into_parts();
        let (sent, mut findings) = rows::parse(&text, &mut share, limits, fields, "change")?;
        drop(text);
        let total = sent.len();
        let mut rows = Vec::with_capacity(total);
        for (index, row) in sent.into_iter().enumerate() {
            let Some(mut row) = row else { continue };
            let user = UserRef::check(std::mem::take(&mut row.user), index, &mut findings);
            let revision = std::mem::take(&mut row.if_match).into_option();
            let edit = Edit::check(row, index, &mut findings);
            rows.extend(user.map(|user| Row { index, user, revision, edit }));
        }
        let report = Report::on(total, operation.done(), findings);
        Ok(Self { operation, rows, report, _share: share })
    }

    /// Whether the list may end the ownership of a user.
    fn may_remove_owners(&self) -> bool {
        match self.operation {
            ListOperation::Suspend | ListOperation::Delete => true,
            ListOperation::Update => self.rows.iter().any(|row| row.edit.may_remove_owner()),
            ListOperation::Reactivate => false,
        }
    }

    /// Validates the list against the database and writes it.
    async fn write(&self, change: &mut Change, skip_blocked: bool) -> Result<ChangedList> {
        let (operation, may_remove_owners) = (self.operation, self.may_remove_owners());
        if may_remove_owners || self.rows.iter().any(|row| row.edit.may_end_sign_in()) {
            owners::lock(change).await?;
        }
        let mut report = self.report.clone();
        let skip_blocked = skip_blocked && report.is_empty();
        let mut found = lock(change, &self.rows, &mut report).await?;
        let (caller, now) = (*change.caller(), change.now());
        found.iter().for_each(|(row, user)| validate(operation, row, user, &caller, now, &mut report));
        let changes = loop {
            if skip_blocked {
                found.retain(|(row, _)| !report.has_row(row.index));
            }
            let edits: Vec<_> = found.iter().map(|(row, user)| (row.index, user, &row.edit)).collect();
            let changes = Changes::of(change, &edits).await?;
            changes.check_attributes(&mut report);
            changes.check_addresses(change, HashMap::new(), &mut report).await?;
            changes.check_expiries(now, &mut report);
            if skip_blocked && may_remove_owners {
                self.spare_owners(change, &found, &changes, &mut report).await?;
            }
            match found.iter().any(|(row, _)| report.has_row(row.index)) {
                true if skip_blocked => {}
                _ => break changes,
            }
        };
        if !report.is_empty() && !skip_blocked {
            return Err(Error::rejected(report));
        }
        let ids: Vec<Id<User>> = found.iter().map(|(_, user)| user.user_id).collect();
        let changing = self.changing(&found, &changes);
        let organization_id = change.organization_id();
        let before = match operation {
            ListOperation::Delete => Some(read::details(change.connection(), organization_id, &ids).await?),
            ListOperation::Update | ListOperation::Suspend | ListOperation::Reactivate => None,
        };
        let losing_access = match operation {
            ListOperation::Update => changes.who_may_lose_ownership(),
            ListOperation::Suspend | ListOperation::Reactivate | ListOperation::Delete => changing.clone(),
        };
        let owners = if may_remove_owners { owners::among(change, &losing_access).await? } else { Vec::new() };
        let ended = match operation {
            ListOperation::Suspend | ListOperation::Delete => read::access(change, &changing).await?,
            ListOperation::Update | ListOperation::Reactivate => Access::default(),
        };
        match operation {
            ListOperation::Update => changes.write_checked(change).await?,
            ListOperation::Suspend => write::set_status(change, &changing, Status::Suspended).await?,
            ListOperation::Reactivate => write::set_status(change, &changing, Status::Active).await?,
            ListOperation::Delete => write::delete(change, &changing, None).await?,
        }
        let (skipped_count, skipped) = (report.rows(), report.findings().into_iter().cloned().collect());
        if may_remove_owners {
            for (row, _) in found.iter().filter(|(_, user)| owners.contains(&user.user_id)) {
                report.add(Finding::last_owner(row.index, Some("user"), &row.user.shown()));
            }
            owners::require_one_or_report(change, report).await?;
        }
        let details = match before {
            Some(before) => before,
            None => read::details(change.connection(), organization_id, &ids).await?,
        };
        let changed = changing.len();
        if changed == 0 {
            change.dry_run();
        }
        change.record(Event::UsersChanged { action: operation.action(), organization_id, users: changed });
        let mut by_id: HashMap<Id<User>, UserDetails> = details.into_iter().map(|user| (user.user_id, user)).collect();
        let users = ids.into_iter().filter_map(|id| by_id.remove(&id)).collect();
        Ok(ChangedList { users, changed, changes: changes.fields, skipped, skipped_count, ended })
    }

    /// The users who are not yet as requested.
    fn changing(&self, found: &[(&Row, LockedUser)], changes: &Changes) -> Vec<Id<User>> {
        match (self.operation, self.operation.status()) {
            (ListOperation::Update, _) => changes.users().into_iter().collect(),
            (_, Some(status)) => {
                found.iter().filter(|(_, user)| user.status != status).map(|(_, user)| user.user_id).collect()
            }
            (_, None) => found.iter().map(|(_, user)| user.user_id).collect(),
        }
    }

    /// Adds a finding for each owner of the list, if the list would leave no other. A list that makes owners is left to the check after
    /// it is written.
    async fn spare_owners(
        &self,
        change: &mut Change,
        found: &[(&Row, LockedUser)],
        changes: &Changes,
        report: &mut Report,
    ) -> Result<()> {
        let losing = match self.operation {
            ListOperation::Update if !changes.who_become(PermissionLevel::Owner).is_empty() => return Ok(()),
            ListOperation::Update => changes.who_may_lose_ownership(),
            ListOperation::Suspend | ListOperation::Reactivate | ListOperation::Delete => self.changing(found, changes),
        };
        let lowered = changes.who_become(PermissionLevel::Collaborator);
        if losing.is_empty() || owners::remain_without(change, &losing, &lowered).await? {
            return Ok(());
        }
        let owners = owners::among(change, &losing).await?;
        for (row, _) in found.iter().filter(|(_, user)| owners.contains(&user.user_id)) {
            report.add(Finding::last_owner(row.index, Some("user"), &row.user.shown()));
        }
        Ok(())
    }
}

/// Locks the users of all rows. Unknown users and users that are in the list twice become findings.
async fn lock<'a>(change: &mut Change, rows: &'a [Row], report: &mut Report) -> Result<Vec<(&'a Row, LockedUser)>> {
    let users: Vec<&UserRef> = rows.iter().map(|row| &row.user).collect();
    let ids_of_rows = user_ref::ids(change, &users).await?;
    let ids: Vec<Id<User>> = ids_of_rows.iter().flatten().copied().collect();
    let locked = lock::all(change, &ids).await?;
    let mut locked: HashMap<Id<User>, LockedUser> = locked.into_iter().map(|user| (user.user_id, user)).collect();
    // The address may have moved to another user before the row was locked.
    let is_found = |user: &UserRef, id| locked.get(&id).is_some_and(|locked| user.is_of(locked.email_key()));
    let places =
        user_ref::distinct(rows.iter().map(|row| (row.index, &row.user, "user")), ids_of_rows, is_found, report);
    Ok(places.into_iter().filter_map(|(place, id)| Some((rows.get(place)?, locked.remove(&id)?))).collect())
}

/// Validates the operation against the current state of the user.
fn validate(
    operation: ListOperation,
    row: &Row,
    user: &LockedUser,
    caller: &Caller,
    now: DateTime<Utc>,
    report: &mut Report,
) {
    let index = row.index;
    let lowers = match operation {
        ListOperation::Suspend | ListOperation::Delete => true,
        ListOperation::Reactivate => false,
        ListOperation::Update => row.edit.permission_level == Some(PermissionLevel::Collaborator),
    };
    if lowers && caller.is_session_of(user.user_id) {
        report.add(Finding::field(index, "user", "own_account", OWN_ACCOUNT));
    }
    if row.revision.is_some_and(|revision| revision != user.revision) {
        let message = "the user has changed since this revision; read the user again and retry";
        report.add(Finding::field(index, "if_match", Code::PreconditionFailed.as_str(), message));
    }
    if operation == ListOperation::Reactivate && user.is_expired(now) {
        report.add(Finding::field(index, "user", "expired", EXPIRED));
    }
    if operation == ListOperation::Update && user.is_service_account {
        for field in row.edit.personal() {
            let message =
                "can't be changed; only the title and the permission level of a service account can be changed";
            report.add(Finding::field(index, field, "service_account", message));
        }
    }
}
