//! Working on the database itself, as the local operator.

use std::path::Path;
use std::sync::Arc;

use sqlx::Connection;

use super::{Exit, Operator};
use crate::app::App;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::collaborators::{self, CollaboratorFilter};
use crate::config::{Config, environment};
use crate::fingerprint;
use crate::id::{Id, User};
use crate::keys::NewKey;
use crate::organizations;
use crate::page::PageRequest;
use crate::postgres::{self, Cluster, Database, MigrateError};
use crate::setup::{self, PrepareError};

/// The program with its database, which may be the private one.
pub(super) struct Local {
    pub(super) app: Arc<App>,
    pub(super) cluster: Option<Arc<Cluster>>,
}

impl Local {
    /// Finds the database: the one that is configured, or the private one, which is made if
    /// `make` says so.
    pub(super) async fn open(mut config: Config, make: bool) -> Result<Self, Exit> {
        let (options, cluster) = match config.database_options().map_err(Exit::usage)? {
            Some(options) => (options, None),
            None => {
                let data_dir = config.data_dir();
                if !make && !data_dir.join("postgres/PG_VERSION").exists() {
                    return Err(Exit::Usage(format!(
                        "there is no muster database in {}: start one with `muster serve`, or say where it is \
                         with `--data-dir` or `--database-url`",
                        data_dir.display()
                    )));
                }
                let path = environment("PATH").unwrap_or_default();
                let cluster = Cluster::open(&data_dir, &path, &[]).await.map_err(Exit::usage)?;
                if config.fingerprint_keys().map_err(Exit::usage)?.is_none() {
                    config.secrets.fingerprint_key_file = fingerprint_key_file(cluster.data_dir())?;
                }
                (cluster.connect_options(), Some(Arc::new(cluster)))
            }
        };
        let db = Database::new(options, &config.database);
        let app = App::new(config, db, Clock::System).map_err(Exit::usage)?;
        Ok(Self { app: Arc::new(app), cluster })
    }

    /// Migrates the database and makes the first organization, with its key, if there is none.
    pub(super) async fn prepare(&self) -> Result<Option<NewKey>, Exit> {
        setup::prepare(&self.app).await.map_err(|error| match error {
            PrepareError::Migrate(error) => self.unusable(error),
            PrepareError::Create(error) => Exit::usage(error),
        })
    }

    /// Makes sure that the database is ready for the local operator.
    async fn check(&self) -> Result<(), Exit> {
        let mut connection =
            self.app.db.connect().await.map_err(|error| self.unusable(MigrateError::Database(error)))?;
        let is_current = postgres::is_current(&mut connection).await.map_err(|error| self.unusable(error))?;
        let _ = connection.close().await;
        if !is_current {
            return Err(Exit::Usage("the database lacks migrations: run `muster migrate`".to_owned()));
        }
        Ok(())
    }

    fn unusable(&self, error: MigrateError) -> Exit {
        match error {
            MigrateError::Database(error) => {
                // sqlx adds the line of PostgreSQL's source, which tells nobody here anything.
                let why = error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
                Exit::Usage(format!("the database at {} can't be used: {why}", self.app.db.address()))
            }
            other => Exit::usage(other),
        }
    }

    /// Closes all connections, and the private database if nobody else uses it.
    pub(super) async fn close(self) {
        self.app.db.close().await;
        self.close_cluster().await;
    }

    /// Leaves the private database; it ends if nobody else uses it.
    pub(super) async fn close_cluster(&self) {
        if let Some(cluster) = &self.cluster
            && let Err(error) = cluster.close().await
        {
            super::say(&format!("warning: {error}"));
        }
    }
}

/// The private database's key for fingerprints, made with it.
fn fingerprint_key_file(data_dir: &Path) -> Result<String, Exit> {
    fingerprint::make_file(data_dir)
        .map_err(|error| Exit::Usage(format!("{} can't be written: {error}", data_dir.display())))?;
    Ok(data_dir.join(fingerprint::FILE_NAME).to_string_lossy().into_owned())
}

/// The user that is meant: by id, or by address.
pub(super) async fn user_of(app: &App, caller: &Caller, text: &str) -> Result<Id<User>, Exit> {
    if let Ok(user_id) = text.parse() {
        return Ok(user_id);
    }
    let filter = CollaboratorFilter { email: Some(text.to_owned()), ..CollaboratorFilter::default() };
    let found = collaborators::list(app, caller, &filter, &PageRequest { count: 1, after: None }).await?;
    let found = found.rows.first().map(|user| user.user_id);
    found.ok_or_else(|| Exit::Refused(Some("no such user".to_owned())))
}

/// Runs an operation of the local operator's in one organization, and closes everything again.
pub(super) async fn with_operator<T>(
    operator: Operator,
    operation: impl AsyncFnOnce(&App, &Caller) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let Operator { config, organization } = operator;
    with_database(config, async |app| {
        // Which organization is a question of usage: nothing has been asked for yet.
        let caller = organizations::operator_in(app, organization.as_deref()).await.map_err(Exit::usage)?;
        operation(app, &caller).await
    })
    .await
}

/// Runs an operation of the local operator's, and closes everything again.
pub(super) async fn with_database<T>(
    config: Config,
    operation: impl AsyncFnOnce(&App) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let local = Local::open(config, false).await?;
    let result = match local.check().await {
        Ok(()) => operation(&local.app).await,
        Err(exit) => Err(exit),
    };
    local.close().await;
    result
}
