//! The state that operations share, created once for the server, the CLI and the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::context::TokioContext;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, Holders};
use crate::change::{self, Change, FailedChange, Retries, TxLimits};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::device_logins::CodeAttempts;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprints;
use crate::mail::Mailer;
use crate::metrics::Metrics;
use crate::passwords::{Parameters, Policy, Pool};
use crate::postgres::{Database, ErrorClass};
use crate::request_body::BodyBudget;
use crate::seal::SealKeys;
use crate::sso::Sso;
use crate::traces::{self, Traces};

/// The number of new users from which merging the search index's pending entries pays off.
const SORTING_THRESHOLD: usize = 1_000;

/// How much longer than the timeout for a connection [`App::in_time`] waits.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(100);

/// How long a response may be delayed by its audit record.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long aborted jobs may take to end.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What operations share: settings, connections, the hash pool. Clones share the same state.
#[derive(Clone, Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The connection pools.
    pub db: Database,
    /// The clock, which tests can set.
    pub clock: Clock,
    /// The password policy.
    pub policy: Policy,
    /// The parameters of new hashes.
    argon2: Parameters,
    /// The pool of threads that hash passwords.
    pub hasher: Arc<Pool>,
    /// The cache of the holders of API keys and sessions.
    pub holders: Arc<Holders>,
    /// Counts of denials that repeat.
    pub repeats: Arc<audit::Repeats>,
    /// Counters and gauges for Prometheus.
    pub metrics: Arc<Metrics>,
    /// The exporter of traces.
    pub traces: Arc<Traces>,
    /// The organizations whose audit log is being read.
    pub(crate) audit_turns: Arc<audit::Turns>,
    /// Counts of wrong login codes.
    pub(crate) code_attempts: Arc<CodeAttempts>,
    /// The memory for request bodies.
    pub body_budget: Arc<BodyBudget>,
    /// Keyed fingerprints of requests, files and plans.
    pub fingerprints: Arc<Fingerprints>,
    /// The keys that encrypt stored secrets.
    pub seal_keys: Arc<SealKeys>,
    /// The SMTP client; `None` if mail is not configured.
    pub mailer: Option<Arc<Mailer>>,
    /// Single sign-on: connections to identity providers, and what is known about them.
    pub sso: Arc<Sso>,
    /// Users created since the search index's pending entries were last merged.
    unsorted: Arc<AtomicUsize>,
    /// Whether this instance reports itself as not ready.
    leaving: Arc<AtomicBool>,
    /// Background jobs, which shutdown waits for.
    jobs: TaskTracker,
    /// Short tasks that outlive their request, such as a transaction that is beginning. Shutdown waits for them, too.
    tasks: TaskTracker,
    /// The program's runtime. The HTTP workers have runtimes of their own, which end earlier.
    runtime: Handle,
    /// Cancelled when background jobs are to end.
    pub stopping: CancellationToken,
}

impl App {
    /// Creates the program and starts the hash threads. Must be called within a Tokio runtime; connects to nothing yet.
    ///
    /// # Errors
    /// Invalid settings, or threads that can't be started.
    pub fn new(config: Config, db: Database, clock: Clock) -> Result<Self, ConfigError> {
        let longest_wait = Duration::from_secs(config.batch.max_wait_seconds);
        let argon2 = config.argon2()?;
        let hasher: Arc<Pool> =
            Pool::start(argon2.clone(), config.passwords.threads, config.passwords.queue, longest_wait)?.into();
        let metrics = Arc::new(Metrics::new(&db, &hasher, clock.now()));
        let traces = Arc::default();
        let fingerprints = Fingerprints::new(&config)?.into();
        let seal_keys = SealKeys::new(&config)?.into();
        let mailer = Mailer::new(&config)?.map(Arc::new);
        let sso = Sso::new(&config, metrics.sso.clone())?.into();
        let policy = Policy::new(config.passwords.min_length, config.passwords.min_strength);
        let (jobs, tasks, stopping) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
        let runtime = Handle::try_current().map_err(|error| ConfigError::starting(error.to_string()))?;
        let body_budget = BodyBudget::new(config.server.body_budget);
        let (config, holders, repeats) = (Arc::new(config), Arc::default(), Arc::default());
        let (audit_turns, code_attempts, unsorted, leaving) =
            (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Ok(Self {
            config,
            db,
            clock,
            policy,
            argon2,
            hasher,
            holders,
            repeats,
            metrics,
            traces,
            audit_turns,
            code_attempts,
            body_budget,
            fingerprints,
            seal_keys,
            mailer,
            sso,
            unsorted,
            leaving,
            jobs,
            tasks,
            runtime,
            stopping,
        })
    }

    /// Checks that the caller has the permission for `action`. A denial is recorded in the audit log.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn authorize(&self, caller: &Caller, action: Action) -> Result<()> {
        let checked = caller.check(action);
        if checked.is_err() {
            self.record_denial(caller, action, &AuditDenial::Forbidden).await;
        }
        checked
    }

    /// Makes a change if the caller has the permission: runs `work` in a transaction and commits it. If `work` fails,
    /// the transaction is rolled back and the rejection is recorded with `target`.
    ///
    /// # Errors
    /// `forbidden`; the errors of `work`, of the database and of the commit.
    pub async fn change<T>(
        &self,
        caller: &Caller,
        action: Action,
        target: Target,
        work: impl AsyncFnOnce(&mut Change) -> Result<T>,
    ) -> Result<T> {
        self.authorize(caller, action).await?;
        let context = self.change_context();
        let change = Change::begin(&self.db.interactive, &context, TxLimits::Single, caller, action, None).await?;
        self.finish(caller, change.run(target, work).await).await.inspect_err(|error| self.db.observe(error))
    }

    /// Changes many rows, all or none, as [`App::change`] does: on the connections reserved for batches, with longer
    /// timeouts. A dry run does everything and rolls back. A transaction that fails because of a concurrent one, as
    /// after a deadlock, is retried as a whole, so `work` must be able to run again.
    ///
    /// # Errors
    /// As [`App::change`].
    pub async fn change_many<T>(
        &self,
        caller: &Caller,
        action: Action,
        target: Target,
        dry_run: bool,
        mut work: impl AsyncFnMut(&mut Change) -> Result<T>,
    ) -> Result<T> {
        let mut retries = Retries::new(TxLimits::Batch);
        loop {
            let attempt = async {
                let mut change = self.begin_many(caller, action, retries.limits(), None).await?;
                if dry_run {
                    change.dry_run();
                }
                change.run(target, &mut work).await
            };
            match attempt.await {
                Ok(done) => return Ok(done),
                Err(FailedChange { error, denial }) => {
                    if let Err(error) = self.retry(&mut retries, error).await {
                        return self.finish(caller, Err(FailedChange { error, denial })).await;
                    }
                }
            }
        }
    }

    /// Begins one transaction of a change of many rows, if the caller has the permission. The caller of this function
    /// ends the change and retries it. `now`: see [`Change::begin`].
    ///
    /// # Errors
    /// `forbidden`, or `unavailable` when the database does not respond.
    pub(crate) async fn begin_many(
        &self,
        caller: &Caller,
        action: Action,
        limits: TxLimits,
        now: Option<DateTime<Utc>>,
    ) -> Result<Change> {
        self.authorize(caller, action).await?;
        Change::begin(&self.db.batch, &self.change_context(), limits, caller, action, now).await
    }

    /// Waits, with jitter, before the retry of a change that was rolled back because of a concurrent one or because the
    /// database was unavailable.
    ///
    /// # Errors
    /// `error`, if the change is not to be retried.
    pub(crate) async fn retry(&self, retries: &mut Retries, error: Error) -> Result<()> {
        self.db.observe(&error);
        if self.stopping.is_cancelled() || !retries.allow(&error) {
            return Err(error);
        }
        tracing::info!(error = error.chain(), "transaction rolled back; retrying");
        tokio::time::sleep(Duration::from_millis(rand::random_range(10..=200))).await;
        Ok(())
    }

    /// Records a rejection. The change has released its connection; the record takes one of its own.
    pub(crate) async fn finish<T>(&self, caller: &Caller, done: Result<T, FailedChange>) -> Result<T> {
        match done {
            Ok(done) => Ok(done),
            Err(FailedChange { error, denial }) => {
                if let Some((action, denial)) = denial {
                    self.record_denial(caller, action, &denial).await;
                }
                Err(error)
            }
        }
    }

    pub(crate) fn change_context(&self) -> change::Context {
        change::Context {
            holders: Arc::clone(&self.holders),
            metrics: Arc::clone(&self.metrics),
            fingerprints: Arc::clone(&self.fingerprints),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            timeout: self.longest_wait(),
        }
    }

    /// A connection to read with, if the caller has the permission.
    ///
    /// # Errors
    /// `forbidden`, or `unavailable` when the database does not respond.
    pub async fn read(&self, caller: &Caller, action: Action) -> Result<PoolConnection<Postgres>> {
        self.authorize(caller, action).await?;
        self.reader(&self.db.interactive).await
    }

    /// A connection of `pool` to read with, for reads that the caller's permission was checked for, or that need none.
    ///
    /// # Errors
    /// `unavailable` when the database does not respond.
    pub(crate) async fn reader(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>> {
        // Boxed: opening a connection takes some KiB, which the future of each request would carry.
        Ok(Box::pin(pool.acquire()).await?)
    }

    /// Begins a transaction for a write that is not a [`Change`], such as the heartbeat of a batch. Returns it with its
    /// time.
    ///
    /// # Errors
    /// `unavailable` when the database does not respond.
    pub(crate) async fn begin(&self, pool: &PgPool) -> Result<(Transaction<'static, Postgres>, DateTime<Utc>)> {
        Box::pin(change::begin(pool, &self.change_context(), TxLimits::Single)).await
    }

    /// Runs a read, and again if its connection was broken, which shows only at its first statement.
    ///
    /// # Errors
    /// Those of `read`, including a broken connection on the second attempt.
    pub(crate) async fn retry_read<T>(&self, read: impl AsyncFn() -> Result<T>) -> Result<T> {
        match read().await {
            Err(error) if error.class() == Some(ErrorClass::Unavailable) && !error.is_unexplained() => {
                self.db.observe(&error);
                read().await
            }
            result => result,
        }
    }

    /// Adds a timeout, slightly longer than that for a connection, to a future that may be dropped.
    ///
    /// # Errors
    /// `unavailable` when it expires.
    pub fn in_time<T>(&self, waiting: impl Future<Output = T>) -> impl Future<Output = Result<T>> {
        // Not an `async fn`, whose future would be twice the size of `waiting`.
        let waiting = tokio::time::timeout(self.longest_wait(), waiting);
        waiting.map(|waited| waited.map_err(|_| Error::timed_out()))
    }

    /// The timeout of [`App::in_time`].
    pub(crate) fn longest_wait(&self) -> Duration {
        self.config.database.acquire_timeout + TIMEOUT_MARGIN
    }

    /// As [`App::read`], in a read-only transaction whose statements are planned with the values of their parameters.
    ///
    /// # Errors
    /// As [`App::read`].
    pub async fn read_planned(&self, caller: &Caller, action: Action) -> Result<Transaction<'static, Postgres>> {
        self.authorize(caller, action).await?;
        let (transaction, _) =
            change::begin(&self.db.interactive, &self.change_context(), TxLimits::PlannedRead).await?;
        Ok(transaction)
    }

    /// Runs `work` on the current thread, with the program's runtime as its context. A database connection ends with the
    /// runtime that opened it, and an idle HTTP worker ends while other workers still answer requests; so no
    /// connection may be opened in the context of a worker.
    pub fn in_runtime<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        TokioContext::new(work, self.runtime.clone())
    }

    /// The program's runtime, for polls outside of a future; see [`App::in_runtime`].
    #[must_use]
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Starts a background job: it continues when its request ends, and shutdown waits for it.
    pub fn start_job<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.jobs.spawn_on(traces::in_current_trace(job), &self.runtime)
    }

    /// Starts a short task that continues when its request ends.
    pub(crate) fn start_task<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tasks.spawn_on(traces::in_current_trace(task), &self.runtime)
    }

    /// Counts created users. When there are enough, a background job merges the search index's pending entries.
    pub fn note_created(&self, users: usize) {
        let unsorted = self.unsorted.fetch_add(users, Ordering::Relaxed).saturating_add(users);
        if unsorted >= SORTING_THRESHOLD && self.unsorted.swap(0, Ordering::Relaxed) >= SORTING_THRESHOLD {
            let db = self.db.clone();
            drop(self.start_job(async move { db.merge_search_index().await }));
        }
    }

    /// Reports this instance as not ready, before a graceful shutdown. It still serves requests.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether [`App::leave`] was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether the program is shutting down and accepts no new batches.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.jobs.is_closed()
    }

    /// The number of background jobs in progress.
    #[must_use]
    pub fn jobs_in_progress(&self) -> usize {
        self.jobs.len()
    }

    /// Drains background jobs: accepts no new batches, waits for the jobs in progress until `deadline`, then aborts the rest
    /// and returns their number. A request that was accepted before may start another job.
    pub async fn drain(&self, deadline: tokio::time::Instant) -> usize {
        self.jobs.close();
        if tokio::time::timeout_at(deadline, self.jobs.wait()).await.is_ok() {
            return 0;
        }
        let jobs = self.jobs.len();
        tracing::warn!(jobs, "shutdown timeout reached; aborting batches in progress");
        self.abort_jobs(ABORT_TIMEOUT).await;
        jobs
    }

    /// Cancels background jobs, batches among them, and waits up to `timeout` for them. A batch in its transaction finishes
    /// it; any other is only marked as failed.
    pub async fn abort_jobs(&self, timeout: Duration) {
        self.jobs.close();
        self.stopping.cancel();
        // Tasks end the batches whose clients have left.
        self.tasks.close();
        let _ = tokio::time::timeout(timeout, async { tokio::join!(self.jobs.wait(), self.tasks.wait()) }).await;
    }

    /// Waits up to `timeout` for short tasks that outlive their request. Called when no request is in progress any more,
    /// since each one adds some.
    pub async fn finish_tasks(&self, timeout: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(timeout, self.tasks.wait()).await;
    }

    /// Records that a credential was not accepted, and returns `error`, or `rate_limited` if there were too many unknown ones
    /// from the client's network.
    ///
    /// The record is written after the response: only for an organization that exists is there one to write, and the time of
    /// the response must not tell whether it exists.
    pub(crate) fn deny_credential(
        &self,
        attribution: Attribution,
        action: Action,
        reason: &'static str,
        error: Error,
    ) -> Error {
        let denial = AuditDenial::Unauthenticated(reason);
        if self.repeats.note(attribution, action, &denial, self.clock.now()) {
            let app = self.clone();
            drop(self.start_task(async move { app.write_denial(attribution, action, &denial).await }));
        }
        let Attribution { actor, origin, .. } = attribution;
        let address = origin.address.filter(|_| actor == ActorRef::ANONYMOUS);
        let message = "too many requests with unknown credentials from this network; correct them, then retry";
        let limited = self.repeats.count_unknown(address, self.clock.now());
        limited.map_or(error, |retry_after| Error::rate_limited(message, retry_after))
    }

    /// As [`App::deny_credential`], for a refused sign-in. The throttle limits these.
    pub(crate) fn deny_sign_in(
        &self,
        attribution: Attribution,
        action: Action,
        denial: AuditDenial,
        error: Error,
    ) -> Error {
        if self.repeats.note(attribution, action, &denial, self.clock.now()) {
            let app = self.clone();
            drop(self.start_task(async move { app.write_denial(attribution, action, &denial).await }));
        }
        error
    }

    /// A hash with the current parameters that no password matches.
    pub(crate) fn unmatchable_hash(&self) -> String {
        self.argon2.unmatchable()
    }

    /// Records a denial or rejection in the audit log, or counts it if it repeats. A failure to record it is logged and
    /// changes nothing else.
    pub async fn record_denial(&self, attribution: impl Into<Attribution>, action: Action, denial: &AuditDenial) {
        let attribution = attribution.into();
        if self.repeats.note(attribution, action, denial, self.clock.now()) {
            self.write_denial(attribution, action, denial).await;
        }
    }

    async fn write_denial(&self, attribution: Attribution, action: Action, denial: &AuditDenial) {
        // Boxed, as in `read`.
        let written = Box::pin(async {
            let (mut transaction, now) = self.begin(&self.db.interactive).await?;
            if !audit::write::deny(&mut transaction, attribution, now, action, denial).await? {
                self.repeats.note_unknown(attribution.organization_id);
            }
            Ok(transaction.commit().await?)
        });
        let error = match tokio::time::timeout(RECORD_TIMEOUT, written).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::timed_out(),
        };
        tracing::error!(%action, error = error.chain(), "failed to record a rejection in the audit log");
    }
}
