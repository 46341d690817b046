//! From a body to a batch: the pipeline of [`super`], step by step.
//!
//! What only some requests do is boxed: otherwise each would carry the room for all of it, and copy it around.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::claim::{self, Claim, Opening};
use super::job::{self, Hashing, Work};
use super::lease::{self, Lease};
use super::plan::{Outcome, Plan};
use super::write::{self, NewBatch};
use super::{
    Answer, Checked, CheckedUser, IdempotencyKey, Limits, Mode, Planned, Request, Response, check, read, unpack,
};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller};
use crate::change::Patience;
use crate::error::{Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id};
use crate::passwords::PasswordHash;
use crate::report::Finding;
use crate::traces::stage;
use crate::users::{self, Account, Credential, NewUser, StoredPassword};

/// From how many bytes on checking a list is work for a thread of its own.
const WORTH_A_THREAD: usize = 512;

/// Creates all users of a list, or none; or finds out what that would do.
///
/// The body is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`; what reading the body gives; `invalid_json`, `invalid_request`, `empty_batch`,
/// `too_large`; `batch_rejected` or `batch_conflict` with the complete report; `plan_changed`;
/// `idempotency_key_in_use`, `idempotency_key_reused`; `conflict`; `overloaded`; `unavailable`. Nothing is
/// written unless the result is `Ok`.
pub async fn create(
    app: &Arc<App>,
    caller: &Caller,
    request: Request,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Answer> {
    let action = request.mode.action();
    app.authorize(caller, action).await?;
    if app.is_draining() {
        return Err(Error::shutting_down());
    }
    failpoints::reach("batch::authorized").await;
    let step = match body.await {
        Ok(body) => next_step(app, caller, request, body).await,
        Err(error) => Err(error),
    };
    let answer = match step {
        Ok(Step::Answer(answer)) => Ok(answer),
        Ok(Step::Make(made)) => made.here(app, caller).await,
        // Goes on whoever listens, and records how it ends itself.
        Ok(Step::MakeApart(made, lease, wait)) => return Box::pin(made.apart(app, caller, lease, wait)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &answer {
        record_refusal(app, caller, action, None, error).await;
    }
    answer
}

/// What there is to do once the list is known to be fine.
enum Step {
    /// Nothing more.
    Answer(Answer),
    /// Make it while the client waits; if it hangs up before the transaction, nothing happens.
    Make(Making),
    /// Make it whatever the client does; it waits so long, or to the end.
    MakeApart(Making, Lease, Option<Duration>),
}

async fn next_step(app: &Arc<App>, caller: &Caller, request: Request, body: Bytes) -> Result<Step> {
    failpoints::reach("batch::received").await;
    if let Some(plan) = &request.plan {
        plan.hold_list(&app.fingerprints, &body)?;
    }
    let wait = match request.mode {
        Mode::DryRun => {
            return Ok(Step::Answer(Answer::Planned(Box::pin(dry_run(app, caller, &request, body)).await?)));
        }
        Mode::Make { wait } => wait,
    };
    let lease = match &request.key {
        None => None,
        // One that is made after all, too late, ends with its lease.
        Some(key) => match app.in_time(Box::pin(claim_by(app, caller, &request, key, &body))).await?? {
            Claim::Mine(lease) => Some(lease),
            Claim::Replay { batch_id, response, users } => {
                let body = Bytes::from(unpack(&response)?);
                let response = Response { batch_id, users, body, is_replayed: true };
                return Ok(Step::Answer(Answer::Created(response)));
            }
            Claim::Running(batch_id) if wait.is_some() => {
                return Ok(Step::Answer(Answer::Running(Box::new(read::get(app, caller, batch_id).await?))));
            }
            Claim::Running(_) => return Err(Error::key_in_use()),
        },
    };
    let making = match (prepare(app, caller, &request, body).await, lease) {
        (Ok(making), Some(lease)) => return Ok(Step::MakeApart(making, lease, wait)),
        (Ok(making), None) => making,
        (Err(error), Some(lease)) => {
            lease.release().await;
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    // What is looked at from outside while it is made has a row, too.
    match wait {
        None => Ok(Step::Make(making)),
        Some(_) => {
            let opening = Opening { source: request.source, file: request.file, key: None };
            match app.in_time(Box::pin(claim::claim(app, caller, &opening, b""))).await?? {
                Claim::Mine(lease) => Ok(Step::MakeApart(making, lease, wait)),
                Claim::Replay { .. } | Claim::Running(_) => Err(Error::internal("a batch without a key was found")),
            }
        }
    }
}

async fn claim_by(
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

/// A list that is fine, with its passwords in the queue.
struct Making {
    work: Work,
    hashing: Hashing,
    is_planned: bool,
}

/// Checks the list, and takes its passwords into the queue.
async fn prepare(app: &Arc<App>, caller: &Caller, request: &Request, body: Bytes) -> Result<Making> {
    let (users, warnings) = judge(app, caller, request, body).await?;
    if let Some(plan) = &request.plan {
        plan.hold_outcome(&app.fingerprints, &outcome(app, caller, &users))?;
    }
    failpoints::reach("batch::checked").await;
    let hashing = Hashing::start(app, &users)?;
    let work = Work { source: request.source, file: request.file.clone(), users, warnings, render: request.render };
    Ok(Making { work, hashing, is_planned: request.plan.is_some() })
}

impl Making {
    async fn here(self, app: &Arc<App>, caller: &Caller) -> Result<Answer> {
        let made = job::run(app, caller, self.work, self.hashing, None).await;
        made.map(Answer::Created).map_err(|error| as_planned(error, self.is_planned))
    }

    async fn apart(self, app: &Arc<App>, caller: &Caller, mut lease: Lease, wait: Option<Duration>) -> Result<Answer> {
        let batch_id = lease.held().batch_id;
        lease.announce(self.work.counts(), self.hashing.progress(), wait.is_some()).await?;
        let making = app.start_job(self.finish(Arc::clone(app), caller.clone(), lease));
        let made = match wait {
            None => making.await,
            Some(wait) => match tokio::time::timeout(wait, making).await {
                Ok(made) => made,
                Err(_) => return Ok(Answer::Running(Box::new(read::get(app, caller, batch_id).await?))),
            },
        };
        made.map_err(Error::internal)?.map(Answer::Created)
    }

    /// Makes it, and leaves the row as it has to be.
    async fn finish(self, app: Arc<App>, caller: Caller, lease: Lease) -> Result<Response> {
        let batch_id = lease.held().batch_id;
        let made = job::run(&app, &caller, self.work, self.hashing, Some(&lease)).await;
        let made = made.map_err(|error| as_planned(error, self.is_planned));
        match &made {
            Ok(_) => lease.settle(),
            Err(error) => {
                record_refusal(&app, &caller, Action::UserBatchCreate, Some(batch_id), error).await;
                lease.give_up(error).await;
            }
        }
        made
    }
}

/// What was planned can't be in the way of others and a conflict at once.
fn as_planned(error: Error, is_planned: bool) -> Error {
    match error.report() {
        Some(report) if is_planned => Error::plan_changed(report.clone()),
        _ => error,
    }
}

/// Checks every row and asks which addresses exist: users, or all findings.
async fn judge(
    app: &Arc<App>,
    caller: &Caller,
    request: &Request,
    body: Bytes,
) -> Result<(Vec<NewUser>, Vec<Finding>)> {
    let Checked { users, mut report, warnings } = stage("batch.check", check_apart(app, caller, body)).await?;
    // Asking costs a journey. A list in which nothing is wrong so far, for which nobody has to hash and nothing is
    // promised before it is written, learns the same from the insert.
    let is_written_at_once = report.is_empty() && request.mode == Mode::Make { wait: None };
    if !is_written_at_once || users.iter().any(CheckedUser::has_password) {
        let emails: Vec<_> = users.iter().map(CheckedUser::email).collect();
        let taken = app.in_time(Box::pin(async {
            let mut connection = app.db.batch.acquire().await?;
            users::read::taken(&mut connection, caller.organization_id, &emails).await
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
    // No finding: every row has become a user.
    Ok((users.into_iter().filter_map(|checked| checked.user.ok()).collect(), warnings))
}

/// Checking is work for a processor, and this thread has other requests to serve.
async fn check_apart(app: &App, caller: &Caller, body: Bytes) -> Result<Checked> {
    let limits = Limits {
        max_users: app.config.batch.max_users,
        policy: app.policy,
        may_grant_owner: caller.may(Action::OwnerGrant),
    };
    if body.len() < WORTH_A_THREAD {
        return check(body, &limits);
    }
    tokio::task::spawn_blocking(move || check(body, &limits)).await.map_err(Error::internal)?
}

fn outcome<'a>(app: &App, caller: &Caller, users: &'a [NewUser]) -> Outcome<'a> {
    Outcome { organization_id: caller.organization_id, must_change: app.config.passwords.must_change, users }
}

/// Does everything but hashing, and takes it back.
async fn dry_run(app: &Arc<App>, caller: &Caller, request: &Request, body: Bytes) -> Result<Planned> {
    let (users, warnings) = judge(app, caller, request, body.clone()).await?;
    let plan = Plan::new(&app.fingerprints, &body, &outcome(app, caller, &users));
    let now = app.clock.now();
    let stand_in = |user: NewUser| Account {
        user_id: Id::new(now),
        identity_id: Id::new(now),
        password: match &user.credential {
            Credential::Password(_) => Some(StoredPassword { hash: PasswordHash::stand_in(), must_change: true }),
            Credential::Imported { hash, must_change } => {
                Some(StoredPassword { hash: hash.clone().into(), must_change: *must_change })
            }
            Credential::Sso | Credential::Unset => None,
        },
        user,
    };
    let accounts: Vec<Account> = users.into_iter().map(stand_in).collect();
    let (app, caller) = (Arc::clone(app), caller.clone());
    let (source, file) = (request.source, request.file.fingerprinted(&app));
    let written = tokio::spawn(async move {
        let counts = lease::Counts { users: accounts.len(), ..lease::Counts::default() };
        let batch_id = Id::new(now);
        let batch = NewBatch { held: None, batch_id, created_at: now, source, file, counts, response: None };
        let mut change = app.batch_change(&caller, Action::UserBatchDryRun, Patience::Batch, now).await?;
        write::insert(&mut change, &batch, &accounts).await?;
        change.roll_back().await?;
        let organization_id = caller.organization_id;
        app.change(&caller, Action::UserBatchDryRun, Target::Organization(organization_id), async |change| {
            change.record(Event::BatchPlanned { organization_id, users: accounts.len() });
            Ok(())
        })
        .await?;
        Ok::<_, Error>(accounts)
    });
    let accounts = written.await.map_err(Error::internal)??;
    Ok(Planned { users: accounts.into_iter().map(|account| account.user).collect(), warnings, plan })
}

async fn record_refusal(app: &App, caller: &Caller, action: Action, batch_id: Option<Id<Batch>>, error: &Error) {
    if let Some(refusal) = AuditDenial::of_list(batch_id, error) {
        app.refused(caller, action, &refusal).await;
    }
}
