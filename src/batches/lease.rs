//! Claims on running batches: one attempt at a time, and known to be alive.
//!
//! A batch that somebody may ask for again, or look at while it is made, has its row before it has
//! its users. The row is claimed by one attempt: [`super::claim`] writes its `owner` and how long it is taken to
//! be alive, and a heartbeat renews that every second and tells how far it is. If the process dies,
//! the lease runs out, and whoever comes across it fails the batch ([`reap`]). The attempt's own
//! transaction turns the row into `created`, and only if the row is still the attempt's: a process
//! that had stopped and goes on long after finds nothing to turn, and rolls back.
//!
//! # Decisions
//!
//! These statements are bookkeeping about work that has not happened, so they are no
//! [`crate::change::Change`]s: nothing a user could see is done by them, the change that does it is
//! audited by itself, and a batch that failed leaves a refusal.
//!
//! Leases are told by the database's clock, not [`crate::app::App`]'s: instances on different
//! machines have to agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::app::App;
use crate::audit::{self, ActorKind, ActorRef, Attribution, AuditDenial, Findings, Target};
use crate::caller::{Action, Origin};
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, Organization, Request};
use crate::passwords::Progress;

/// How often an attempt says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The code of a batch whose process died.
const INTERRUPTED: &str = "interrupted";

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) users: usize,
    pub(super) hashes: usize,
    pub(super) weak_hashes: usize,
}

/// A claim that is held. Dropped before it is settled, the batch goes with it.
///
/// Until it is announced, nobody has been told of the batch, and giving it up takes its row away.
/// From then on somebody may look for it, and giving it up makes it a batch that failed.
pub(super) struct Lease {
    app: Arc<App>,
    held: Held,
    /// Set when the row turns out to be somebody else's.
    lost: Arc<Lost>,
    heart: JoinHandle<()>,
    is_announced: bool,
    is_settled: bool,
}

/// What makes the row an attempt's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) organization_id: Id<Organization>,
    pub(super) batch_id: Id<Batch>,
    pub(super) owner: Uuid,
}

#[derive(Default)]
struct Lost {
    is_lost: AtomicBool,
    notify: Notify,
}

impl Lease {
    /// Starts its heart.
    pub(super) fn hold(app: &Arc<App>, held: Held) -> Self {
        let lost = Arc::new(Lost::default());
        let heart = tokio::spawn(beat(Arc::clone(app), held, Counts::default(), None, Arc::clone(&lost)));
        Self { app: Arc::clone(app), held, lost, heart, is_announced: false, is_settled: false }
    }

    /// Tells how much there is to do, and from now on how far it is. `to_client`: its client is told of the
    /// batch, too.
    ///
    /// # Errors
    /// `conflict` when the batch has been cancelled; those of the database.
    pub(super) async fn announce(&mut self, counts: Counts, progress: Arc<Progress>, to_client: bool) -> Result<()> {
        if !renew(&self.app, self.held, counts, Some(&progress)).await? {
            return Err(self.gone().await);
        }
        self.is_announced = to_client;
        self.heart.abort();
        let (app, lost) = (Arc::clone(&self.app), Arc::clone(&self.lost));
        self.heart = tokio::spawn(beat(app, self.held, counts, Some(progress), lost));
        Ok(())
    }

    pub(super) const fn held(&self) -> Held {
        self.held
    }

    /// Waits until the row is somebody else's: cancelled, or taken for dead.
    pub(super) async fn lost(&self) {
        let notified = self.lost.notify.notified();
        if !self.lost.is_lost.load(Ordering::Acquire) {
            notified.await;
        }
    }

    /// Why it was lost.
    pub(super) async fn gone(&self) -> Error {
        gone(&self.app, self.held).await
    }

    /// The batch has been created, and the row is no longer claimed.
    pub(super) fn settle(mut self) {
        self.is_settled = true;
    }

    /// Takes the row away: there is no batch, and the key is free.
    pub(super) async fn release(mut self) {
        self.is_settled = true;
        logged(release(&self.app, self.held).await);
    }

    /// There will be no batch, for this reason. The key is free.
    pub(super) async fn give_up(mut self, error: &Error) {
        self.is_settled = true;
        logged(match self.is_announced {
            true => fail(&self.app, self.held, &failure(error)).await,
            false => release(&self.app, self.held).await,
        });
    }
}

/// Why a batch failed, as a refused request would be answered, but without the addresses of others.
fn failure(error: &Error) -> Value {
    let (code, detail) = (error.code().as_str(), error.to_string());
    match error.report() {
        Some(report) => {
            json!({ "code": code, "detail": report.without_addresses(&detail), "rows": report.findings() })
        }
        None => json!({ "code": code, "detail": detail }),
    }
}

fn logged(given_up: Result<()>) {
    if let Err(error) = given_up {
        tracing::warn!(error = error.chain(), "a claim could not be given up; it will lapse");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heart.abort();
        // An announced batch whose task ended unseen is left to lapse, and to be failed.
        if !self.is_settled && !self.is_announced {
            let (app, held) = (Arc::clone(&self.app), self.held);
            tokio::spawn(async move { logged(release(&app, held).await) });
        }
    }
}

/// Says every second that the attempt is alive, until it isn't.
async fn beat(app: Arc<App>, held: Held, counts: Counts, progress: Option<Arc<Progress>>, lost: Arc<Lost>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match renew(&app, held, counts, progress.as_deref()).await {
            Ok(true) => {}
            Ok(false) => {
                lost.is_lost.store(true, Ordering::Release);
                lost.notify.notify_waiters();
                return;
            }
            Err(error) => tracing::warn!(error = error.chain(), "a lease could not be renewed; trying again"),
        }
    }
}

/// Whether the row is still the attempt's.
async fn renew(app: &App, held: Held, counts: Counts, progress: Option<&Progress>) -> Result<bool> {
    let done = progress.map_or(0, Progress::done);
    let left = progress.map(|progress| app.hasher.time_left(progress));
    let expected_at: Option<DateTime<Utc>> =
        left.and_then(|left| app.clock.now().checked_add_signed(TimeDelta::from_std(left).ok()?));
    let renewed = sqlx::query!(
        r#"
        update batches
        set lease_until = now() + make_interval(secs => $4), user_count = $5, hash_count = $6, weak_hash_count = $7,
            hashed = $8, expected_at = $9
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
        "#,
        held.organization_id.uuid(),
        held.batch_id.uuid(),
        held.owner,
        f64::from(app.config.batch.lease_seconds),
        count(counts.users)?,
        count(counts.hashes)?,
        count(counts.weak_hashes)?,
        count(done)?,
        expected_at,
    )
    .execute(&app.db.interactive)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

async fn release(app: &App, held: Held) -> Result<()> {
    sqlx::query!(
        "delete from batches where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'",
        held.organization_id.uuid(),
        held.batch_id.uuid(),
        held.owner,
    )
    .execute(&app.db.interactive)
    .await?;
    Ok(())
}

async fn fail(app: &App, held: Held, failure: &Value) -> Result<()> {
    sqlx::query!(
        r#"
        update batches
        set state = 'failed', failure = $4, finished_at = $5, owner = null, lease_until = null, expected_at = null,
            idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
        "#,
        held.organization_id.uuid(),
        held.batch_id.uuid(),
        held.owner,
        failure,
        app.clock.now(),
    )
    .execute(&app.db.interactive)
    .await?;
    Ok(())
}

/// Why a row is no longer the attempt's.
pub(super) async fn gone(app: &App, held: Held) -> Error {
    let state = sqlx::query_scalar!(
        "select state from batches where organization_id = $1 and batch_id = $2",
        held.organization_id.uuid(),
        held.batch_id.uuid(),
    )
    .fetch_optional(&app.db.interactive)
    .await;
    match state {
        Ok(Some(state)) if state == "cancelled" => Error::new(
            Code::Conflict,
            format!("batch {} was cancelled before it was created; nothing was written", held.batch_id),
        ),
        Ok(_) => Error::new(
            Code::Conflict,
            format!("batch {} was taken for dead while it was made; nothing was written: send it again", held.batch_id),
        ),
        Err(error) => error.into(),
    }
}

/// Whether the database answers.
pub(super) async fn is_there(app: &App) -> Result<()> {
    Ok(app.db.interactive.acquire().await?.ping().await?)
}

/// Fails the batches whose lease has run out; just one, if it is named. Says so in the audit log, in
/// the name of who asked for them. In a task of its own: whoever comes across one may hang up.
pub(super) async fn reap(app: &Arc<App>, only: Option<(Id<Organization>, Id<Batch>)>) -> Result<usize> {
    let app = Arc::clone(app);
    tokio::spawn(async move { reap_lapsed(&app, only).await }).await.map_err(Error::internal)?
}

async fn reap_lapsed(app: &App, only: Option<(Id<Organization>, Id<Batch>)>) -> Result<usize> {
    let (organization_id, batch_id) = only.unzip();
    let now = app.clock.now();
    let failure = json!({
        "code": INTERRUPTED,
        "detail": "this batch was left before it was created: the process that worked on it ended, stood still, or had no \
            database for longer than batch.lease_seconds; nothing of it exists: send it again",
    });
    let mut transaction = app.db.interactive.begin().await?;
    let reaped = sqlx::query!(
        r#"
        update batches
        set state = 'failed', failure = $1, finished_at = $2, owner = null, lease_until = null, expected_at = null,
            idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where state = 'running' and lease_until < now()
            and ($3::uuid is null or (organization_id = $3 and batch_id = $4))
        returning
            organization_id as "organization_id: Id<Organization>", batch_id as "batch_id: Id<Batch>",
            requested_by_kind as "requested_by_kind: ActorKind", requested_by_id, request_id as "request_id: Id<Request>", user_count
        "#,
        failure,
        now,
        organization_id.map(Id::uuid),
        batch_id.map(Id::uuid),
    )
    .fetch_all(&mut *transaction)
    .await?;
    for batch in &reaped {
        let attribution = Attribution {
            organization_id: batch.organization_id,
            actor: ActorRef { kind: batch.requested_by_kind, id: batch.requested_by_id },
            origin: Origin { request_id: batch.request_id, address: None },
        };
        let rows = usize::try_from(batch.user_count).unwrap_or_default();
        let refusal = AuditDenial::Rejected {
            target: Target::Batch(batch.batch_id),
            code: INTERRUPTED,
            findings: Some(Findings { rows, ..Findings::default() }),
        };
        audit::write::deny(&mut transaction, attribution, now, Action::UserBatchCreate, &refusal).await?;
        tracing::warn!(batch_id = %batch.batch_id, "a batch failed: the process that worked on it ended, stood still or had no database for too long");
    }
    transaction.commit().await?;
    app.metrics.batches.count_abandoned(reaped.len());
    Ok(reaped.len())
}

pub(super) fn count(count: usize) -> Result<i32> {
    i32::try_from(count).map_err(Error::internal)
}
