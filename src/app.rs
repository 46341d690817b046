//! The program, put together once: what the server, the CLI and the tests all use.

use std::ops::DerefMut;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

use crate::audit::{self, Refusal};
use crate::caller::{Action, Caller};
use crate::change::{Change, Patience};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprints;
use crate::passwords::{Policy, Pool};
use crate::postgres::Database;

/// Everything that operations need.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// The way to the database.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// What a password has to be.
    pub policy: Policy,
    /// Hashes passwords.
    pub hasher: Pool,
    /// Knows requests, files and plans again.
    pub fingerprints: Fingerprints,
}

impl App {
    /// Puts the program together. Starts the hash threads; connects to nothing yet.
    ///
    /// # Errors
    /// Settings that can't be used, or threads that can't be started.
    pub fn new(config: Config, db: Database, clock: Clock) -> Result<Self, ConfigError> {
        let longest_wait = Duration::from_secs(config.batch.max_wait_seconds);
        let hasher = Pool::start(config.argon2()?, config.passwords.threads, config.passwords.queue, longest_wait)?;
        let fingerprints = Fingerprints::new(&config)?;
        Ok(Self { policy: Policy::new(&config.passwords), hasher, fingerprints, config, db, clock })
    }

    /// Checks that the caller may. If not, that is recorded.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn authorize(&self, caller: &Caller, action: Action) -> Result<()> {
        if caller.may(action) {
            return Ok(());
        }
        self.refused(caller, action, &Refusal::Forbidden).await;
        Err(Error::new(Code::Forbidden, format!("this API key may not do `{action}`: that needs an owner's key")))
    }

    /// Begins a change for a caller who may make it.
    ///
    /// # Errors
    /// `forbidden`, or `unavailable` when the database doesn't answer.
    pub async fn change(&self, caller: &Caller, action: Action) -> Result<Change> {
        self.authorize(caller, action).await?;
        Change::begin(&self.db.interactive, Patience::Usual, caller, self.clock.now()).await
    }

    /// Begins a change that writes a batch: on the connections kept for batches, with more patience,
    /// under a time that is known before, since the answer says it too.
    ///
    /// # Errors
    /// As [`App::change`].
    pub async fn batch_change(&self, caller: &Caller, action: Action, now: DateTime<Utc>) -> Result<Change> {
        self.authorize(caller, action).await?;
        Change::begin(&self.db.batch, Patience::Batch, caller, now).await
    }

    /// A connection to read with, for a caller who may.
    ///
    /// # Errors
    /// As [`App::change`].
    pub async fn read(&self, caller: &Caller, action: Action) -> Result<Reader> {
        self.authorize(caller, action).await?;
        Ok(Reader(self.db.interactive.acquire().await?))
    }

    /// Records that something was refused. The refusal stands even if that fails.
    pub async fn refused(&self, caller: &Caller, action: Action, refusal: &Refusal) {
        let written = async {
            let mut connection = self.db.interactive.acquire().await?;
            audit::write::refuse(&mut connection, caller, self.clock.now(), action, refusal).await
        };
        if let Err(error) = written.await {
            tracing::error!(%action, error = error.chain(), "a refusal could not be recorded");
        }
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
