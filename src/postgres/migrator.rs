//! Brings a database's schema up to date.
//!
//! Instances that start together on one database agree by an advisory lock on who
//! migrates; the others wait and find it done.
//!
//! # Decisions
//!
//! sqlx's own lock blocks inside PostgreSQL. A statement that waits there holds back
//! `CREATE INDEX CONCURRENTLY`, so a waiting instance could stop the very migration that
//! it waits for. muster tries, sleeps and tries again.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{Migrate, Migration, Migrator};
use sqlx::{Connection, PgConnection};

/// The migrations that this binary knows.
static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_locking(false);
    migrator
});

/// Where sqlx keeps the list of applied migrations.
const TABLE: &str = "_sqlx_migrations";

/// The advisory lock: the bytes of `muster` as a number, so that nobody else's is the same.
const LOCK: i64 = 0x6d75_7374_6572;

/// How long to wait for another instance that is migrating.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a database can't be used.
#[derive(Debug)]
pub enum MigrateError {
    /// It was migrated by a newer muster.
    Newer {
        /// The first migration that this binary doesn't know.
        version: i64,
    },
    /// A migration is noted as begun and not finished.
    Dirty {
        /// Which.
        version: i64,
    },
    /// An applied migration differs from the one in this binary.
    Changed {
        /// Which.
        version: i64,
    },
    /// Another instance has been migrating for too long.
    Locked,
    /// A migration failed.
    Failed(sqlx::migrate::MigrateError),
    /// The database did not answer.
    Database(sqlx::Error),
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { version } => write!(
                f,
                "the database was migrated by a newer muster (it has migration {version}, which muster {} \
                 doesn't know): start that version, or restore the backup made before the upgrade",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Dirty { version } => write!(
                f,
                "migration {version} is half done in this database (`success` is false in {TABLE}): restore the backup \
                 made before the upgrade; muster's own migrations are done wholly or not at all, so find out what did this"
            ),
            Self::Changed { version } => write!(
                f,
                "migration {version} was applied to this database in another form than muster {} has it (its checksum in \
                 {TABLE} differs): start the muster that migrated it, or restore the backup made before",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Locked => write!(
                f,
                "another instance has been migrating the database for over {} s: wait for it, or look for \
                 what blocks it in pg_stat_activity",
                PATIENCE.as_secs()
            ),
            Self::Failed(error) => write!(f, "the database can't be migrated: {error}"),
            Self::Database(error) => write!(f, "the database can't be used: {error}"),
        }
    }
}

impl std::error::Error for MigrateError {}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
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

/// How far the database's schema is, as this binary sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There is none: muster was never here.
    Empty,
    /// So many migrations are lacking.
    Lacks(usize),
    /// It has exactly the migrations that this binary knows.
    Current,
}

/// Whether the database has exactly the migrations that this binary knows.
///
/// # Errors
/// When the database doesn't answer, was migrated by a newer muster, or in another way than by this one.
pub async fn is_current(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    Ok(schema(connection).await? == Schema::Current)
}

/// How far the database is.
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
        lacking => Ok(Schema::Lacks(lacking)),
    }
}

/// Migrates the database and runs `then` under the same lock: what has to happen once in the life of a database, such as
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
    let mut pause = Duration::from_millis(50);
    loop {
        if try_lock(connection).await? {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(MigrateError::Locked);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
        connection.ping().await?;
    }
}

/// Takes the lock of those who change the schema, unless another instance has it.
pub(super) async fn try_lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(connection).await
}

/// Lets it go. Should this fail, it goes with the connection.
pub(super) async fn unlock(connection: &mut PgConnection) {
    let unlocked = sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(connection).await;
    if let Err(error) = unlocked {
        tracing::warn!(%error, "the migration lock could not be released");
    }
}
