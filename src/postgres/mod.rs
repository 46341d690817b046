//! PostgreSQL: connection pools, migrations, the embedded PostgreSQL and the classification of database errors.
//!
//! # Decisions
//!
//! *A pooled connection is pinged before use only if it may be broken*: after a second idle, or when another connection
//! has broken since it was last used. sqlx would ping before each use, an extra round trip for every statement outside a
//! transaction. The first statement after a restart of PostgreSQL fails, as one in flight would; later ones get live
//! connections.
//!
//! *16 connections for batches*: transactions that commit at the same time share one write to disk. 16 clients that
//! create users one by one, on two cores: 1086, 1362, 1467 and 1573 requests a second with 4, 8, 12 and 16 connections
//! (medians of 3).
//!
//! *Authentication and `/readyz` have connections of their own*, which slow requests can't use up. Their statements read
//! single rows by primary keys, so four connections serve thousands of requests a second.
//!
//! *A read's time limit belongs to its connection*, which costs no round trip: PostgreSQL cancels the statement when its request is
//! about to be given up, also if the client has left. A [`Change`](crate::change::Change) sets longer ones for itself. Behind a
//! transaction pooler the session setting reaches other connections of the same role, which are muster's and set the same;
//! a long migration needs a direct connection.
//! A startup parameter would do, too, but PgBouncer rejects it.
//!
//! *The cause of a pool timeout is looked up separately* (`Database::diagnose`): a pool retries silently while
//! PostgreSQL has no connections left, and then reports only the timeout.

mod account;
mod data_dir;
mod embedded;
mod errors;
mod indexes;
mod migrator;
mod programs;
mod requirements;
mod roles;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

pub use embedded::{EmbeddedError, EmbeddedPostgres};
pub use errors::{ErrorClass, UnavailableReason, is_unique_violation};
pub use indexes::ensure_indexes;
pub(crate) use indexes::{index_names, plain_index_names};
pub(crate) use migrator::{ENCODING_ADVICE, ENCODING_MEANING};
pub use migrator::{MigrateError, Schema, is_current, migrate, schema};
pub use programs::{Programs, ProgramsNotFound};
pub use requirements::check_encoding;
pub use roles::{APP, GrantError, grant, grant_to};

use crate::config;
use crate::error::Error;

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of [`Database::diagnose`]: a small part of the time in which a request gets its 503.
const DIAGNOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a diagnosis is reused.
const DIAGNOSIS_LIFETIME: Duration = Duration::from_secs(1);

/// How long the instance reports not ready after the server reported that it is out of a resource. During this time a load
/// balancer sends no requests, which would show whether the server has recovered.
const EXHAUSTED_FOR: Duration = Duration::from_secs(4);

/// How long an idle connection is used without a ping.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// The shortest time between two renewals of all connections because of a read-only server.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the server, as known from errors.
#[derive(Debug, Default)]
struct Health {
    /// The last time a connection broke: others may be broken, too.
    suspect_since: Option<Instant>,
    /// The last time a write was rejected as read-only. Older connections may stay read-only after the server has become
    /// writable, or may lead to a former primary.
    read_only_since: Option<Instant>,
    /// The last time the server was out of a resource.
    exhausted: Option<(Instant, UnavailableReason)>,
}

impl Health {
    /// Whether a connection that was idle for this long is used without a ping.
    fn is_trusted(&self, idle_for: Duration) -> bool {
        idle_for <= TRUSTED_IDLE && self.suspect_since.is_none_or(|since| since.elapsed() > idle_for)
    }

    /// Whether a connection of this age was opened after the last rejected write.
    fn takes_writes(&self, age: Duration) -> bool {
        self.read_only_since.is_none_or(|since| since.elapsed() > age)
    }

    fn note(&mut self, reason: UnavailableReason) {
        let now = Instant::now();
        if reason.is_exhaustion() {
            self.exhausted = Some((now, reason));
        }
        let is_due = self.read_only_since.is_none_or(|since| since.elapsed() > RENEWAL_INTERVAL);
        if reason == UnavailableReason::ReadOnly && is_due {
            self.read_only_since = Some(now);
        }
    }
}

fn lock(health: &Mutex<Health>) -> MutexGuard<'_, Health> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a diagnosis was made, and the reason that PostgreSQL gave.
type Diagnosis = (Instant, Option<UnavailableReason>);

/// The connections for authentication and readiness.
pub const RESERVED: u32 = 4;

/// The database: three connection pools, so that requests that wait for a connection don't block those of another kind.
#[derive(Clone, Debug)]
pub struct Database {
    /// Connections of authentication, of invitation links, and of readiness.
    pub reserved: PgPool,
    /// Connections of requests other than batches.
    pub interactive: PgPool,
    /// Connections of batches.
    pub batch: PgPool,
    /// The options of the role that owns the tables, if that is another one.
    owner: Option<PgConnectOptions>,
    /// The last diagnosis; locked while one is made, so that requests share it.
    diagnosis: Arc<tokio::sync::Mutex<Option<Diagnosis>>>,
    health: Arc<Mutex<Health>>,
}

/// The connections of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The pool's name: `reserved`, `interactive` or `batch`.
    pub(crate) pool: &'static str,
    /// Open connections that are idle.
    pub(crate) idle: u32,
    /// Open connections that are in use.
    pub(crate) in_use: u32,
    /// The largest number of connections the pool opens.
    pub(crate) max: u32,
}

impl Usage {
    fn of(name: &'static str, pool: &PgPool) -> Self {
        let (open, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
        // The two numbers are read one after the other, so they may not match.
        let (idle, in_use) = (idle.min(open), open.saturating_sub(idle));
        Self { pool: name, idle, in_use, max: pool.options().get_max_connections() }
    }
}

/// The address of a database for messages: host and port, or the socket as psql names it.
fn address(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    let socket = |directory: &Path| format!("the socket {}", directory.join(format!(".s.PGSQL.{port}")).display());
    match options.get_socket() {
        Some(directory) => socket(directory),
        None if host.starts_with('/') => socket(Path::new(host)),
        None => format!("{host}:{port}"),
    }
}

/// The name and address of a database, for messages.
pub(crate) fn name_and_address(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or("(the user's own)");
    format!("{name} at {}", address(options))
}

async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connection) => connection,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

impl Database {
    /// Creates the pools. Connections are opened on demand.
    #[must_use]
    pub fn new(options: PgConnectOptions, config: &config::Database) -> Self {
        let options = options
            .application_name("muster")
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(2))
            .log_statements(tracing::log::LevelFilter::Trace);
        let health = Arc::<Mutex<Health>>::default();
        let acquire_timeout = config.acquire_timeout;
        let pool = |connections| {
            let health = Arc::clone(&health);
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(acquire_timeout)
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    let limits = format!(
                        "set statement_timeout = {}; set idle_in_transaction_session_timeout = '10s'",
                        acquire_timeout.as_millis()
                    );
                    Box::pin(async move { connection.execute(AssertSqlSafe(limits)).await.map(|_| ()) })
                })
                .before_acquire(move |connection, state| {
                    let (takes_writes, is_trusted) = {
                        let health = lock(&health);
                        (health.takes_writes(state.age), health.is_trusted(state.idle_for))
                    };
                    Box::pin(async move {
                        if takes_writes && !is_trusted {
                            connection.ping().await?;
                        }
                        Ok(takes_writes)
                    })
                })
                .after_release(|connection, _| {
                    // A long list leaves buffers of tens of MiB.
                    connection.shrink_buffers();
                    Box::pin(async { Ok(true) })
                })
                .connect_lazy_with(options.clone())
        };
        let (interactive, batch) = (pool(config.connections), pool(config.batch_connections));
        Self { reserved: pool(RESERVED), interactive, batch, owner: None, diagnosis: Arc::default(), health }
    }

    /// The connections of each pool.
    pub(crate) fn usage(&self) -> [Usage; 3] {
        [
            Usage::of("reserved", &self.reserved),
            Usage::of("interactive", &self.interactive),
            Usage::of("batch", &self.batch),
        ]
    }

    /// The same database, whose tables another role owns, which applies the migrations.
    #[must_use]
    pub fn with_owner(self, owner: PgConnectOptions) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// The name of the role that requests are served with, if another one owns the tables.
    pub(crate) fn app_role(&self) -> Option<String> {
        self.owner.as_ref().map(|_| self.interactive.connect_options().get_username().to_owned())
    }

    /// Merges the pending list of the search index, see [`indexes`].
    pub(crate) async fn merge_search_index(&self) {
        indexes::merge_pending(self.connect_as_owner().await).await;
    }

    /// Opens a connection outside the pools, as the owner of the tables.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn connect_as_owner(&self) -> sqlx::Result<PgConnection> {
        match &self.owner {
            Some(owner) => connect(owner).await,
            None => self.connect().await,
        }
    }

    /// Opens a connection outside the pools, for work that holds a session lock.
    ///
    /// # Errors
    /// When the database can't be reached within ten seconds.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        connect(&self.interactive.connect_options()).await
    }

    /// Opens a connection outside the pools to learn why they give none. At most once a second, for 0.3 s at most.
    pub(crate) async fn diagnose(&self) -> Option<UnavailableReason> {
        let mut diagnosis = self.diagnosis.lock().await;
        if let Some((at, reason)) = *diagnosis
            && at.elapsed() < DIAGNOSIS_LIFETIME
        {
            return reason;
        }
        let options = self.interactive.connect_options();
        let opened = tokio::time::timeout(DIAGNOSE_TIMEOUT, async { options.connect().await?.close().await }).await;
        let reason = opened.ok().and_then(Result::err).and_then(|error| {
            tracing::warn!(%error, "the database accepts no connections");
            UnavailableReason::of(&error)
        });
        if let Some(reason) = reason {
            lock(&self.health).note(reason);
        }
        *diagnosis = Some((Instant::now(), reason));
        reason
    }

    /// Updates the known state of the server from the error of an operation. Called at the end of an operation, before a
    /// retry.
    pub fn observe(&self, error: &Error) {
        if error.class().is_some_and(ErrorClass::is_unknown_after_commit) {
            self.mark_suspect();
        }
        if let Some(reason) = error.unavailable_reason() {
            lock(&self.health).note(reason);
        }
    }

    /// Makes all connections be pinged before their next use, because one has broken.
    pub(crate) fn mark_suspect(&self) {
        lock(&self.health).suspect_since = Some(Instant::now());
    }

    /// The resource that the server reported as exhausted in the last few seconds.
    pub(crate) fn exhaustion(&self) -> Option<UnavailableReason> {
        let exhausted = lock(&self.health).exhausted;
        exhausted.filter(|(at, _)| at.elapsed() < EXHAUSTED_FOR).map(|(_, reason)| reason)
    }

    /// The address, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        address(&self.interactive.connect_options())
    }

    /// What to do about an error that the settings of the database cause.
    #[must_use]
    pub fn advice(&self, error: &sqlx::Error) -> Option<String> {
        requirements::advice(error, &self.interactive.connect_options())
    }

    /// The name and address, for messages.
    #[must_use]
    pub fn name_and_address(&self) -> String {
        name_and_address(&self.interactive.connect_options())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.reserved.close().await;
        self.interactive.close().await;
        self.batch.close().await;
    }
}
