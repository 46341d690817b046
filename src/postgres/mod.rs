//! PostgreSQL: the connection pools, the migrator, a private cluster for those who have
//! none, and what its errors mean.
//!
//! # Decisions
//!
//! *A connection is asked whether it lives only if there is reason to doubt it*: it had nothing to do for a
//! second, or another one has broken since it was last used. sqlx would ask before each use, which costs
//! every statement outside a transaction another journey to PostgreSQL. The first statement after
//! PostgreSQL went away fails, as one under way would; those after it get connections that live.
//!
//! *16 connections for batches*: those that commit at the same time share one write to the disk. 16 clients
//! that create users one by one, on two cores: 1086, 1362, 1467 and 1573 requests a second with 4, 8, 12
//! and 16 connections (medians of 3).
//!
//! *Why there is no connection is found out by whoever got none*: a pool asks again without a word while PostgreSQL has
//! none left, and then says only that it took too long (`Database::trouble`).

mod cluster;
mod data_dir;
mod error_class;
mod migrator;
mod programs;
mod search_index;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

pub use cluster::{Cluster, ClusterError};
pub use error_class::{ErrorClass, UnavailableReason, is_foreign_key_violation, is_unique_violation};
pub use migrator::{MigrateError, Schema, is_current, migrate, schema};
pub use programs::{Programs, ProgramsNotFound};
pub use search_index::ensure_search_index;

use crate::config;

/// How long a single connection may take to open.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long it may take to find out why there is no connection: within what [`crate::http`] promises for a 503.
const LOOK_TIME: Duration = Duration::from_millis(300);

/// How long what was found out is taken to be so.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a database that lacked something is taken to lack it: requests that would find out go to nobody meanwhile.
const EXHAUSTED_FOR: Duration = Duration::from_secs(4);

/// How long a connection is trusted to live without having been used.
const TRUSTED: Duration = Duration::from_secs(1);

/// When a statement last met a broken connection.
static LATEST_BREAK: Mutex<Option<Instant>> = Mutex::new(None);

/// Notes that a connection broke: the others may have, too.
pub(crate) fn note_break() {
    *LATEST_BREAK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// When a write was last refused because the database takes none.
static LATEST_READ_ONLY: Mutex<Option<Instant>> = Mutex::new(None);

/// How often all connections may be renewed for that.
const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// Notes that the database took no write: a connection that is open already may go on taking none when the database
/// does again, or when another one has become the primary.
pub(crate) fn note_read_only() {
    let mut latest = LATEST_READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.is_none_or(|time| time.elapsed() > RENEWED_EVERY) {
        *latest = Some(Instant::now());
    }
}

/// Whether a connection of this age was opened since.
fn takes_writes(age: Duration) -> bool {
    let latest = *LATEST_READ_ONLY.lock().unwrap_or_else(PoisonError::into_inner);
    latest.is_none_or(|time| time.elapsed() > age)
}

/// Whether a connection that was not used for so long can be taken to live.
fn is_trusted(idle_for: Duration) -> bool {
    let latest_break = *LATEST_BREAK.lock().unwrap_or_else(PoisonError::into_inner);
    idle_for <= TRUSTED && latest_break.is_none_or(|time| time.elapsed() > idle_for)
}

/// The way to the database.
///
/// Pools apart, so that batches waiting for connections leave all other requests theirs.
#[derive(Clone, Debug)]
pub struct Database {
    /// For requests that people wait for.
    pub interactive: PgPool,
    /// For batches.
    pub batch: PgPool,
    /// What was found out when it gave no connection, the latest time.
    looked: Arc<tokio::sync::Mutex<Option<Looked>>>,
    /// What it lacked, the latest time that it said so.
    exhausted: Arc<Mutex<Option<(Instant, UnavailableReason)>>>,
}

/// When it was asked why it gives no connection, and what it said.
type Looked = (Instant, Option<UnavailableReason>);

/// The connections of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The pool's name: `interactive` or `batch`.
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

/// Where a database is, for people: host and port, or its socket, as psql names it.
fn address(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    let socket = |folder: &Path| format!("the socket {}", folder.join(format!(".s.PGSQL.{port}")).display());
    match options.get_socket() {
        Some(folder) => socket(folder),
        None if host.starts_with('/') => socket(Path::new(host)),
        None => format!("{host}:{port}"),
    }
}

/// Which database it is and where, for people.
pub(crate) fn name_and_address(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or("(the user's own)");
    format!("{name} at {}", address(options))
}

impl Database {
    /// Prepares the pools. Nothing is connected yet.
    #[must_use]
    pub fn new(options: PgConnectOptions, config: &config::Database) -> Self {
        let options = options
            .application_name("muster")
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(2))
            .log_statements(tracing::log::LevelFilter::Trace);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(config.acquire_timeout_seconds))
                .test_before_acquire(false)
                .before_acquire(|connection, state| {
                    Box::pin(async move {
                        if !takes_writes(state.age) {
                            return Ok(false);
                        }
                        if !is_trusted(state.idle_for) {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .after_release(|connection, _| {
                    // A long list leaves tens of MiB of them behind.
                    connection.shrink_buffers();
                    Box::pin(async { Ok(true) })
                })
                .connect_lazy_with(options.clone())
        };
        let (interactive, batch) = (pool(config.connections), pool(config.batch_connections));
        Self { interactive, batch, looked: Arc::default(), exhausted: Arc::default() }
    }

    /// The connections of each pool.
    pub(crate) fn usage(&self) -> [Usage; 2] {
        [Usage::of("interactive", &self.interactive), Usage::of("batch", &self.batch)]
    }

    /// Sorts new users into the search index.
    pub(crate) async fn sort_search_index(&self) {
        search_index::sort(&self.batch).await;
    }

    /// A connection outside the pools, for what holds a lock while others work.
    ///
    /// # Errors
    /// When the database can't be reached within ten seconds.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        let options = self.interactive.connect_options();
        match tokio::time::timeout(CONNECT_TIME, options.connect()).await {
            Ok(connection) => connection,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Why it gives no connection, as far as it says so itself: asked for with a connection outside the pools, once a
    /// second at most, and for a third of a second at most.
    pub(crate) async fn trouble(&self) -> Option<UnavailableReason> {
        let mut looked = self.looked.lock().await;
        if let Some((at, trouble)) = *looked
            && at.elapsed() < LOOK_AGAIN
        {
            return trouble;
        }
        let options = self.interactive.connect_options();
        let asked = tokio::time::timeout(LOOK_TIME, async { options.connect().await?.close().await }).await;
        let trouble = asked.ok().and_then(Result::err).and_then(|error| {
            tracing::warn!(%error, "the database gives no connection");
            UnavailableReason::of(&error)
        });
        *looked = Some((Instant::now(), trouble));
        trouble
    }

    /// Notes what it says is wrong with it.
    pub(crate) fn note(&self, trouble: UnavailableReason) {
        if trouble.is_exhaustion() {
            *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trouble));
        }
    }

    /// What it lacks, as it said in the last seconds.
    pub(crate) fn exhaustion(&self) -> Option<UnavailableReason> {
        let exhausted = *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        exhausted.filter(|(at, _)| at.elapsed() < EXHAUSTED_FOR).map(|(_, trouble)| trouble)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn address(&self) -> String {
        address(&self.interactive.connect_options())
    }

    /// Which it is and where, for people.
    #[must_use]
    pub fn name_and_address(&self) -> String {
        name_and_address(&self.interactive.connect_options())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.interactive.close().await;
        self.batch.close().await;
    }
}
