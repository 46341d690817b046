//! The program, put together once: what the server, the CLI and the tests all use.

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::context::TokioContext;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, KeyHolders};
use crate::change::{Change, Patience, Unmade};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprints;
use crate::metrics::Metrics;
use crate::passwords::{Policy, Pool};
use crate::postgres::Database;
use crate::traces::{self, Traces};

/// How many new users are worth being sorted into the search index.
const WORTH_SORTING: usize = 1_000;

/// How much longer than for a connection something is waited for that can be given up.
const LONGER: Duration = Duration::from_millis(100);

/// How long recording a refusal may keep its answer waiting.
const RECORD_TIME: Duration = Duration::from_secs(2);

/// How long work may take to end once it has been told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Everything that operations need. A clone is the same program once more.
#[derive(Clone, Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// The way to the database.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// What a password has to be.
    pub policy: Policy,
    /// Hashes passwords.
    pub hasher: Arc<Pool>,
    /// The cache of the holders of API keys.
    pub key_holders: Arc<KeyHolders>,
    /// What it counts and measures about itself.
    pub metrics: Arc<Metrics>,
    /// Tells a collector of traces what it does.
    pub traces: Arc<Traces>,
    /// Knows requests, files and plans again.
    pub fingerprints: Arc<Fingerprints>,
    /// Users who were created since the search index was given the latest.
    unsorted: Arc<AtomicUsize>,
    /// Whether requests should go to other instances from now on.
    leaving: Arc<AtomicBool>,
    /// Work that goes on without a request that waits for it.
    jobs: TaskTracker,
    /// The program's runtime. The HTTP workers have runtimes of their own, which end earlier.
    runtime: Handle,
    /// Tells that work to end, because the program does.
    pub stopping: CancellationToken,
}

impl App {
    /// Puts the program together. Starts the hash threads; connects to nothing yet. Needs a runtime.
    ///
    /// # Errors
    /// Settings that can't be used, or threads that can't be started.
    pub fn new(config: Config, db: Database, clock: Clock) -> Result<Self, ConfigError> {
        let longest_wait = Duration::from_secs(config.batch.max_wait_seconds);
        let hasher: Arc<Pool> =
            Pool::start(config.argon2()?, config.passwords.threads, config.passwords.queue, longest_wait)?.into();
        let metrics = Arc::new(Metrics::new(&db, &hasher, clock.now()));
        let traces = Arc::default();
        let fingerprints = Fingerprints::new(&config)?.into();
        let policy = Policy::new(&config.passwords);
        let (jobs, stopping) = (TaskTracker::new(), CancellationToken::new());
        let runtime = Handle::try_current().map_err(|error| ConfigError::starting(error.to_string()))?;
        let (config, key_holders, unsorted, leaving) =
            (Arc::new(config), Arc::default(), Arc::default(), Arc::default());
        Ok(Self {
            config,
            db,
            clock,
            policy,
            hasher,
            key_holders,
            metrics,
            traces,
            fingerprints,
            unsorted,
            leaving,
            jobs,
            runtime,
            stopping,
        })
    }

    /// Checks that the caller may. If not, that is recorded.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn authorize(&self, caller: &Caller, action: Action) -> Result<()> {
        let may = caller.check(action);
        if may.is_err() {
            self.refused(caller, action, &AuditDenial::Forbidden).await;
        }
        may
    }

    /// Makes a change, if the caller may: does `work`, and then commits, or takes it back if it is to be
    /// ([`Change::take_back`]). If `work` refuses, nothing was written, and that is recorded, about `target`.
    ///
    /// # Errors
    /// `forbidden`; what `work` gives; those of the database, and [`Change::commit`].
    pub async fn change<T>(
        &self,
        caller: &Caller,
        action: Action,
        target: Target,
        work: impl AsyncFnOnce(&mut Change) -> Result<T>,
    ) -> Result<T> {
        self.authorize(caller, action).await?;
        let change = Change::begin(self, &self.db.interactive, Patience::Usual, caller, self.clock.now()).await?;
        let made = change.make(action, target, work).await;
        self.note_refusal(caller, made).await
    }

    /// As [`App::change`], for one of many things at once: on the connections kept for batches, with more patience.
    ///
    /// # Errors
    /// As [`App::change`].
    pub async fn change_many<T>(
        &self,
        caller: &Caller,
        action: Action,
        target: Target,
        work: impl AsyncFnOnce(&mut Change) -> Result<T>,
    ) -> Result<T> {
        let change = self.batch_change(caller, action, Patience::Batch, self.clock.now()).await?;
        let made = change.make(action, target, work).await;
        self.note_refusal(caller, made).await
    }

    /// When this runs, the change has given its connection back: the record takes one of its own.
    async fn note_refusal<T>(&self, caller: &Caller, made: Result<T, Unmade>) -> Result<T> {
        match made {
            Ok(done) => Ok(done),
            Err(Unmade { error, refusal }) => {
                self.db.observe(&error);
                if let Some((action, refusal)) = refusal {
                    self.refused(caller, action, &refusal).await;
                }
                Err(error)
            }
        }
    }

    /// Begins a change that writes a batch: on the connections kept for batches, with more patience,
    /// under a time that is known before, since the answer says it too. Whoever begins it ends it, and records
    /// refusals: for all attempts of a list together, with what is wrong with its rows.
    ///
    /// # Errors
    /// `forbidden`, or `unavailable` when the database doesn't answer.
    pub(crate) async fn batch_change(
        &self,
        caller: &Caller,
        action: Action,
        patience: Patience,
        now: DateTime<Utc>,
    ) -> Result<Change> {
        self.authorize(caller, action).await?;
        Change::begin(self, &self.db.batch, patience, caller, now).await
    }

    /// A connection to read with, for a caller who may.
    ///
    /// # Errors
    /// `forbidden`, or `unavailable` when the database doesn't answer.
    pub async fn read(&self, caller: &Caller, action: Action) -> Result<Reader> {
        self.authorize(caller, action).await?;
        // Boxed: it can open a connection, and each request would carry some KiB with it for that.
        Ok(Reader(Box::pin(self.db.interactive.acquire()).await?))
    }

    /// Waits for something that can be given up, as reading can: a little longer than for a connection.
    ///
    /// # Errors
    /// `unavailable` when that takes too long.
    pub fn in_time<T>(&self, waiting: impl Future<Output = T>) -> impl Future<Output = Result<T>> {
        // No `async fn`, which would take twice the room of what it waits for.
        let waiting = tokio::time::timeout(self.longest_wait(), waiting);
        waiting.map(|waited| waited.map_err(|_| Error::timed_out()))
    }

    /// How long [`App::in_time`] waits.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.config.database.acquire_timeout + LONGER
    }

    /// As [`App::read`], for statements that are planned with their values: in a transaction, which its owner ends.
    ///
    /// # Errors
    /// As [`App::read`].
    pub async fn read_planned(&self, caller: &Caller, action: Action) -> Result<Transaction<'static, Postgres>> {
        self.authorize(caller, action).await?;
        let pool = self.db.interactive.clone();
        let begin = "begin read only; set local plan_cache_mode = force_custom_plan; \
                     set local statement_timeout = '5s'; set local idle_in_transaction_session_timeout = '10s'";
        // In a task of its own, for the reason that `change` tells.
        Ok(tokio::spawn(async move { pool.begin_with(begin).await }).await.map_err(Error::internal)??)
    }

    /// Runs `work` on the current thread, with the program's runtime as its context. A database connection ends with the
    /// runtime that opened it, and an idle HTTP worker ends while other workers still answer requests; so no
    /// connection may be opened in the context of a worker.
    pub fn in_runtime<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        TokioContext::new(work, self.runtime.clone())
    }

    /// The program's runtime, for polling what is not a future; see [`App::in_runtime`].
    #[must_use]
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Starts work that goes on whether or not a request waits for it.
    pub fn start_job<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.jobs.spawn_on(traces::go_on(job), &self.runtime)
    }

    /// Notes that users were created: many of them give the search index something to do, beside the requests.
    pub fn note_created(&self, users: usize) {
        let unsorted = self.unsorted.fetch_add(users, Ordering::Relaxed).saturating_add(users);
        if unsorted >= WORTH_SORTING && self.unsorted.swap(0, Ordering::Relaxed) >= WORTH_SORTING {
            let db = self.db.clone();
            drop(self.start_job(async move { db.merge_search_index().await }));
        }
    }

    /// Says that requests should go to other instances: this one still serves them, and ends soon.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether requests should go to other instances.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether the program is about to end, and takes no new work.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.jobs.is_closed()
    }

    /// How much work goes on without a request that waits for it.
    #[must_use]
    pub fn jobs_under_way(&self) -> usize {
        self.jobs.len()
    }

    /// Takes no new work from now on, and lets what goes on without a request finish, until
    /// `deadline`; then tells it to end, and gives how much of it there was.
    pub async fn drain(&self, deadline: tokio::time::Instant) -> usize {
        self.jobs.close();
        if tokio::time::timeout_at(deadline, self.jobs.wait()).await.is_ok() {
            return 0;
        }
        let jobs = self.jobs.len();
        tracing::warn!(jobs, "batches that are still being made are given up");
        self.give_up_jobs(LAST_WORDS).await;
        jobs
    }

    /// Tells work that goes on without a request to end, and waits a little for it. What is in its transaction ends by
    /// itself soon; the rest has only to say so.
    pub async fn give_up_jobs(&self, patience: Duration) {
        self.jobs.close();
        self.stopping.cancel();
        let _ = tokio::time::timeout(patience, self.jobs.wait()).await;
    }

    /// Records that something was refused. The refusal stands even if that fails.
    pub async fn refused(&self, attribution: impl Into<Attribution>, action: Action, refusal: &AuditDenial) {
        let attribution = attribution.into();
        // Boxed, as in `read`.
        let written = Box::pin(async {
            let mut connection = self.db.interactive.acquire().await?;
            audit::write::deny(&mut connection, attribution, self.clock.now(), action, refusal).await
        });
        let error = match tokio::time::timeout(RECORD_TIME, written).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::timed_out(),
        };
        self.db.observe(&error);
        tracing::error!(%action, error = error.chain(), "a refusal could not be recorded");
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader(PoolConnection<Postgres>);

impl std::ops::Deref for Reader {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
