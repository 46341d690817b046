//! Checking a list: its rows, the room for its passwords in the hash pool, the addresses, and the strength of the passwords.

use std::sync::Arc;
use std::time::Duration;

use super::row::{CheckedList, CheckedUser, Limits, List};
use super::{Mode, Request, warnings};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::organizations;
use crate::passwords::Place;
use crate::report::{Finding, Report};
use crate::request_body::BodyShare;
use crate::traces::stage;
use crate::users::{self, Credential, EmailAddress, NewUser};

/// The length of a body, in bytes, from which it is parsed and checked on a thread of its own.
const THREAD_THRESHOLD: usize = 512;

/// The users of a list without findings.
pub(super) struct Valid {
    pub(super) users: Vec<NewUser>,
    pub(super) warnings: Vec<Finding>,
    pub(super) share: BodyShare,
    /// The place of the passwords in the queue of the hash pool.
    pub(super) place: Place,
}

/// Checks every row and finds addresses that exist. Returns the users, or all findings as an error. Whether the hash pool
/// has room for the list is decided before its passwords are checked, so an overload is reported at once.
pub(super) async fn validate(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Valid> {
    let limits = Limits { policy: app.policy, may_grant_owner: caller.may(Action::OwnerGrant), now: app.clock.now() };
    let bytes = list.bytes().len();
    let check = off_thread(bytes, move || list.check(&limits));
    let CheckedList { mut users, mut report, mut warnings, share } = stage("batch.check", check).await?;
    let passwords = users.iter().filter(|user| user.candidate.is_some()).count();
    let is_hashed = request.mode != Mode::DryRun && report.is_empty();
    if is_hashed && request.mode == (Mode::Create { wait: None }) {
        fits(app, passwords, "split the list, or send `Prefer: respond-async`")?;
    }
    let mut place = app.hasher.admit(passwords, if is_hashed { passwords } else { 0 })?;
    // The query is an extra round trip. If no password is hashed and no response is sent before the insert, the insert
    // finds the same addresses.
    let is_written_at_once = report.is_empty() && request.mode == Mode::Create { wait: None };
    if !is_written_at_once || passwords > 0 {
        let emails: Vec<_> = users.iter().map(CheckedUser::email).collect();
        for taken in find_taken(app, caller, &emails).await? {
            if let Some(user) = users.get_mut(taken) {
                report.add(Finding::email_taken(user.index, user.email().as_str()));
                user.candidate = None;
            }
        }
    }
    if passwords > 0 {
        stage("batch.check_passwords", check_passwords(&mut users, &mut place, &mut report)).await?;
    }
    if !report.is_empty() {
        return Err(as_planned(Error::rejected(report), request.plan.is_some()));
    }
    // Without a finding, every row is a valid user.
    let mut users: Vec<NewUser> = users.into_iter().filter_map(|checked| checked.user.ok()).collect();
    if passwords > 0 {
        let organization = organizations::name(app, caller).await?;
        let check = move || (warnings::of_passwords(users.iter().enumerate(), &organization), users);
        let more = off_thread(bytes, check).await?;
        (users, warnings) = (more.1, [warnings, more.0].concat());
        warnings.sort_by_key(Finding::order);
    }
    if request.is_strict && !warnings.is_empty() {
        warnings.into_iter().for_each(|warning| report.add(warning));
        return Err(as_planned(Error::rejected(report), request.plan.is_some()));
    }
    Ok(Valid { users, warnings, share, place })
}

/// Checks `batch.max_sync_seconds`; `advice` is for a list that never fits.
pub(crate) fn fits(app: &App, hashes: usize, advice: &str) -> Result<()> {
    let max = Duration::from_secs(app.config.batch.max_sync_seconds);
    if max.is_zero() || hashes == 0 {
        return Ok(());
    }
    let seconds = max.as_secs();
    let fitting = app.hasher.hashes_in(max);
    if hashes > fitting {
        let message = format!(
            "the list has {hashes} passwords to hash, and {fitting} fit into the {seconds} seconds that a client may wait \
             for them (`batch.max_sync_seconds`); {advice}"
        );
        return Err(Error::new(Code::TooLarge, message));
    }
    match app.hasher.estimate(hashes).checked_sub(max) {
        Some(late) if !late.is_zero() => {
            let message = format!(
                "with the passwords of other lists, hashing {hashes} takes longer than the {seconds} seconds that a client \
                 may wait (`batch.max_sync_seconds`); nothing was written"
            );
            Err(Error::overloaded(message, late))
        }
        _ => Ok(()),
    }
}

/// Checks the strength of the passwords, in the hash pool, and gives them to their users.
pub(crate) async fn check_passwords(users: &mut [CheckedUser], place: &mut Place, report: &mut Report) -> Result<()> {
    let with_password = users.iter_mut().filter_map(|checked| {
        let candidate = checked.candidate.take()?;
        Some(((checked.index, checked.user.as_mut().ok()?), candidate))
    });
    let (users, candidates): (Vec<_>, Vec<_>) = with_password.unzip();
    for ((index, user), checked) in users.into_iter().zip(place.check(candidates).await?) {
        match checked {
            Ok(password) => user.credential = Credential::Password(password),
            Err(why) => report.add(Finding::field(index, UserField::Password, why.code(), why.message())),
        }
    }
    Ok(())
}

/// The addresses that belong to users, by their index.
pub(super) async fn find_taken(app: &App, caller: &Caller, emails: &[&EmailAddress]) -> Result<Vec<usize>> {
    let taken = app.in_time(Box::pin(async {
        let mut connection = app.reader(&app.db.batch).await?;
        users::read::taken(&mut connection, caller.organization_id, emails, None).await
    }));
    stage("batch.find_taken", taken).await?
}

/// Maps a rejection of a planned batch to `plan_changed`.
pub(super) fn as_planned(error: Error, is_planned: bool) -> Error {
    match error.report() {
        Some(report) if is_planned => Error::plan_changed(report.clone()),
        _ => error,
    }
}

/// Runs CPU-bound work for a long body on a thread of its own, because this thread serves other requests.
pub(super) async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes < THREAD_THRESHOLD {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}
