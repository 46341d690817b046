//! One user: looked at, changed, suspended, reactivated, deleted.

use bytes::Bytes;

use super::edit::One;
use super::lock::{self, Locked};
use super::{Details, Expected, Status, read, write};
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};
use crate::report::Report;
use crate::rows;

/// Looks at one user.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, user_id: Id<User>) -> Result<Details> {
    app.authorize(caller, Action::UserGet).await?;
    let mut connection = app.db.interactive.acquire().await?;
    let found = read::one(&mut connection, caller.organization_id, user_id).await?;
    found.ok_or_else(|| not_found(user_id))
}

fn not_found(user_id: Id<User>) -> Error {
    Error::new(Code::NotFound, format!("there is no user {user_id}"))
}

/// Changes name, last name, title or address: those that the body has. A change that makes nothing different is
/// none: nothing is written, and nothing recorded.
///
/// # Errors
/// `forbidden`; what reading the body gives; `invalid_json`; `batch_rejected` with all findings on the fields;
/// `not_found`; `precondition_failed`; `email_taken`; `conflict` for what a service account can't have.
pub async fn update(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    expected: &Expected,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Details> {
    app.authorize(caller, Action::UserUpdate).await?;
    let (sent, mut findings) = rows::parse_one::<One>(&body.await?)?;
    let edit = sent.map(|One(sent)| sent.check(0, &mut findings)).unwrap_or_default();
    let mut report = Report::on(1, "changed");
    findings.into_iter().for_each(|finding| report.add(finding));
    if !report.is_empty() {
        return Err(Error::rejected(report));
    }
    app.change(caller, Action::UserUpdate, Target::User(user_id), async |change| {
        let user = locked(change, user_id, expected).await?;
        if user.is_service_account && edit.personal().next().is_some() {
            let sentence = "of a service account only the title can be changed: its name is its address";
            return Err(Error::new(Code::Conflict, sentence));
        }
        match user.edited(&edit) {
            Some(update) => write::update(change, &[update]).await?,
            None => change.take_back(),
        }
        details(change, user_id).await
    })
    .await
}

/// Keeps a user out: from now on their keys open nothing, on any instance within a second.
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `conflict` when they are suspended; `last_owner`.
pub async fn suspend(app: &App, caller: &Caller, user_id: Id<User>, expected: &Expected) -> Result<Details> {
    app.change(caller, Action::UserSuspend, Target::User(user_id), async |change| {
        owners::lock(change).await?;
        set_status(change, user_id, expected, Status::Suspended).await?;
        owners::hold(change).await?;
        details(change, user_id).await
    })
    .await
}

/// Lets a suspended user in again: their keys open what they did before.
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `conflict` when they are active.
pub async fn reactivate(app: &App, caller: &Caller, user_id: Id<User>, expected: &Expected) -> Result<Details> {
    app.change(caller, Action::UserReactivate, Target::User(user_id), async |change| {
        set_status(change, user_id, expected, Status::Active).await?;
        details(change, user_id).await
    })
    .await
}

/// Deletes a user, with everything that names them: membership, password, keys, invitations, the kept answer of
/// the batch that made them. The audit log names them by id, and stays.
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `last_owner`.
pub async fn delete(app: &App, caller: &Caller, user_id: Id<User>, expected: &Expected) -> Result<()> {
    app.change(caller, Action::UserDelete, Target::User(user_id), async |change| {
        owners::lock(change).await?;
        locked(change, user_id, expected).await?;
        write::delete(change, &[user_id], None).await?;
        owners::hold(change).await
    })
    .await
}

async fn set_status(change: &mut Change, user_id: Id<User>, expected: &Expected, status: Status) -> Result<()> {
    let user = locked(change, user_id, expected).await?;
    if user.is(status) {
        return Err(Error::new(Code::Conflict, format!("the user {user_id} is {status} already")));
    }
    write::set_status(change, &[user_id], status).await
}

async fn locked(change: &mut Change, user_id: Id<User>, expected: &Expected) -> Result<Locked> {
    let user = lock::one(change, user_id).await?.ok_or_else(|| not_found(user_id))?;
    expected.hold(user.revision)?;
    Ok(user)
}

/// As they are within the change.
async fn details(change: &mut Change, user_id: Id<User>) -> Result<Details> {
    let organization_id = change.organization_id();
    let found = read::one(change.connection(), organization_id, user_id).await?;
    found.ok_or_else(|| not_found(user_id))
}
