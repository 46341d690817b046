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
//! *Each thread that serves requests has connections of its own.* A connection is woken on the thread that opened
//! it. Handed to a request on another thread, each answer of PostgreSQL would wake both: 10,900 users a second
//! by id from 16 clients on two cores, and 14,000 with connections of their own (medians of 5). The price: a thread
//! all of whose connections are busy can't borrow those of another.
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

/// How many connections make it worth while for a thread to have its own.
const OWN: u32 = 2;

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
    /// Those of the threads that have their own.
    of_threads: Arc<Mutex<Vec<Database>>>,
    /// What was found out when it gave no connection, the latest time.
    looked: Arc<tokio::sync::Mutex<Option<Looked>>>,
    /// What it lacked, the latest time that it said so.
    exhausted: Arc<Mutex<Option<(Instant, UnavailableReason)>>>,
}

/// When it was asked why it gives no connection, and what it said.
type Looked = (Instant, Option<UnavailableReason>);

/// How many connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// For what: `interactive`, `batch`; and `house`, apart from the threads that serve requests.
    pub(crate) pool: &'static str,
    /// Open, and used by nobody.
    pub(crate) idle: u32,
    /// Open, and used.
    pub(crate) in_use: u32,
    /// How many there may be.
    pub(crate) max: u32,
}

impl Usage {
    fn of<'a>(pool: &'static str, pools: impl IntoIterator<Item = &'a PgPool>) -> Self {
        let mut sum = Self { pool, idle: 0, in_use: 0, max: 0 };
        for pool in pools {
            let (open, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
            let max = pool.options().get_max_connections();
            // Both numbers are of a moment, and not of the same one.
            sum.add(&Self { idle: idle.min(open), in_use: open.saturating_sub(idle), max, ..sum });
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.idle = self.idle.saturating_add(other.idle);
        self.in_use = self.in_use.saturating_add(other.in_use);
        self.max = self.max.saturating_add(other.max);
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

/// Whether two handles are of one pool: then they share its options.
fn is_same(one: &PgPool, other: &PgPool) -> bool {
    Arc::ptr_eq(&one.connect_options(), &other.connect_options())
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
        Self { interactive, batch, of_threads: Arc::default(), looked: Arc::default(), exhausted: Arc::default() }
    }

    /// The same database for one of `threads` threads that share out the connections; of which there are too few to
    /// share out, all use the same.
    pub(crate) fn for_one_of(&self, threads: usize) -> Self {
        let share = |common: &PgPool| {
            let connections = common.options().get_max_connections();
            let share = u32::try_from(threads).ok().and_then(|threads| connections.checked_div(threads));
            let Some(share @ OWN..) = share else { return common.clone() };
            let options = common.options().clone().max_connections(share);
            options.connect_lazy_with(common.connect_options().as_ref().clone())
        };
        let (interactive, batch) = (share(&self.interactive), share(&self.batch));
        let own = Self { of_threads: Arc::default(), interactive, batch, ..self.clone() };
        self.of_threads.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
        Self { of_threads: Arc::clone(&self.of_threads), ..own }
    }

    /// All that connections are taken from: for all threads, and then for each that has its own.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        let of_threads = self.of_threads.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(self).chain(of_threads.iter()).cloned().collect()
    }

    /// How many connections there are, in which pool: those of all threads together.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let parts = self.parts();
        let usage = |name, pool: fn(&Self) -> &PgPool| {
            let is_own = |part: &&Self| !is_same(pool(part), pool(self));
            let own: Vec<&PgPool> = parts.iter().filter(is_own).map(pool).collect();
            let common = Usage::of(if own.is_empty() { name } else { "house" }, [pool(self)]);
            let own = (!own.is_empty()).then(|| Usage::of(name, own));
            (own, common)
        };
        let (interactive, common) = usage("interactive", |part| &part.interactive);
        let (batch, common_batch) = usage("batch", |part| &part.batch);
        let mut all: Vec<Usage> = interactive.into_iter().chain(batch).collect();
        // Those that look after the house are one pool to whoever looks at it.
        for usage in [common, common_batch] {
            match all.iter_mut().find(|other| other.pool == usage.pool) {
                Some(other) => other.add(&usage),
                None => all.push(usage),
            }
        }
        all
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
        for part in self.parts() {
            part.interactive.close().await;
            part.batch.close().await;
        }
    }
}
