//! A list of users: changed, suspended, reactivated or deleted, all of them or none.
//!
//! As for a list that is created, nothing stops at the first finding: one report covers all rows and all fields,
//! users who do not exist, and addresses that others have. A dry run does everything, and takes it back.
//!
//! # Decisions
//!
//! *Addresses may be swapped within a list*: what counts is who has which when all is done.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use uuid::Uuid;

use super::edit::{Edit, EditRow, Row, WhoRow};
use super::lock::{self, Locked};
use super::named::{self, Named};
use super::write::{self, Update};
use super::{Details, Status, read};
use crate::app::App;
use crate::audit::{AuditDenial, Event};
use crate::caller::{Action, Caller};
use crate::change::{Change, Patience};
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};
use crate::postgres::ErrorClass;
use crate::report::{Finding, Report};
use crate::rows;

/// How often a list is tried again that others were in the way of.
const RETRIES: u32 = 3;

/// What is done to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bulk {
    /// Names, last names, titles and addresses are changed.
    Update,
    /// They are kept out.
    Suspend,
    /// They are let in again.
    Reactivate,
    /// They are deleted, with everything that names them.
    Delete,
}

impl Bulk {
    const fn action(self) -> Action {
        match self {
            Self::Update => Action::UserBatchUpdate,
            Self::Suspend => Action::UserBatchSuspend,
            Self::Reactivate => Action::UserBatchReactivate,
            Self::Delete => Action::UserBatchDelete,
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Update => "changed",
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Delete => "deleted",
        }
    }

    const fn may_take_owners(self) -> bool {
        matches!(self, Self::Suspend | Self::Delete)
    }
}

/// A list, taken apart.
struct List {
    bulk: Bulk,
    rows: Vec<Entry>,
    report: Report,
}

/// A row of which it is known who it is about.
struct Entry {
    index: usize,
    named: Named,
    revision: Option<i64>,
    edit: Edit,
}

/// Does the same to all users of a list, or nothing to any of them. They come back in the order of the list, as
/// they are then; deleted ones as they were. The body is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`; what reading the body gives; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`;
/// `batch_rejected` or `batch_conflict` with the complete report; `last_owner` with a finding for each owner; `overloaded`; `unavailable`.
pub async fn change_all(
    app: &App,
    caller: &Caller,
    bulk: Bulk,
    dry_run: bool,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Vec<Details>> {
    app.authorize(caller, bulk.action()).await?;
    let changed = match body.await {
        Ok(body) => judge_and_write(app, caller, bulk, dry_run, body).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &changed
        && !dry_run
        && let Some(refusal) = AuditDenial::of_list(None, error)
    {
        app.refused(caller, bulk.action(), &refusal).await;
    }
    changed
}

async fn judge_and_write(app: &App, caller: &Caller, bulk: Bulk, dry_run: bool, body: Bytes) -> Result<Vec<Details>> {
    let max_users = app.config.batch.max_users;
    let list = tokio::task::spawn_blocking(move || match bulk {
        Bulk::Update => List::read::<EditRow>(bulk, &body, max_users),
        _ => List::read::<WhoRow>(bulk, &body, max_users),
    });
    let list = list.await.map_err(Error::internal)??;
    let mut attempt = 0;
    loop {
        let error = match write_once(app, caller, &list, dry_run).await {
            Ok(details) => return Ok(details),
            Err(error) => error,
        };
        // An address that somebody was given meanwhile is a finding of the next attempt.
        let again = error.class() == Some(ErrorClass::Contended) || error.code() == Code::EmailTaken;
        if !again || attempt == RETRIES {
            return Err(error);
        }
        attempt += 1;
        tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(10..=200))).await;
    }
}

impl List {
    /// Checks each row by itself.
    fn read<R: Row>(bulk: Bulk, body: &[u8], max_users: usize) -> Result<Self> {
        let (sent, mut findings) = rows::parse::<R>(body, max_users)?;
        let mut report = Report::on(sent.len(), bulk.done());
        let mut entries = Vec::with_capacity(sent.len());
        for (index, row) in sent.into_iter().enumerate() {
            let Some(row) = row else { continue };
            let (who, sent) = row.parts();
            let edit = sent.check(index, &mut findings);
            if let Some((named, revision)) = who.check(index, &mut findings) {
                entries.push(Entry { index, named, revision, edit });
            }
        }
        findings.into_iter().for_each(|finding| report.add(finding));
        Ok(Self { bulk, rows: entries, report })
    }
}

async fn write_once(app: &App, caller: &Caller, list: &List, dry_run: bool) -> Result<Vec<Details>> {
    let bulk = list.bulk;
    let mut change = app.batch_change(caller, bulk.action(), Patience::Batch, app.clock.now()).await?;
    if bulk.may_take_owners() {
        owners::lock(&mut change).await?;
    }
    let mut report = list.report.clone();
    let found = find(&mut change, &list.rows, &mut report).await?;
    found.iter().for_each(|(entry, user)| judge(bulk, entry, user, &mut report));
    let updates = updates(&mut change, &found, &mut report).await?;
    if !report.is_empty() {
        return Err(Error::rejected(report));
    }
    let ids: Vec<Id<User>> = found.iter().map(|(_, user)| user.user_id).collect();
    let organization_id = change.organization_id();
    let before = match bulk {
        Bulk::Delete => Some(read::details(change.connection(), organization_id, &ids).await?),
        _ => None,
    };
    let owners = if bulk.may_take_owners() { owners::among(&mut change, &ids).await? } else { Vec::new() };
    let changed = write_all(&mut change, bulk, &ids, &updates).await?;
    if bulk.may_take_owners() {
        for (entry, _) in found.iter().filter(|(_, user)| owners.contains(&user.user_id)) {
            report.add(Finding::last_owner(entry.index, Some("user"), &entry.named.shown()));
        }
        owners::hold_against(&mut change, report).await?;
    }
    let details = match before {
        Some(before) => before,
        None => read::details(change.connection(), organization_id, &ids).await?,
    };
    if dry_run || changed == 0 {
        change.roll_back().await?;
    } else {
        change.record(Event::UsersChanged { action: bulk.action(), organization_id, users: changed });
        change.commit().await?;
    }
    let mut by_id: HashMap<Uuid, Details> = details.into_iter().map(|user| (user.user_id.uuid(), user)).collect();
    Ok(ids.into_iter().filter_map(|id| by_id.remove(&id.uuid())).collect())
}

/// Writes it; gives how many users are different.
async fn write_all(change: &mut Change, bulk: Bulk, ids: &[Id<User>], updates: &[Update]) -> Result<usize> {
    match bulk {
        Bulk::Update if updates.is_empty() => return Ok(0),
        Bulk::Update => {
            write::update(change, updates).await?;
            return Ok(updates.len());
        }
        Bulk::Suspend => write::set_status(change, ids, Status::Suspended).await?,
        Bulk::Reactivate => write::set_status(change, ids, Status::Active).await?,
        Bulk::Delete => write::delete(change, ids, None).await?,
    }
    Ok(ids.len())
}

/// Locks the users of all rows; those who do not exist, and those who are in the list twice, are findings.
async fn find<'a>(change: &mut Change, rows: &'a [Entry], report: &mut Report) -> Result<Vec<(&'a Entry, Locked)>> {
    let named: Vec<&Named> = rows.iter().map(|entry| &entry.named).collect();
    let ids_of_rows = named::ids(change, &named).await?;
    let ids: Vec<Id<User>> = ids_of_rows.iter().flatten().copied().collect();
    let locked = lock::all(change, &ids).await?;
    let mut locked: HashMap<Uuid, Locked> = locked.into_iter().map(|user| (user.user_id.uuid(), user)).collect();
    let mut first_with: HashMap<Uuid, usize> = HashMap::new();
    let mut found = Vec::with_capacity(rows.len());
    for (entry, user_id) in rows.iter().zip(ids_of_rows) {
        let user_id = user_id.map(Id::uuid);
        if let Some(first) = user_id.and_then(|id| first_with.get(&id)) {
            report.add(Finding::user_twice(entry.index, *first, "user"));
            continue;
        }
        // Somebody else may have been given the address before it was locked.
        let user = user_id.and_then(|id| locked.remove(&id)).filter(|user| match &entry.named {
            Named::ById(_) => true,
            Named::ByAddress(address) => address.key() == user.email_key(),
        });
        match user {
            Some(user) => {
                first_with.insert(user.user_id.uuid(), entry.index);
                found.push((entry, user));
            }
            None => {
                let who = entry.named.shown();
                report.add(Finding::no_such_user(entry.index, "user", Some(&who)));
            }
        }
    }
    Ok(found)
}

/// Whether this can be done to this user.
fn judge(bulk: Bulk, entry: &Entry, user: &Locked, report: &mut Report) {
    let (index, who) = (entry.index, entry.named.shown());
    if entry.revision.is_some_and(|revision| revision != user.revision) {
        let message = "somebody has changed the user since: read it again";
        report.add(Finding::field(index, "if_match", Code::PreconditionFailed.as_str(), message));
    }
    match bulk {
        Bulk::Suspend if user.is(Status::Suspended) => {
            report.add(Finding::user(index, &who, "already_suspended", "is suspended already"));
        }
        Bulk::Reactivate if user.is(Status::Active) => {
            report.add(Finding::user(index, &who, "already_active", "is active already"));
        }
        Bulk::Update if user.is_service_account => {
            for field in entry.edit.personal() {
                let message = "can't be changed: of a service account only the title can";
                report.add(Finding::field(index, field, "service_account", message));
            }
        }
        _ => {}
    }
}

/// What the edits come to, without those that change nothing. Addresses that somebody else has, or that two rows take,
/// are findings.
async fn updates(change: &mut Change, found: &[(&Entry, Locked)], report: &mut Report) -> Result<Vec<Update>> {
    let edited = found.iter().filter_map(|(entry, user)| Some((entry.index, user.edited(&entry.edit)?)));
    let updates: Vec<(usize, Update)> = edited.collect();
    let moving: Vec<&(usize, Update)> = updates.iter().filter(|(_, update)| update.moves()).collect();
    if !moving.is_empty() {
        let keys: Vec<&str> = moving.iter().map(|(_, update)| update.email_key.as_str()).collect();
        let organization_id = change.organization_id();
        let holders = read::by_address(change.connection(), organization_id, &keys).await?;
        let given_up: HashSet<Uuid> = moving.iter().map(|(_, update)| update.user_id.uuid()).collect();
        let holders: HashSet<String> =
            holders.into_iter().filter(|(_, id)| !given_up.contains(&id.uuid())).map(|(key, _)| key).collect();
        let mut first_with: HashMap<&str, usize> = HashMap::new();
        for (index, update) in &moving {
            if holders.contains(&update.email_key) {
                report.add(Finding::email_taken(*index, &update.email));
            } else if let Some(first) = first_with.get(update.email_key.as_str()) {
                report.add(Finding::email_twice(*index, *first, &update.email));
            } else {
                first_with.insert(&update.email_key, *index);
            }
        }
    }
    Ok(updates.into_iter().map(|(_, update)| update).collect())
}
