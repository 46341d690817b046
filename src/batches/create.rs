//! Creating a batch: the steps of [`super`].
//!
//! Futures that only some requests need are boxed. Otherwise the future of every request would have room for them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::claim::{self, Claim, ClaimKey, Opening};
use super::job::{self, Hashing, Job};
use super::lease::{Counts, Lease};
use super::plan::{Outcome, Plan};
use super::row::{CheckedList, CheckedUser, Limits, List};
use super::write::{self, NewBatch};
use super::{Answer, Creating, Mode, Planned, Request, Response, read, unpack};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::field::UserField;
use crate::id::{Batch, Id};
use crate::passwords::{PasswordHash, Place};
use crate::report::{Finding, Findings, Report};
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::ListLimits;
use crate::traces::stage;
use crate::users::{self, Account, Credential, EmailAddress, NewUser, StoredPassword};

/// The length of a body, in bytes, from which it is parsed and checked on a thread of its own.
const THREAD_THRESHOLD: usize = 512;

/// Creates all users of a JSON list, or none; or returns what that would do. Reads the body after the permission check.
///
/// # Errors
/// As [`create_list`]; errors of reading the body; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`.
pub async fn create(
    app: &Arc<App>,
    caller: &Caller,
    request: Request,
    body: impl Future<Output = Result<RequestBody>>,
) -> Result<Answer> {
    let action = request.mode.action();
    app.authorize(caller, action).await?;
    if app.is_draining() {
        return Err(Error::shutting_down());
    }
    failpoints::reach("batch::authorized").await;
    let list = match body.await {
        Ok(body) => parse(app, body).await,
        Err(error) => Err(error),
    };
    match list {
        Ok(list) => create_list(app, caller, list, request).await,
        Err(error) => {
            record_denial(app, caller, action, None, &error).await;
            Err(error)
        }
    }
}

async fn parse(app: &App, body: RequestBody) -> Result<List> {
    let limits = ListLimits::from(&app.config.batch);
    off_thread(body.len(), move || List::parse(body, limits)).await?
}

/// Runs CPU-bound work for a long body on a thread of its own, because this thread serves other requests.
async fn off_thread<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes < THREAD_THRESHOLD {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

/// Creates all users of a list, or none; or returns what that would do.
///
/// # Errors
/// `forbidden`; `batch_rejected` or `batch_conflict` with the complete report; `plan_changed`; `idempotency_key_in_use`,
/// `idempotency_key_reused`; `conflict`; `overloaded`; `unavailable`. Nothing is written unless the result is `Ok`.
pub async fn create_list(app: &Arc<App>, caller: &Caller, list: List, request: Request) -> Result<Answer> {
    let action = request.mode.action();
    app.authorize(caller, action).await?;
    let slow = request.slow;
    let (prepared, lease, mode) = match next_step(app, caller, list, request).await {
        Ok(Step::Answer(answer)) => return Ok(answer),
        Ok(Step::Create(prepared, lease, mode)) => (prepared, lease, mode),
        Err(error) => {
            let error = explain(app, caller, error).await;
            record_denial(app, caller, action, None, &error).await;
            return Err(error);
        }
    };
    let progress = prepared.job.hashing.progress();
    let creating = Box::pin(prepared.start(app, caller, lease, mode)).await?;
    match creating {
        Started::Answer(answer) => Ok(answer),
        Started::Creating(creating) if slow.is_some_and(|slow| app.hasher.time_left(&progress) > slow) => {
            Ok(Answer::InProgress(creating))
        }
        Started::Creating(creating) => creating.await.map(Answer::Created),
    }
}

/// What to do with a request.
enum Step {
    /// Nothing more.
    Answer(Answer),
    /// Create the batch.
    Create(Box<Prepared>, Option<Lease>, Run),
}

/// What happens to a batch when its client disconnects.
#[derive(Clone, Copy)]
enum Run {
    /// If the transaction has not begun, nothing is written.
    Attached,
    /// The batch is created all the same. The request waits for the duration, or until the end.
    Detached(Option<Duration>),
}

/// A batch in progress.
enum Started {
    Answer(Answer),
    Creating(Creating),
}

async fn next_step(app: &Arc<App>, caller: &Caller, list: List, request: Request) -> Result<Step> {
    failpoints::reach("batch::received").await;
    if let Some(plan) = &request.plan {
        plan.check_list(&app.fingerprints, list.bytes())?;
    }
    let wait = match request.mode {
        Mode::DryRun => {
            return Ok(Step::Answer(Answer::Planned(Box::pin(dry_run(app, caller, &request, list)).await?)));
        }
        Mode::Create { wait } => wait,
    };
    let mut lease = match &request.key {
        None => None,
        Some(key) => {
            let key = ClaimKey::explicit(app, key, list.bytes());
            let opening = opening(&request, key, Counts::default());
            // A row that is inserted after the timeout is released with its lease.
            match app.in_time(Box::pin(claim::claim(app, caller, &opening, list.bytes()))).await?? {
                Claim::Held(lease) => Some(lease),
                Claim::Running(_) if wait.is_none() => return Err(Error::key_in_use()),
                claim => return settled(app, caller, claim, false).await.map(Step::Answer),
            }
        }
    };
    let body = request.key.is_none().then(|| list.bytes().clone());
    let checked = Box::pin(check(app, caller, &request, list)).await;
    let Valid { mut users, warnings, share, place } = match (checked, &lease, &body) {
        (Ok(checked), _, _) => checked,
        (Err(error), None, Some(body)) if error.report().is_some_and(Report::only_conflicts) => {
            return match Box::pin(undelivered(app, caller, body)).await? {
                Some(answer) => Ok(Step::Answer(answer)),
                None => Err(error),
            };
        }
        (Err(error), None, Some(body)) if error.code() == Code::Overloaded => {
            return match Box::pin(same(app, caller, &request, body)).await? {
                Some(answer) => Ok(Step::Answer(answer)),
                None => Err(error),
            };
        }
        (Err(error), _, _) => return Err(released(lease, error).await),
    };
    let mut place = Some(place);
    let hashes = users.iter().filter(|user| matches!(user.credential, Credential::Password(_))).count();
    if let Some(body) = body
        && (hashes > 0 || wait.is_some())
    {
        let counts = Counts { users: users.len(), hashes, weak_hashes: warnings.len() };
        match Box::pin(claim_implicit(app, caller, &request, body, counts, &users, &mut place)).await? {
            Claim::Held(held) => lease = Some(held),
            claim => return settled(app, caller, claim, true).await.map(Step::Answer),
        }
    }
    let fit = if wait.is_none() { fits(app, hashes) } else { Ok(()) };
    let admitted = fit.and_then(|()| Ok(place.map_or_else(|| app.hasher.admit(0, hashes), Ok)?));
    let hashing = match admitted {
        Ok(place) => Hashing::start(place, &mut users),
        Err(error) => return Err(released(lease, error).await),
    };
    let run = if request.key.is_some() || wait.is_some() { Run::Detached(wait) } else { Run::Attached };
    let (source, file, render) = (request.source, request.file, request.render);
    let (max_findings, is_followed) = (app.config.batch.max_findings, wait.is_some());
    let job = Job { source, file, users, warnings, render, hashing, max_findings, _share: share, is_followed };
    Ok(Step::Create(Box::new(Prepared { job, is_planned: request.plan.is_some() }), lease, run))
}

/// Checks `batch.max_sync_seconds`.
fn fits(app: &App, hashes: usize) -> Result<()> {
    let max = Duration::from_secs(app.config.batch.max_sync_seconds);
    if max.is_zero() || hashes == 0 {
        return Ok(());
    }
    let seconds = max.as_secs();
    let fitting = app.hasher.hashes_in(max);
    if hashes > fitting {
        let message = format!(
            "the list has {hashes} passwords to hash, and {fitting} fit into the {seconds} seconds that a client may wait \
             for them (`batch.max_sync_seconds`); split the list, or send `Prefer: respond-async`"
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

fn opening(request: &Request, key: ClaimKey, counts: Counts) -> Opening {
    Opening { source: request.source, file: request.file.clone(), key, counts }
}

/// Gives up a claimed row because of `error`, which frees its key.
async fn released(lease: Option<Lease>, error: Error) -> Error {
    if let Some(lease) = lease {
        lease.release().await;
    }
    error
}

/// The answer to a request whose batch another request is creating or has created.
async fn settled(app: &App, caller: &Caller, claim: Claim, is_implicit: bool) -> Result<Answer> {
    match claim {
        Claim::Replay { batch_id, response, users } => {
            let body = Bytes::from(unpack(&response)?);
            let response = Response { batch_id, users, body, is_replayed: true, is_undelivered: is_implicit };
            Ok(Answer::Created(response))
        }
        Claim::Running(batch_id) => Ok(Answer::Running(Box::new(read::find(app, caller, batch_id).await?))),
        Claim::Held(_) => Err(Error::internal("the batch belongs to this request")),
    }
}

/// The implicit key of a request.
async fn implicit_key(app: &Arc<App>, body: Bytes) -> Result<ClaimKey> {
    let app = Arc::clone(app);
    off_thread(body.len(), move || ClaimKey::implicit(&app, &body)).await
}

/// The response to the same request that could not be delivered.
async fn undelivered(app: &Arc<App>, caller: &Caller, body: &Bytes) -> Result<Option<Answer>> {
    let key = implicit_key(app, body.clone()).await?;
    match app.in_time(claim::find(app, caller, &key, b"")).await?? {
        Some(claim @ Claim::Replay { .. }) => settled(app, caller, claim, true).await.map(Some),
        _ => Ok(None),
    }
}

/// The answer to the same request, if it is in progress or its response could not be delivered: it needs no place in the
/// queue of its own.
async fn same(app: &Arc<App>, caller: &Caller, request: &Request, body: &Bytes) -> Result<Option<Answer>> {
    let key = implicit_key(app, body.clone()).await?;
    let claim = match (app.in_time(claim::find(app, caller, &key, b"")).await??, request.mode) {
        (Some(Claim::Running(batch_id)), Mode::Create { wait: None }) => claim::wait(app, caller, batch_id).await?,
        (claim, _) => claim,
    };
    match claim {
        Some(claim @ (Claim::Replay { .. } | Claim::Running(_))) => settled(app, caller, claim, true).await.map(Some),
        _ => Ok(None),
    }
}

/// Claims the batch of a request without a key, or waits for the outcome of the same request.
async fn claim_implicit(
    app: &Arc<App>,
    caller: &Caller,
    request: &Request,
    body: Bytes,
    counts: Counts,
    users: &[NewUser],
    place: &mut Option<Place>,
) -> Result<Claim> {
    let opening = opening(request, implicit_key(app, body).await?, counts);
    loop {
        // As for an explicit key.
        let claimed = app.in_time(Box::pin(claim::claim(app, caller, &opening, b""))).await??;
        let (Claim::Running(batch_id), Mode::Create { wait: None }) = (&claimed, request.mode) else {
            return Ok(claimed);
        };
        // The other request has a place for the same passwords.
        drop(place.take());
        failpoints::reach("batch::waiting").await;
        if let Some(claim) = claim::wait(app, caller, *batch_id).await? {
            return Ok(claim);
        }
        // If its response was delivered long ago, its users exist.
        let emails: Vec<_> = users.iter().map(|user| &user.email).collect();
        let mut report = Report::on(users.len(), "created", Findings::new(app.config.batch.max_findings));
        for (index, email) in
            find_taken(app, caller, &emails).await?.into_iter().filter_map(|i| Some((i, emails.get(i)?)))
        {
            report.add(Finding::email_taken(index, email.as_str()));
        }
        if !report.is_empty() {
            return Err(as_planned(Error::rejected(report), request.plan.is_some()));
        }
    }
}

/// A batch that is ready to be created.
struct Prepared {
    job: Job,
    is_planned: bool,
}

/// Checks the list.
async fn check(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Valid> {
    let valid = validate(app, caller, request, list).await?;
    if let Some(plan) = &request.plan {
        plan.check_outcome(&app.fingerprints, &outcome(app, caller, &valid.users))?;
    }
    failpoints::reach("batch::checked").await;
    Ok(valid)
}

impl Prepared {
    /// Starts creating the batch.
    async fn start(self, app: &Arc<App>, caller: &Caller, lease: Option<Lease>, run: Run) -> Result<Started> {
        let (counts, progress) = (self.job.counts(), self.job.hashing.progress());
        match (lease, run) {
            (Some(mut lease), Run::Detached(wait)) => {
                let batch_id = lease.held.batch_id;
                lease.announce(counts, progress, wait.is_some()).await?;
                let creating = app.start_job(self.run(Arc::clone(app), *caller, Some(lease)));
                let Some(wait) = wait else {
                    return Ok(Started::Creating(Box::pin(async { creating.await.map_err(Error::internal)? })));
                };
                Ok(Started::Answer(match tokio::time::timeout(wait, creating).await {
                    Ok(created) => Answer::Created(created.map_err(Error::internal)??),
                    Err(_) => Answer::Running(Box::new(read::find(app, caller, batch_id).await?)),
                }))
            }
            (mut lease, _) => {
                if let Some(lease) = &mut lease {
                    lease.attach(progress);
                }
                Ok(Started::Creating(Box::pin(self.run(Arc::clone(app), *caller, lease))))
            }
        }
    }

    /// Creates the batch and ends its lease. Dropping the future before the transaction begins writes nothing.
    async fn run(self, app: Arc<App>, caller: Caller, lease: Option<Lease>) -> Result<Response> {
        let is_planned = self.is_planned;
        let hashed = match job::hash(&app, self.job, lease.as_ref()).await {
            Ok(hashed) => hashed,
            Err(error) => return Err(ended(&app, &caller, lease, as_planned(error, is_planned)).await),
        };
        let writing = Arc::clone(&app);
        // A task of its own, so that a client that disconnects does not cut the transaction short.
        let write = async move {
            match hashed.write(&writing, &caller).await {
                Ok(response) => {
                    if let Some(lease) = lease {
                        lease.settle();
                    }
                    Ok(response)
                }
                Err(error) => Err(ended(&writing, &caller, lease, as_planned(error, is_planned)).await),
            }
        };
        stage("batch.write", async { app.start_task(write).await }).await.map_err(Error::internal)?
    }
}

/// Ends a batch that was not created because of `error`.
async fn ended(app: &App, caller: &Caller, lease: Option<Lease>, error: Error) -> Error {
    let error = explain(app, caller, error).await;
    let batch_id = lease.as_ref().map(|lease| lease.held.batch_id);
    record_denial(app, caller, Action::UserBatchCreate, batch_id, &error).await;
    if let Some(lease) = lease {
        lease.give_up(&error).await;
    }
    error
}

/// Maps a rejection of a planned batch to `plan_changed`.
fn as_planned(error: Error, is_planned: bool) -> Error {
    match error.report() {
        Some(report) if is_planned => Error::plan_changed(report.clone()),
        _ => error,
    }
}

/// The users of a list without findings.
struct Valid {
    users: Vec<NewUser>,
    warnings: Vec<Finding>,
    share: BodyShare,
    /// The place of the passwords in the queue of the hash pool.
    place: Place,
}

/// Checks every row and finds addresses that exist. Returns the users, or all findings as an error. Whether the hash pool
/// has room for the list is decided before its passwords are checked, so an overload is reported at once.
async fn validate(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Valid> {
    let limits = Limits { policy: app.policy, may_grant_owner: caller.may(Action::OwnerGrant) };
    let check = off_thread(list.bytes().len(), move || list.check(&limits));
    let CheckedList { mut users, mut report, warnings, share } = stage("batch.check", check).await?;
    let passwords = users.iter().filter(|user| user.candidate.is_some()).count();
    let is_hashed = request.mode != Mode::DryRun && report.is_empty();
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
    let users = users.into_iter().filter_map(|checked| checked.user.ok()).collect();
    Ok(Valid { users, warnings, share, place })
}

/// Checks the strength of the passwords, in the hash pool, and gives them to their users.
async fn check_passwords(users: &mut [CheckedUser], place: &mut Place, report: &mut Report) -> Result<()> {
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
async fn find_taken(app: &App, caller: &Caller, emails: &[&EmailAddress]) -> Result<Vec<usize>> {
    let taken = app.in_time(Box::pin(async {
        let mut connection = app.reader(&app.db.batch).await?;
        users::read::taken(&mut connection, caller.organization_id, emails, None).await
    }));
    stage("batch.find_taken", taken).await?
}

/// Names the batch of this API key that created all users of a list, if there is one.
async fn explain(app: &App, caller: &Caller, error: Error) -> Error {
    let Some(report) = error.report().filter(|report| error.code() == Code::BatchConflict && report.is_complete())
    else {
        return error;
    };
    let emails: Vec<EmailAddress> = report.subjects().filter_map(|email| EmailAddress::parse(email).ok()).collect();
    match app.in_time(Box::pin(read::creator(app, caller, &emails))).await {
        Ok(Ok(Some((batch_id, at)))) => {
            let (users, exist) = match emails.len() {
                1 => ("the user was".to_owned(), "already exists"),
                users => (format!("all {users} users were"), "already exist"),
            };
            let is_today = at.date_naive() == app.clock.now().date_naive();
            let at = at.format(if is_today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" });
            let message = format!(
                "{users} created by this API key's request of {at} UTC (batch {batch_id}) and {exist}; nothing is \
                 left to do"
            );
            error.with_message(message).with_batch(batch_id)
        }
        // The message without the explanation is right, too.
        _ => error,
    }
}

fn outcome<'a>(app: &App, caller: &Caller, users: &'a [NewUser]) -> Outcome<'a> {
    Outcome { organization_id: caller.organization_id, must_change: app.config.passwords.must_change, users }
}

/// Does everything but hash passwords, and rolls back.
async fn dry_run(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Planned> {
    let bytes = list.bytes().clone();
    let Valid { users, warnings, share: _share, .. } = validate(app, caller, request, list).await?;
    let plan = Plan::new(&app.fingerprints, &bytes, &outcome(app, caller, &users));
    drop(bytes);
    let now = app.clock.now();
    let stand_in = |user: NewUser| {
        let is_plain = matches!(user.credential, Credential::Password(_));
        let mut account = job::account(now, user);
        if is_plain {
            account.password = Some(StoredPassword { hash: PasswordHash::placeholder(), must_change: true });
        }
        account
    };
    let accounts: Vec<Account> = users.into_iter().map(stand_in).collect();
    let counts = Counts { users: accounts.len(), ..Counts::default() };
    let (source, file, batch_id) = (request.source, request.file.fingerprinted(app), Id::new(now));
    let max_findings = app.config.batch.max_findings;
    let batch = NewBatch {
        held: None,
        batch_id,
        created_at: now,
        source,
        file,
        counts,
        response: None,
        max_findings,
        is_followed: false,
    };
    let (action, target) = (Action::UserBatchDryRun, Target::Organization(caller.organization_id));
    app.change_many(caller, action, target, true, async |change| write::insert(change, &batch, &accounts).await)
        .await?;
    app.change(caller, action, target, async |change| {
        change.record(Event::BatchPlanned { organization_id: caller.organization_id, users: accounts.len() });
        Ok(())
    })
    .await?;
    Ok(Planned { users: accounts.into_iter().map(|account| account.user).collect(), warnings, plan })
}

/// Records a rejected list in the audit log.
async fn record_denial(app: &App, caller: &Caller, action: Action, batch_id: Option<Id<Batch>>, error: &Error) {
    if let Some(denial) = AuditDenial::of_list(batch_id, error) {
        app.record_denial(caller, action, &denial).await;
    }
}
