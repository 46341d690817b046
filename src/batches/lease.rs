//! Leases on running batches: one attempt works on a batch at a time, and proves that it is alive.
//!
//! A batch with passwords to hash, with an `Idempotency-Key` or with `Prefer: respond-async` has its row before it has its
//! users.
//! [`super::claim`] writes the row with its `owner`, the attempt, and the end of its lease. A heartbeat renews the lease
//! every second and stores the progress. When the process dies, the lease expires, and
//! [`crate::jobs`] or the next request with the key marks the batch as failed. The attempt's own transaction changes the
//! state to `created`, provided that the row still belongs to the attempt: a process that was suspended and resumes
//! later updates no row and rolls back.
//!
//! # Decisions
//!
//! *These statements are not [`crate::change::Change`]s.* They keep track of work that has not happened yet and change
//! nothing that users can see. The change that creates the users is audited, and a failed batch leaves an audit
//! record of its rejection.
//!
//! *Leases use the database's clock*, not [`crate::app::App`]'s, because instances on different machines must agree.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::BatchState;
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id, Organization};
use crate::passwords::Progress;

/// The code of a batch whose client closed the connection.
const DISCONNECTED: &str = "disconnected";

/// How often an attempt renews its lease.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The size of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) users: usize,
    /// Passwords to hash.
    pub(super) hashes: usize,
    /// Imported hashes that are weaker than today's recommendation.
    pub(super) weak_hashes: usize,
}

/// A lease that is held. Dropping it before the batch is announced gives the batch up; any other lease then expires.
///
/// Giving up a batch that no client knows of deletes its row. If the batch was announced, or another request follows it,
/// clients may look it up, and it is marked as failed.
pub(super) struct Lease {
    app: Arc<App>,
    pub(super) held: Held,
    /// Cancelled when the row no longer belongs to this attempt: the batch was cancelled or its lease has expired.
    pub(super) lost: CancellationToken,
    heartbeat: JoinHandle<()>,
    counts: Counts,
    is_announced: bool,
    /// Whether the batch ends when its client leaves ([`Client`]).
    pub(super) is_attached: bool,
    /// Whether the batch has ended. Set after the statement that ends it, because the request may end during the statement.
    is_settled: bool,
}

/// The row of a batch, and the attempt that owns it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) organization_id: Id<Organization>,
    pub(super) batch_id: Id<Batch>,
    pub(super) owner: Uuid,
}

impl Lease {
    /// Starts the heartbeat of a row that was just claimed.
    pub(super) fn start(app: &Arc<App>, held: Held, counts: Counts) -> Self {
        let lost = CancellationToken::new();
        let heartbeat = app.start_task(beat(Arc::clone(app), held, counts, None, lost.clone()));
        let app = Arc::clone(app);
        Self { app, held, lost, heartbeat, counts, is_announced: false, is_attached: false, is_settled: false }
    }

    /// Stores the size of the batch, and from now on its progress. `to_client`: the client learns the batch's ID, too.
    ///
    /// # Errors
    /// `conflict` when the batch was cancelled; errors of the database.
    pub(super) async fn announce(&mut self, counts: Counts, progress: Arc<Progress>, to_client: bool) -> Result<()> {
        if !renew(&self.app, self.held, counts, Some(&progress)).await? {
            return Err(lost_error(&self.app, self.held).await);
        }
        self.is_announced = to_client;
        self.counts = counts;
        self.report(progress);
        Ok(())
    }

    /// Stores the progress of the batch from now on. The batch ends when its [`Client`] leaves.
    pub(super) fn attach(&mut self, progress: Arc<Progress>) {
        (self.is_announced, self.is_attached) = (true, true);
        self.report(progress);
    }

    fn report(&mut self, progress: Arc<Progress>) {
        self.heartbeat.abort();
        let (app, lost) = (Arc::clone(&self.app), self.lost.clone());
        self.heartbeat = self.app.start_task(beat(app, self.held, self.counts, Some(progress), lost));
    }

    /// Ends the lease of a batch that was created.
    pub(super) fn settle(mut self) {
        self.is_settled = true;
    }

    /// Gives the batch up because of `error`, which frees the key.
    pub(super) async fn give_up(mut self, error: &Error) {
        failpoints::reach("lease::releasing").await;
        log_failure(end(&self.app, self.held, self.is_announced, &failure(error)).await);
        self.is_settled = true;
    }
}

/// The error as the response to a rejected request shows it, but without other users' addresses.
fn failure(error: &Error) -> Value {
    let (code, detail) = (error.code().as_str(), error.to_string());
    match error.report() {
        Some(report) => {
            let detail = report.without_addresses(&detail);
            let more = report.more_findings().map(|more| ("more_findings".to_owned(), more.into()));
            let creator = error.batch().map(|batch| ("batch_id".to_owned(), batch.to_string().into()));
            let mut failure = json!({ "code": code, "detail": detail, "rows": report.findings() });
            if let Value::Object(failure) = &mut failure {
                failure.extend(more.into_iter().chain(creator));
            }
            failure
        }
        None => json!({ "code": code, "detail": detail }),
    }
}

fn disconnected() -> Value {
    let detail = "the client closed the connection before its users were created; nothing was written";
    json!({ "code": DISCONNECTED, "detail": detail })
}

fn log_failure(given_up: Result<()>) {
    if let Err(error) = given_up {
        tracing::warn!(error = error.chain(), "failed to end the lease of a batch; the lease will expire");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
        // The lease of an announced batch whose task panicked expires, and the batch is marked as failed.
        if self.is_settled || std::thread::panicking() || self.is_announced {
            return;
        }
        let (app, held) = (Arc::clone(&self.app), self.held);
        drop(self.app.start_task(async move { log_failure(end(&app, held, false, &disconnected()).await) }));
    }
}

/// The client that waits for a batch. Dropping it before the end fails the batch and aborts its job, unless the
/// transaction has begun or another request follows the batch ([`follow`]).
pub(super) struct Client {
    app: Arc<App>,
    held: Held,
    job: AbortHandle,
}

impl Client {
    pub(super) fn new(app: &Arc<App>, held: Held, job: AbortHandle) -> Self {
        Self { app: Arc::clone(app), held, job }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.job.is_finished() {
            return;
        }
        let (app, held, job) = (Arc::clone(&self.app), self.held, self.job.clone());
        drop(self.app.start_task(async move {
            // Until the database has answered, another request may follow the batch, or its transaction may have begun.
            while !job.is_finished() && !app.stopping.is_cancelled() {
                match fail(&app, held, &disconnected(), true).await {
                    Ok(true) => return job.abort(),
                    Ok(false) => return,
                    Err(_) => tokio::time::sleep(HEARTBEAT).await,
                }
            }
        }));
    }
}

/// Lets a running batch continue without its client, for a request that gets the ID of the batch, on any instance.
/// `false`: the batch has ended.
pub(super) async fn follow(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) -> Result<bool> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    let followed = sqlx::query!(
        "update batches set is_followed = true where organization_id = $1 and batch_id = $2 and state = 'running'",
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(followed.rows_affected() == 1)
}

/// Renews the lease every second, until it is lost.
async fn beat(app: Arc<App>, held: Held, counts: Counts, progress: Option<Arc<Progress>>, lost: CancellationToken) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match renew(&app, held, counts, progress.as_deref()).await {
            Ok(true) => {}
            Ok(false) => return lost.cancel(),
            Err(error) => {
                app.db.observe(&error);
                tracing::warn!(error = error.chain(), "failed to renew the lease of a batch; retrying");
            }
        }
    }
}

/// Renews the lease. `false`: the row no longer belongs to this attempt.
async fn renew(app: &App, held: Held, counts: Counts, progress: Option<&Progress>) -> Result<bool> {
    let done = progress.map_or(0, Progress::done);
    let left = progress.map(|progress| app.hasher.time_left(progress));
    let expected_at: Option<DateTime<Utc>> =
        left.and_then(|left| app.clock.now().checked_add_signed(TimeDelta::from_std(left).ok()?));
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    let renewed = sqlx::query!(
        r#"
        update batches
        set lease_until = now() + make_interval(secs => $4), user_count = $5, hash_count = $6, weak_hash_count = $7,
            hashed = $8, expected_at = $9
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
        "#,
        held.organization_id as Id<Organization>,
        held.batch_id as Id<Batch>,
        held.owner,
        f64::from(app.config.batch.lease_seconds),
        count(counts.users)?,
        count(counts.hashes)?,
        count(counts.weak_hashes)?,
        count(done)?,
        expected_at,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(renewed.rows_affected() == 1)
}

/// Deletes the row of a batch that no client knows of; marks any other as failed.
async fn end(app: &App, held: Held, is_announced: bool, failure: &Value) -> Result<()> {
    if !is_announced && release(app, held).await? {
        return Ok(());
    }
    fail(app, held, failure, false).await.map(drop)
}

/// Deletes the row of a batch that no other request follows. `false`: it was not.
async fn release(app: &App, held: Held) -> Result<bool> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    let released = sqlx::query!(
        r#"
        delete from batches
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running' and not is_followed
        "#,
        held.organization_id as Id<Organization>,
        held.batch_id as Id<Batch>,
        held.owner,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(released.rows_affected() == 1)
}

/// Marks a batch as failed; if `is_disconnected`, only a batch that no other request follows. `false`: it was not.
async fn fail(app: &App, held: Held, failure: &Value, is_disconnected: bool) -> Result<bool> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let failed = sqlx::query!(
        r#"
        update batches
        set state = 'failed', failure = $4, finished_at = $5, owner = null, lease_until = null, expected_at = null,
            idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
            and not ($6 and is_followed)
        "#,
        held.organization_id as Id<Organization>,
        held.batch_id as Id<Batch>,
        held.owner,
        failure,
        now,
        is_disconnected,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(failed.rows_affected() == 1)
}

/// The reason why a row no longer belongs to its attempt.
pub(super) async fn lost_error(app: &App, held: Held) -> Error {
    let state = async {
        let state = sqlx::query_scalar!(
            r#"select state as "state: BatchState" from batches where organization_id = $1 and batch_id = $2"#,
            held.organization_id as Id<Organization>,
            held.batch_id as Id<Batch>,
        );
        Ok::<_, Error>(state.fetch_optional(&mut *app.reader(&app.db.interactive).await?).await?)
    };
    let batch_id = held.batch_id;
    match state.await {
        Ok(Some(BatchState::Cancelled)) => {
            Error::new(Code::Conflict, format!("batch {batch_id} was cancelled; nothing was written"))
        }
        Ok(_) => {
            let message = "lost its lease while in progress; nothing was written, so retry the request";
            Error::new(Code::Conflict, format!("batch {batch_id} {message}"))
        }
        Err(error) => error,
    }
}

pub(super) fn count(count: usize) -> Result<i32> {
    i32::try_from(count).map_err(Error::internal)
}
