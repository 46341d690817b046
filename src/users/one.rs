//! Operations on one user.

use super::changes::Changes;
use super::edit::Edit;
use super::lock::{self, LockedUser};
use super::{EXPIRED, Expected, OWN_ACCOUNT, Status, UserDetails, read, write};
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::{Change, TxLimits};
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, Organization, User};
use crate::report::Report;
use crate::request_body::RequestBody;
use crate::rows;

/// Reads one user.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, user_id: Id<User>) -> Result<UserDetails> {
    app.authorize(caller, Action::UserGet).await?;
    let found = app
        .retry_read(async || {
            let mut connection = app.reader(&app.db.interactive).await?;
            read::one(&mut connection, caller.organization_id, user_id).await
        })
        .await?;
    found.ok_or_else(|| Error::not_found("user", user_id))
}

/// Changes the fields that the body has: name, last name, title, address, sign-in method, permission level, expiry or
/// attributes. An edit without effect writes and records nothing.
///
/// # Errors
/// `forbidden`; any error of reading the body; `invalid_json`; `batch_rejected` with all findings on the fields;
/// `not_found`; `precondition_failed`; `email_taken`; `conflict` for a field that a service account can't change, and for demoting
/// oneself in a browser;
/// `last_owner`.
pub async fn update(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    expected: &Expected,
    body: impl Future<Output = Result<RequestBody>>,
) -> Result<UserDetails> {
    app.authorize(caller, Action::UserUpdate).await?;
    let (row, mut findings) = rows::parse_one(&body.await?, UserField::EDIT)?;
    let edit = row.map(|row| Edit::check(row, 0, &mut findings)).unwrap_or_default();
    let report = Report::on(1, "changed", findings);
    if !report.is_empty() {
        return Err(Error::rejected(report));
    }
    app.change(caller, Action::UserUpdate, Target::User(user_id), async |change| {
        if edit.permission_level == Some(PermissionLevel::Collaborator) {
            check_own_account(change, user_id)?;
        }
        if edit.may_remove_owner() || edit.may_end_sign_in() {
            owners::lock(change).await?;
        }
        let user = lock(change, user_id, expected).await?;
        if user.is_service_account && edit.personal().next().is_some() {
            let detail = "only the title and the permission level of a service account can be changed; its address is derived from its name";
            return Err(Error::new(Code::Conflict, detail));
        }
        let changes = Changes::of(change, &[(0, &user, &edit)]).await?;
        let mut report = report.clone();
        changes.check_expiries(change.now(), &mut report);
        changes.check_attributes(&mut report);
        if !report.is_empty() {
            return Err(Error::rejected(report));
        }
        match changes.is_empty() {
            true => change.dry_run(),
            false => changes.write(change).await?,
        }
        if edit.may_remove_owner() {
            owners::require_one(change).await?;
        }
        details(change, user_id).await
    })
    .await
}

/// Suspends a user, whose API keys are then rejected, by every instance within a second; or reactivates one, whose keys
/// work again. Idempotent: for a user with this status, nothing is written or recorded.
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `last_owner`; `conflict` for reactivating an expired account, and for suspending
/// oneself in a browser.
pub async fn set_status(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    status: Status,
    expected: &Expected,
) -> Result<UserDetails> {
    let action = match status {
        Status::Suspended => Action::UserSuspend,
        Status::Active => Action::UserReactivate,
    };
    app.change(caller, action, Target::User(user_id), async |change| {
        if status == Status::Suspended {
            check_own_account(change, user_id)?;
            owners::lock(change).await?;
        }
        match lock(change, user_id, expected).await? {
            user if status == Status::Active && user.is_expired(change.now()) => {
                return Err(Error::new(Code::Conflict, EXPIRED));
            }
            user if user.status == status => change.dry_run(),
            _ => write::set_status(change, &[user_id], status).await?,
        }
        if status == Status::Suspended {
            owners::require_one(change).await?;
        }
        details(change, user_id).await
    })
    .await
}

/// Suspends those of the users whose accounts have expired, for the background work, which repeats it after an error. They
/// keep everything else, as any suspended user does.
///
/// # Errors
/// Those of the database.
pub async fn suspend_expired(app: &App, organization_id: Id<Organization>, users: &[Id<User>]) -> Result<usize> {
    let caller = Caller::system(organization_id);
    let mut change = app.begin_many(&caller, Action::UserSuspend, TxLimits::Batch, None).await?;
    // As every change that lowers access. An owner whose account expires is never the last one.
    owners::lock(&mut change).await?;
    let now = change.now();
    let locked = lock::all(&mut change, users).await?;
    let expired = locked.into_iter().filter(|user| user.status == Status::Active && user.is_expired(now));
    let expired: Vec<Id<User>> = expired.map(|user| user.user_id).collect();
    if expired.is_empty() {
        change.roll_back().await?;
        return Ok(0);
    }
    write::suspend_expired(&mut change, &expired).await?;
    change.commit().await.map_err(|failed| failed.error)?;
    Ok(expired.len())
}

/// Deletes a user and all data that identifies them: membership, password, API keys, invitations, and the stored
/// response of the batch that created them. The audit log refers to users by ID and is kept.
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `last_owner`.
pub async fn delete(app: &App, caller: &Caller, user_id: Id<User>, expected: &Expected) -> Result<()> {
    app.change(caller, Action::UserDelete, Target::User(user_id), async |change| {
        check_own_account(change, user_id)?;
        owners::lock(change).await?;
        lock(change, user_id, expected).await?;
        write::delete(change, &[user_id], None).await?;
        owners::require_one(change).await
    })
    .await
}

/// Rejects a change that takes a person's own access, from their browser.
pub(crate) fn check_own_account(change: &Change, user_id: Id<User>) -> Result<()> {
    match change.caller().is_session_of(user_id) {
        true => Err(Error::new(Code::Conflict, format!("the user {OWN_ACCOUNT}"))),
        false => Ok(()),
    }
}

async fn lock(change: &mut Change, user_id: Id<User>, expected: &Expected) -> Result<LockedUser> {
    let user = lock::one(change, user_id).await?.ok_or_else(|| Error::not_found("user", user_id))?;
    expected.check(user.revision)?;
    Ok(user)
}

/// Reads the user within the change.
async fn details(change: &mut Change, user_id: Id<User>) -> Result<UserDetails> {
    let organization_id = change.organization_id();
    let found = read::one(change.connection(), organization_id, user_id).await?;
    found.ok_or_else(|| Error::not_found("user", user_id))
}
