//! Applies migrations.
//!
//! Instances that start on the same database at the same time use an advisory lock: one migrates, the others wait.
//!
//! # Decisions
//!
//! *The lock is polled.* sqlx's own lock waits inside PostgreSQL. A waiting statement blocks
//! `CREATE INDEX CONCURRENTLY`, so a waiting instance could block the very migration it waits for.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::migrate::{Migrate, Migration, Migrator};

/// The migrations of this version.
static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_locking(false);
    migrator
});

/// The table in which sqlx records applied migrations.
const TABLE: &str = "_sqlx_migrations";

/// The ID of the advisory lock: the bytes of `muster`, so that other programs don't use the same.
const LOCK_ID: i64 = 0x6d75_7374_6572;

/// How long to wait for another instance that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The version of this binary.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an encoding other than UTF8 means.
pub(crate) const ENCODING_MEANING: &str = "names with characters outside this encoding can't be stored";

/// What to do about an encoding other than UTF8.
pub(crate) const ENCODING_ADVICE: &str =
    "create a new database: `create database muster encoding 'UTF8' template template0`";

/// Why a database can't be migrated or used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database has a migration that this version does not have.
    #[error(
        "the database was migrated by a newer version of muster (muster {VERSION} does not have migration {version}); \
         start that version, or restore the backup from before the upgrade"
    )]
    Newer {
        /// The first unknown migration.
        version: i64,
    },
    /// A migration is recorded as incomplete.
    #[error(
        "migration {version} is incomplete (`success` is false in `{TABLE}`); restore the backup from before the \
         upgrade, and find out what changed the table: muster applies a migration completely or not at all"
    )]
    Dirty {
        /// The incomplete migration.
        version: i64,
    },
    /// A migration was applied with a different text than this version has.
    #[error(
        "migration {version} was applied in a different form than muster {VERSION} has (its checksum in `{TABLE}` \
         differs); start the version that applied it, or restore the backup from before the upgrade"
    )]
    Changed {
        /// The migration that differs.
        version: i64,
    },
    /// The database can't store any text.
    #[error(
        "the encoding of the database is {encoding}: {meaning}; {advice}",
        meaning = ENCODING_MEANING,
        advice = ENCODING_ADVICE
    )]
    Encoding {
        /// The encoding, such as `LATIN1`.
        encoding: String,
    },
    /// Another instance holds the migration lock.
    #[error(
        "another instance has been migrating the database for more than {} s; wait for it, or find the blocking \
         session in `pg_stat_activity`",
        LOCK_TIMEOUT.as_secs()
    )]
    Locked,
    /// A migration failed.
    #[error("can't migrate the database: {0}")]
    Failed(sqlx::migrate::MigrateError),
    /// The database can't be reached or rejects statements.
    #[error("can't use the database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<sqlx::migrate::MigrateError> for MigrateError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Self::Newer { version },
            sqlx::migrate::MigrateError::Dirty(version) => Self::Dirty { version },
            sqlx::migrate::MigrateError::VersionMismatch(version) => Self::Changed { version },
            sqlx::migrate::MigrateError::Execute(error) => Self::Database(error),
            other => Self::Failed(other),
        }
    }
}

/// The state of the database schema, compared with the migrations of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// No migration was ever applied.
    Empty,
    /// This many migrations are missing.
    Lacks(usize),
    /// Exactly the migrations of this version are applied.
    Current,
}

/// Whether exactly the migrations of this version are applied.
///
/// # Errors
/// When the database can't be read, or has migrations that this version does not have or has in a different form.
pub async fn is_current(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    Ok(schema(connection).await? == Schema::Current)
}

/// Reads the state of the schema.
///
/// # Errors
/// As [`is_current`].
pub async fn schema(connection: &mut PgConnection) -> Result<Schema, MigrateError> {
    let exists: Option<bool> =
        sqlx::query_scalar("select to_regclass($1) is not null").bind(TABLE).fetch_one(&mut *connection).await?;
    if exists != Some(true) {
        return Ok(Schema::Empty);
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    if let Some(unknown) = applied.iter().find(|one| !MIGRATOR.version_exists(one.version)) {
        return Err(MigrateError::Newer { version: unknown.version });
    }
    if let Some(version) = connection.dirty_version(TABLE).await? {
        return Err(MigrateError::Dirty { version });
    }
    let is_changed =
        |known: &&Migration| applied.iter().any(|one| one.version == known.version && one.checksum != known.checksum);
    if let Some(changed) = MIGRATOR.iter().find(is_changed) {
        return Err(MigrateError::Changed { version: changed.version });
    }
    match MIGRATOR.iter().count().saturating_sub(applied.len()) {
        0 => Ok(Schema::Current),
        missing => Ok(Schema::Lacks(missing)),
    }
}

/// Migrates the database and runs `then` under the same lock, for work that must be done once per database, such as
/// creating the first organization.
///
/// # Errors
/// [`MigrateError`], or the error of `then`. Each migration is applied completely or not at all.
pub async fn migrate<E: From<MigrateError>>(
    connection: &mut PgConnection,
    then: impl AsyncFnOnce() -> Result<(), E>,
) -> Result<(), E> {
    lock(connection).await?;
    let result = match MIGRATOR.run(&mut *connection).await {
        Ok(()) => then().await,
        Err(error) => Err(MigrateError::from(error).into()),
    };
    unlock(connection).await;
    result
}

async fn lock(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let start = tokio::time::Instant::now();
    let mut backoff = Duration::from_millis(50);
    while !try_lock(connection).await? {
        if start.elapsed() > LOCK_TIMEOUT {
            return Err(MigrateError::Locked);
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(Duration::from_secs(2));
    }
    Ok(())
}

/// Takes the advisory lock of schema changes, unless another session holds it.
pub(super) async fn try_lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK_ID).fetch_one(connection).await
}

/// Releases the lock. On failure, PostgreSQL releases it when the connection closes.
pub(super) async fn unlock(connection: &mut PgConnection) {
    let unlocked = sqlx::query("select pg_advisory_unlock($1)").bind(LOCK_ID).execute(connection).await;
    if let Err(error) = unlocked {
        tracing::warn!(%error, "failed to release the migration lock");
    }
}
