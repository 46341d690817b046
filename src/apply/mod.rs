//! Applying a list as the wished state: users are created, changed and suspended in one transaction, all or none.
//!
//! A row that names an existing user, by ID or address, is a change; any other row with a free address is a new user. A dry
//! run returns the differences and a plan; a request with the plan is rejected if any of these users has changed since.
//!
//! # Decisions
//!
//! *Absent fields stay as they are*, so that a list of only `email` and `title` changes titles. The command line turns empty
//! cells of a CSV file into null, because the file is the wished state.
//!
//! *Missing users are only suspended on request*, which can be undone. Owners and service accounts are never suspended for being
//! missing: a list of employees does not have them, and without them nobody could correct the mistake. An empty list is rejected,
//! as every empty list.
//!
//! *Passwords are for new users only.* A list that sets the password of an existing user would reset it with each repetition.
//!
//! *There is no `Idempotency-Key`*: a repeated list changes nothing, and with its plan it is rejected (`plan_changed`).
//!
//! *Applying requires the permission to read users, too*, because the differences show users whom the list does not name, and
//! values before the change.
//!
//! *New users belong to no batch*: a batch can be undone, which would leave the changes of the other users.

pub(crate) mod file;
mod plan;
mod read;
mod row;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::batches::{self, CheckedUser, Hashing, Limits, Plan};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};
use crate::organizations;
use crate::passwords::PasswordHash;
use crate::report::{Finding, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::ListLimits;
use crate::users::lock::LockedUser;
use crate::users::{self, Account, Attributes, Credential, FieldChange, Line, NewUser, Status, StoredPassword};

use plan::Differences;
use row::{List, Listed, Sorted};

/// The number of addresses that are looked up at once, each time within the time of a read.
const LOOKUP: usize = 10_000;

/// The parameters of a request, in addition to the list.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Whether only to return what would be done.
    pub dry_run: bool,
    /// Whether to suspend active people who are not in the list.
    pub suspend_missing: bool,
    /// The plan that the outcome must match.
    pub plan: Option<Plan>,
}

/// What was done, or would be.
#[derive(Debug)]
pub struct Applied {
    /// The users who differ from the list: in its order, then those who are missing.
    pub users: Vec<AppliedUser>,
    /// The number of rows.
    pub total: usize,
    /// The plan that a later request can be bound to.
    pub plan: Plan,
    /// Findings that do not prevent the change, such as weak hashes.
    pub warnings: Vec<Finding>,
}

/// A user who differs from the list.
#[derive(Debug)]
pub struct AppliedUser {
    /// What is done.
    pub action: UserAction,
    /// The ID; `None` for a user that a dry run would create.
    pub user_id: Option<Id<User>>,
    /// The address before the change.
    pub email: String,
    /// The fields that change.
    pub changes: Vec<FieldChange>,
}

crate::names::names! {
    /// What is done to a user.
    pub enum UserAction {
        /// The user is created.
        Create = "create",
        /// Fields of the user change.
        Change = "change",
        /// The user is missing from the list and is suspended.
        Suspend = "suspend",
    }
}

/// A list that is ready to be applied.
struct Prepared {
    bytes: Bytes,
    listed: Vec<Listed>,
    new: Vec<Account>,
    /// The indexes of the rows of the new users.
    new_indexes: Vec<usize>,
    /// How the new users sign in.
    credentials: Vec<&'static [u8]>,
    report: Report,
    warnings: Vec<Finding>,
    total: usize,
    max_users: usize,
    /// Whether new users must change their password.
    must_change: bool,
    /// The memory of the list.
    _share: BodyShare,
}

/// Applies a list, or returns what that would do. Reads the body after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the body; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`;
/// `batch_rejected` or `batch_conflict` with the complete report; `plan_changed`; `last_owner` with a finding for each
/// owner of the list; `overloaded`; `unavailable`.
pub async fn apply(
    app: &Arc<App>,
    caller: &Caller,
    request: &Request,
    body: impl Future<Output = Result<RequestBody>>,
) -> Result<Applied> {
    let action = Action::UserBatchApply;
    app.authorize(caller, action).await?;
    app.authorize(caller, Action::UserGet).await?;
    let prepared = match body.await {
        Ok(body) => Box::pin(prepare(app, caller, request, body)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &prepared
        && !request.dry_run
        && let Some(denial) = AuditDenial::of_list(None, error)
    {
        app.record_denial(caller, action, &denial).await;
    }
    let prepared = prepared?;
    let write = async |change: &mut Change| prepared.write(change, app, request).await;
    let applied = app.change_many(caller, action, Target::Nothing, request.dry_run, write).await?;
    if !request.dry_run {
        app.note_created(prepared.new.len());
    }
    Ok(applied)
}

/// Validates the rows, and hashes the passwords of new users unless the list is rejected anyway.
async fn prepare(app: &Arc<App>, caller: &Caller, request: &Request, body: RequestBody) -> Result<Prepared> {
    let limits = ListLimits::from(&app.config.batch);
    let list = tokio::task::spawn_blocking(move || List::parse(body, limits)).await.map_err(Error::internal)??;
    if let Some(plan) = &request.plan {
        plan.check_list(&app.fingerprints, &list.bytes)?;
    }
    let keys = list.keys();
    let mut holders = HashMap::new();
    for keys in keys.chunks(LOOKUP) {
        let found = app.in_time(Box::pin(async {
            let mut connection = app.reader(&app.db.batch).await?;
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            users::read::by_address(&mut connection, caller.organization_id, &keys, None).await
        }));
        holders.extend(found.await??);
    }
    let rules = Limits { policy: app.policy, may_grant_owner: caller.may(Action::OwnerGrant), now: app.clock.now() };
    let sorted = tokio::task::spawn_blocking(move || list.sort(&holders, &rules)).await.map_err(Error::internal)?;
    let Sorted { bytes, listed, new: mut checked, mut report, mut warnings, total, share } = sorted;
    let passwords = checked.iter().filter(|user| user.candidate.is_some()).count();
    let is_hashed = !request.dry_run && report.is_empty();
    if is_hashed {
        batches::fits(app, passwords, "apply the list in parts")?;
    }
    let mut place = app.hasher.admit(passwords, if is_hashed { passwords } else { 0 })?;
    batches::check_passwords(&mut checked, &mut place, &mut report).await?;
    let (new_indexes, mut users): (Vec<usize>, Vec<NewUser>) =
        checked.into_iter().filter_map(|CheckedUser { index, user, .. }| Some((index, user.ok()?))).unzip();
    if passwords > 0 && report.is_empty() {
        let organization = organizations::name(app, caller).await?;
        let indexes = new_indexes.clone();
        let check = move || {
            let new = indexes.iter().copied().zip(&users);
            (batches::warnings::of_passwords(new, &organization), users)
        };
        let (more, checked) = tokio::task::spawn_blocking(check).await.map_err(Error::internal)?;
        users = checked;
        warnings.extend(more);
        warnings.sort_by_key(Finding::order);
    }
    // Hashing moves the passwords out of the users.
    let credentials = users.iter().map(|user| batches::credential_kind(&user.credential)).collect();
    let must_change = app.config.passwords.must_change;
    let hashes = if is_hashed && report.is_empty() {
        Hashing::start(place, &mut users).finish().await?
    } else {
        drop(place);
        let plain = users.iter().enumerate().filter(|(_, user)| matches!(user.credential, Credential::Password(_)));
        plain.map(|(row, _)| (row, PasswordHash::placeholder())).collect()
    };
    let now = app.clock.now();
    let mut new: Vec<Account> = users.into_iter().map(|user| batches::account(now, user)).collect();
    for (row, hash) in hashes {
        if let Some(account) = new.get_mut(row) {
            account.password = Some(StoredPassword { hash, must_change });
        }
    }
    let max_users = app.config.batch.max_users;
    Ok(Prepared {
        bytes,
        listed,
        new,
        new_indexes,
        credentials,
        report,
        warnings,
        total,
        max_users,
        must_change,
        _share: share,
    })
}

impl Prepared {
    /// Validates the list against the database and writes it.
    async fn write(&self, change: &mut Change, app: &App, request: &Request) -> Result<Applied> {
        owners::lock(change).await?;
        let mut report = self.report.clone();
        self.find_taken(change, &mut report).await?;
        let differences = Differences::find(change, self, request.suspend_missing, &mut report).await?;
        if !report.is_empty() {
            return Err(if request.plan.is_some() { Error::plan_changed(report) } else { Error::rejected(report) });
        }
        let organization_id = change.organization_id();
        let digest = differences.digest(self, Uuid::from(organization_id), request.suspend_missing);
        if let Some(plan) = &request.plan
            && !plan.has_outcome(&app.fingerprints, &digest)
        {
            let message = "users have changed since the plan was made; nothing was written, so make a new dry run";
            return Err(Error::new(Code::PlanChanged, message));
        }
        let plan = Plan::of(&app.fingerprints, &self.bytes, &digest);
        self.write_differences(change, &differences, report).await?;
        let users = self.users(&differences, request.dry_run);
        if users.is_empty() {
            change.dry_run();
        }
        change.record(Event::UsersChanged { action: Action::UserBatchApply, organization_id, users: users.len() });
        Ok(Applied { users, total: self.total, plan, warnings: self.warnings.clone() })
    }

    /// The new users with the indexes of their rows.
    fn new_rows(&self) -> impl Iterator<Item = (usize, &Account)> {
        self.new_indexes.iter().copied().zip(&self.new)
    }

    /// Finds addresses of new users that belong to somebody by now.
    async fn find_taken(&self, change: &mut Change, report: &mut Report) -> Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        let emails: Vec<_> = self.new.iter().map(|account| &account.user.email).collect();
        let organization_id = change.organization_id();
        for taken in users::read::taken(change.connection(), organization_id, &emails, None).await? {
            if let (Some(index), Some(account)) = (self.new_indexes.get(taken), self.new.get(taken)) {
                report.add(Finding::email_taken(*index, account.user.email.as_str()));
            }
        }
        Ok(())
    }

    /// Writes the changes, then the new users, whose addresses others may have given up.
    async fn write_differences(
        &self,
        change: &mut Change,
        differences: &Differences<'_>,
        mut report: Report,
    ) -> Result<()> {
        let lowered = differences.lowered();
        let owners = owners::among(change, &lowered).await?;
        if !lowered.is_empty() {
            // All of them at once, before any of them is lowered: see the decisions in `change`.
            users::lock::memberships(change, &lowered).await?;
        }
        differences.changes.write_checked(change).await?;
        for (users, status) in
            [(differences.suspended(), Status::Suspended), (differences.reactivated(), Status::Active)]
        {
            if !users.is_empty() {
                users::write::set_status(change, &users, status).await?;
            }
        }
        if !self.new.is_empty() {
            if self.new.iter().any(|account| account.user.permission_level == PermissionLevel::Owner) {
                change.authorize(Action::OwnerGrant)?;
            }
            if users::write::create(change, None, false, &self.new).await?.is_err() {
                // The next attempt reports the address as a finding.
                return Err(Error::contended());
            }
        }
        differences.report_owners(&owners, &mut report);
        owners::require_one_or_report(change, report).await
    }

    /// All users who differ: in the order of the list, then those who are missing.
    fn users(&self, differences: &Differences<'_>, dry_run: bool) -> Vec<AppliedUser> {
        let mut users = differences.users();
        users.extend(self.new_rows().map(|(index, account)| (index, AppliedUser::new(account, dry_run))));
        users.sort_by_key(|(index, _)| *index);
        users.into_iter().map(|(_, user)| user).collect()
    }
}

impl AppliedUser {
    fn existing(action: UserAction, user: &LockedUser, changes: Vec<FieldChange>) -> Self {
        Self { action, user_id: Some(user.user_id), email: user.email().to_owned(), changes }
    }

    fn new(account: &Account, dry_run: bool) -> Self {
        let user = &account.user;
        let flag = matches!(user.credential, Credential::Sso).to_string();
        let expires_at = user.expires_at.map(|expiry| expiry.to_string());
        let fields = [
            ("name", Some(user.name.as_str())),
            ("lastname", user.lastname.as_ref().map(Line::as_str)),
            ("title", user.title.as_ref().map(Line::as_str)),
            ("email", Some(user.email.as_str())),
            ("is_sso_user", Some(flag.as_str())),
            ("permission_level", Some(user.permission_level.as_str())),
            ("expires_at", expires_at.as_deref()),
        ];
        let given = fields.into_iter().filter(|(_, value)| value.is_some_and(|value| !value.is_empty()));
        let none = Attributes::default();
        let attributes = none.changes(&user.attributes).map(|(key, before, after)| FieldChange {
            field: format!("{}{key}", users::attributes::PREFIX).into(),
            before,
            after,
        });
        Self {
            action: UserAction::Create,
            user_id: (!dry_run).then_some(account.user_id),
            email: user.email.as_str().to_owned(),
            changes: given.map(|(field, value)| FieldChange::new(field, None, value)).chain(attributes).collect(),
        }
    }
}

/// The number of users for each action.
#[must_use]
pub fn count(users: &[AppliedUser], action: UserAction) -> usize {
    users.iter().filter(|user| user.action == action).count()
}
