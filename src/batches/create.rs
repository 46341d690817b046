//! Creating a batch: the steps of [`super`].
//!
//! Futures that only some requests need are boxed. Otherwise the future of every request would have room for them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::check::{Valid, as_planned, off_thread, validate};
use super::claim::{self, Claim, ClaimKey};
use super::job::{self, Hashing, Job};
use super::lease::{self, Client, Counts, Lease};
use super::plan::{Outcome, Plan};
use super::repeat::{claim_implicit, opening, same, settled, undelivered};
use super::row::List;
use super::warnings::weak_hashes;
use super::write::{self, NewBatch};
use super::{Answer, Creating, Mode, Planned, Request, Response, read};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id};
use crate::passwords::PasswordHash;
use crate::report::Report;
use crate::request_body::RequestBody;
use crate::rows::ListLimits;
use crate::traces::stage;
use crate::users::{Account, Credential, EmailAddress, NewUser, StoredPassword};

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

/// Creates all users of a list, or none; or returns what that would do.
///
/// # Errors
/// `forbidden`; `batch_rejected` or `batch_conflict` with the complete report; `plan_changed`; `idempotency_key_in_use`,
/// `idempotency_key_reused`; `conflict`; `overloaded`; `unavailable`. Nothing is written unless the result is `Ok`.
pub async fn create_list(app: &Arc<App>, caller: &Caller, list: List, request: Request) -> Result<Answer> {
    let action = request.mode.action();
    app.authorize(caller, action).await?;
    let slow = request.slow.clone();
    let mut answering = Box::pin(answer(Arc::clone(app), *caller, list, request));
    let Some(slow) = slow else { return answering.await };
    tokio::select! {
        biased;
        answer = &mut answering => answer,
        () = slow.noted() => Ok(Answer::InProgress(Box::pin(async {
            match answering.await? {
                Answer::Created(response) => Ok(response),
                _ => Err(Error::internal("a slow request ended without its users")),
            }
        }))),
    }
}

async fn answer(app: Arc<App>, caller: Caller, list: List, request: Request) -> Result<Answer> {
    let (action, slow) = (request.mode.action(), request.slow.clone());
    let (prepared, lease, mode) = match next_step(&app, &caller, list, request).await {
        Ok(Step::Answer(answer)) => return Ok(answer),
        Ok(Step::Create(prepared, lease, mode)) => (prepared, lease, mode),
        Err(error) => {
            let error = explain(&app, &caller, error).await;
            record_denial(&app, &caller, action, None, &error).await;
            return Err(error);
        }
    };
    let progress = prepared.job.hashing.progress();
    match Box::pin(prepared.start(&app, &caller, lease, mode)).await? {
        Started::Answer(answer) => Ok(answer),
        Started::Creating(creating) => {
            if let Some(slow) = slow.filter(|slow| app.hasher.time_left(&progress) > slow.threshold) {
                slow.note();
            }
            creating.await.map(Answer::Created)
        }
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
    /// If the transaction has not begun and no other request follows the batch, nothing is written.
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
            // A row that is inserted after the timeout, or after the client has left, is released with its lease.
            loop {
                match app.in_time(Box::pin(claim::claim(app, caller, &opening, list.bytes()))).await?? {
                    Claim::Held(lease) => break Some(lease),
                    Claim::Running(_) if wait.is_none() => return Err(Error::key_in_use()),
                    Claim::Running(batch_id) if !lease::follow(app, caller.organization_id, batch_id).await? => {}
                    claim => return settled(app, caller, claim, false).await.map(Step::Answer),
                }
            }
        }
    };
    let mut body = request.key.is_none().then(|| list.bytes().clone());
    let Valid { mut users, warnings, share, place } = match Box::pin(check(app, caller, &request, list)).await {
        Ok(checked) => checked,
        Err(error) => {
            let answer = match body.take() {
                Some(body) if error.report().is_some_and(Report::only_conflicts) => {
                    Box::pin(undelivered(app, caller, body)).await?
                }
                Some(body) if matches!(error.code(), Code::Overloaded | Code::TooLarge) => {
                    Box::pin(same(app, caller, &request, body)).await?
                }
                _ => None,
            };
            return match answer {
                Some(answer) => Ok(Step::Answer(answer)),
                None => Err(released(lease, error).await),
            };
        }
    };
    let mut place = Some(place);
    let hashes = users.iter().filter(|user| matches!(user.credential, Credential::Password(_))).count();
    if let Some(body) = body
        && (hashes > 0 || wait.is_some())
    {
        let counts = Counts { users: users.len(), hashes, weak_hashes: weak_hashes(&warnings) };
        match Box::pin(claim_implicit(app, caller, &request, body, counts, &users, &mut place)).await? {
            Claim::Held(held) => lease = Some(held),
            claim => return settled(app, caller, claim, true).await.map(Step::Answer),
        }
    }
    let hashing = match place.map_or_else(|| app.hasher.admit(0, hashes), Ok) {
        Ok(place) => Hashing::start(place, &mut users),
        Err(error) => return Err(released(lease, error.into()).await),
    };
    let run = if request.key.is_some() || wait.is_some() { Run::Detached(wait) } else { Run::Attached };
    let (source, file, render) = (request.source, request.file, request.render);
    let (max_findings, is_async) = (app.config.batch.max_findings, wait.is_some());
    let job = Job { source, file, users, warnings, render, hashing, max_findings, _share: share, is_async };
    Ok(Step::Create(Box::new(Prepared { job, is_planned: request.plan.is_some() }), lease, run))
}

/// Gives up a claimed row because of `error`, which frees its key.
async fn released(lease: Option<Lease>, error: Error) -> Error {
    if let Some(lease) = lease {
        lease.give_up(&error).await;
    }
    error
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
                let warnings = if wait.is_some() { self.job.warnings.clone() } else { Vec::new() };
                let creating = app.start_job(self.run(Arc::clone(app), *caller, Some(lease)));
                let Some(wait) = wait else {
                    return Ok(Started::Creating(Box::pin(async { creating.await.map_err(Error::internal)? })));
                };
                Ok(Started::Answer(match tokio::time::timeout(wait, creating).await {
                    Ok(created) => Answer::Created(created.map_err(Error::internal)??),
                    Err(_) => Answer::Running(Box::new(read::find(app, caller, batch_id).await?), warnings),
                }))
            }
            (Some(mut lease), Run::Attached) => {
                lease.attach(progress);
                let held = lease.held;
                let creating = app.start_job(self.run(Arc::clone(app), *caller, Some(lease)));
                let client = Client::new(app, held, creating.abort_handle());
                Ok(Started::Creating(Box::pin(async move {
                    let created = creating.await;
                    drop(client);
                    created.map_err(Error::internal)?
                })))
            }
            (None, _) => Ok(Started::Creating(Box::pin(self.run(Arc::clone(app), *caller, None)))),
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

/// Names the batch of this API key that created all users of a list, if there is one.
async fn explain(app: &App, caller: &Caller, error: Error) -> Error {
    let is_conflict = matches!(error.code(), Code::BatchConflict | Code::PlanChanged);
    let Some(report) = error.report().filter(|report| is_conflict && report.is_complete()) else {
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
        is_async: false,
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
