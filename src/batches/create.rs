//! Creating a batch: the steps of [`super`].
//!
//! Futures that only some requests need are boxed. Otherwise the future of every request would have room for them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::claim::{self, Claim, Opening};
use super::job::{self, Hashing, Job};
use super::lease::{self, Lease};
use super::plan::{Outcome, Plan};
use super::row::{CheckedList, CheckedUser, Limits, List};
use super::write::{self, NewBatch};
use super::{Answer, IdempotencyKey, Mode, Planned, Request, Response, read, unpack};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id};
use crate::passwords::PasswordHash;
use crate::report::Finding;
use crate::request_body::{BodyShare, RequestBody};
use crate::rows::ListLimits;
use crate::traces::stage;
use crate::users::{self, Account, Credential, NewUser, StoredPassword};

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
    let answer = match next_step(app, caller, list, request).await {
        Ok(Step::Answer(answer)) => Ok(answer),
        Ok(Step::Create(prepared)) => prepared.run(app, caller).await,
        // The detached batch continues without its client, and records its own outcome.
        Ok(Step::CreateDetached(prepared, lease, wait)) => {
            return Box::pin(prepared.run_detached(app, caller, lease, wait)).await;
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &answer {
        record_denial(app, caller, action, None, error).await;
    }
    answer
}

/// What to do with a request.
enum Step {
    /// Nothing more.
    Answer(Answer),
    /// Create the batch while the client waits. If it disconnects before the transaction, nothing is written.
    Create(Prepared),
    /// Create the batch even if the client disconnects. It waits for the duration, or until the end.
    CreateDetached(Prepared, Lease, Option<Duration>),
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
    let lease = match &request.key {
        None => None,
        // A row that is inserted after the timeout is released with its lease.
        Some(key) => match app.in_time(Box::pin(claim_key(app, caller, &request, key, list.bytes()))).await?? {
            Claim::Held(lease) => Some(lease),
            Claim::Replay { batch_id, response, users } => {
                let body = Bytes::from(unpack(&response)?);
                let response = Response { batch_id, users, body, is_replayed: true };
                return Ok(Step::Answer(Answer::Created(response)));
            }
            Claim::Running(batch_id) if wait.is_some() => {
                return Ok(Step::Answer(Answer::Running(Box::new(read::find(app, caller, batch_id).await?))));
            }
            Claim::Running(_) => return Err(Error::key_in_use()),
        },
    };
    let prepared = match (prepare(app, caller, &request, list).await, lease) {
        (Ok(prepared), Some(lease)) => return Ok(Step::CreateDetached(prepared, lease, wait)),
        (Ok(prepared), None) => prepared,
        (Err(error), Some(lease)) => {
            lease.release().await;
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    match wait {
        None => Ok(Step::Create(prepared)),
        // Clients can poll this batch, so it needs a row.
        Some(_) => {
            let opening = Opening { source: request.source, file: request.file, key: None };
            match app.in_time(Box::pin(claim::claim(app, caller, &opening, b""))).await?? {
                Claim::Held(lease) => Ok(Step::CreateDetached(prepared, lease, wait)),
                Claim::Replay { .. } | Claim::Running(_) => Err(Error::internal("found a batch without a key")),
            }
        }
    }
}

async fn claim_key(
    app: &Arc<App>,
    caller: &Caller,
    request: &Request,
    key: &IdempotencyKey,
    body: &[u8],
) -> Result<Claim> {
    let fingerprint = app.fingerprints.of(claim::REQUEST, body);
    let opening = Opening { source: request.source, file: request.file.clone(), key: Some((key.clone(), fingerprint)) };
    claim::claim(app, caller, &opening, body).await
}

/// A batch that is ready to be created.
struct Prepared {
    job: Job,
    is_planned: bool,
}

/// Checks the list and queues its passwords.
async fn prepare(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Prepared> {
    let Valid { mut users, warnings, share } = validate(app, caller, request, list).await?;
    if let Some(plan) = &request.plan {
        plan.check_outcome(&app.fingerprints, &outcome(app, caller, &users))?;
    }
    failpoints::reach("batch::checked").await;
    let hashing = Hashing::start(app, &mut users)?;
    let (source, file, render) = (request.source, request.file.clone(), request.render);
    let max_findings = app.config.batch.max_findings;
    let job = Job { source, file, users, warnings, render, hashing, max_findings, _share: share };
    Ok(Prepared { job, is_planned: request.plan.is_some() })
}

impl Prepared {
    async fn run(self, app: &Arc<App>, caller: &Caller) -> Result<Answer> {
        let created = job::run(app, caller, self.job, None).await;
        created.map(Answer::Created).map_err(|error| as_planned(error, self.is_planned))
    }

    async fn run_detached(
        self,
        app: &Arc<App>,
        caller: &Caller,
        mut lease: Lease,
        wait: Option<Duration>,
    ) -> Result<Answer> {
        let batch_id = lease.held.batch_id;
        lease.announce(self.job.counts(), self.job.hashing.progress(), wait.is_some()).await?;
        let creating = app.start_job(self.run_to_end(Arc::clone(app), *caller, lease));
        let created = match wait {
            None => creating.await,
            Some(wait) => match tokio::time::timeout(wait, creating).await {
                Ok(created) => created,
                Err(_) => return Ok(Answer::Running(Box::new(read::find(app, caller, batch_id).await?))),
            },
        };
        created.map_err(Error::internal)?.map(Answer::Created)
    }

    /// Creates the batch and ends its lease.
    async fn run_to_end(self, app: Arc<App>, caller: Caller, lease: Lease) -> Result<Response> {
        let batch_id = lease.held.batch_id;
        let created = job::run(&app, &caller, self.job, Some(&lease)).await;
        let created = created.map_err(|error| as_planned(error, self.is_planned));
        match &created {
            Ok(_) => lease.settle(),
            Err(error) => {
                record_denial(&app, &caller, Action::UserBatchCreate, Some(batch_id), error).await;
                lease.give_up(error).await;
            }
        }
        created
    }
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
}

/// Checks every row and finds addresses that exist. Returns the users, or all findings as an error.
async fn validate(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Valid> {
    let limits = Limits { policy: app.policy, may_grant_owner: caller.may(Action::OwnerGrant) };
    let check = off_thread(list.bytes().len(), move || list.check(&limits));
    let CheckedList { users, mut report, warnings, share } = stage("batch.check", check).await?;
    // The query is an extra round trip. If no password is hashed and no response is sent before the insert, the insert
    // finds the same addresses.
    let is_written_at_once = report.is_empty() && request.mode == Mode::Create { wait: None };
    if !is_written_at_once || users.iter().any(CheckedUser::has_password) {
        let emails: Vec<_> = users.iter().map(CheckedUser::email).collect();
        let taken = app.in_time(Box::pin(async {
            let mut connection = app.reader(&app.db.batch).await?;
            users::read::taken(&mut connection, caller.organization_id, &emails, None).await
        }));
        for place in stage("batch.find_taken", taken).await?? {
            if let Some(user) = users.get(place) {
                report.add(Finding::email_taken(user.index, user.email().as_str()));
            }
        }
    }
    if !report.is_empty() {
        return Err(as_planned(Error::rejected(report), request.plan.is_some()));
    }
    // Without a finding, every row is a valid user.
    let users = users.into_iter().filter_map(|checked| checked.user.ok()).collect();
    Ok(Valid { users, warnings, share })
}

fn outcome<'a>(app: &App, caller: &Caller, users: &'a [NewUser]) -> Outcome<'a> {
    Outcome { organization_id: caller.organization_id, must_change: app.config.passwords.must_change, users }
}

/// Does everything but hash passwords, and rolls back.
async fn dry_run(app: &Arc<App>, caller: &Caller, request: &Request, list: List) -> Result<Planned> {
    let bytes = list.bytes().clone();
    let Valid { users, warnings, share: _share } = validate(app, caller, request, list).await?;
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
    let counts = lease::Counts { users: accounts.len(), ..lease::Counts::default() };
    let (source, file, batch_id) = (request.source, request.file.fingerprinted(app), Id::new(now));
    let max_findings = app.config.batch.max_findings;
    let batch = NewBatch { held: None, batch_id, created_at: now, source, file, counts, response: None, max_findings };
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
