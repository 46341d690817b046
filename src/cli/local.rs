//! Direct access to the database, as the local operator.

use std::path::Path;
use std::sync::Arc;

use sqlx::Connection;

use super::Exit;
use super::args::Operator;
use crate::app::App;
use crate::caller::Caller;
use crate::change;
use crate::clock::Clock;
use crate::collaborators::{self, CollaboratorFilter};
use crate::config::{Config, environment};
use crate::fingerprint;
use crate::id::{Id, User};
use crate::keys::NewKey;
use crate::organizations;
use crate::page::PageRequest;
use crate::postgres::{self, Database, EmbeddedPostgres, GrantError, MigrateError};
use crate::seal;
use crate::secret;
use crate::setup::{self, PrepareError};

/// The application and its database, which may be the embedded one.
pub(super) struct Local {
    pub(super) app: Arc<App>,
    pub(super) cluster: Option<Arc<EmbeddedPostgres>>,
}

impl Local {
    /// Opens the configured database, else the embedded one. `create` creates the embedded one if it does not exist. `url` is that
    /// of the server that this process is.
    pub(super) async fn open(mut config: Config, create: bool, url: Option<&str>) -> Result<Self, Exit> {
        let (options, owner, cluster) = match config.database_options().map_err(Exit::usage)? {
            Some(options) => (options, None, None),
            None => {
                let path = environment("PATH").unwrap_or_default();
                // First, so that no data directory is asked for or created where PostgreSQL is not installed.
                if create {
                    EmbeddedPostgres::find_programs(&path).map_err(Exit::usage)?;
                }
                let data_dir = config.data_dir().map_err(Exit::usage)?;
                if !create && !EmbeddedPostgres::may_exist(&data_dir) {
                    return Err(Exit::Usage(format!(
                        "no embedded database in {}; run `muster serve` to create it, or select a database with `--data-dir` \
                         or `--database-url`",
                        data_dir.display()
                    )));
                }
                let cluster = EmbeddedPostgres::open(&data_dir, &path, &[]).await.map_err(Exit::usage)?;
                if config.server_keys().map_err(Exit::usage)?.is_none() {
                    config.secrets.server_key_file = key_file(cluster.data_dir(), fingerprint::FILE_NAME)?;
                }
                if config.seal_keys().map_err(Exit::usage)?.is_empty() {
                    config.secrets.seal_key_file = key_file(cluster.data_dir(), seal::FILE_NAME)?;
                }
                config.server.listening_url = match url {
                    Some(url) => cluster.publish_server_url(url).map_err(Exit::usage)?,
                    None => cluster.server_url().unwrap_or_default(),
                };
                (cluster.app_options(), Some(cluster.owner_options()), Some(Arc::new(cluster)))
            }
        };
        let db = Database::new(options, &config.database);
        let db = match owner {
            Some(owner) => db.with_owner(owner),
            None => db,
        };
        let app = App::new(config, db, Clock::default()).map_err(Exit::usage)?;
        Ok(Self { app: Arc::new(app), cluster })
    }

    /// Migrates the database and, if there is no organization, creates the first one with its owner key.
    pub(super) async fn prepare(&self) -> Result<Option<NewKey>, Exit> {
        setup::prepare(&self.app).await.map_err(|error| match error {
            PrepareError::Migrate(error) => self.unusable(error),
            PrepareError::Create(error) => Exit::usage(error),
        })
    }

    /// Grants a role what serving needs, in a database that is up to date.
    pub(super) async fn grant(&self, role: &str) -> Result<(), Exit> {
        let granted = async {
            let mut connection = self.app.db.connect_as_owner().await?;
            postgres::grant_to(&mut connection, role).await?;
            Ok(connection.close().await?)
        };
        granted.await.map_err(|error: GrantError| {
            let why = match error {
                GrantError::Database(error) => reason(&error),
                GrantError::Impossible(why) => why,
            };
            Exit::Usage(format!("the database is up to date, but the privileges were not granted: {why}"))
        })
    }

    /// Fails if the database can't be reached or its schema is outdated.
    async fn check(&self) -> Result<(), Exit> {
        let mut connection =
            self.app.db.connect().await.map_err(|error| self.unusable(MigrateError::Database(error)))?;
        postgres::check_encoding(&mut connection).await.map_err(|error| self.unusable(error))?;
        let is_current = postgres::is_current(&mut connection).await.map_err(|error| self.unusable(error))?;
        let clock = change::read_clock(&mut connection, &self.app.clock).await;
        clock.map_err(|error| self.unusable(MigrateError::Database(error)))?;
        let _ = connection.close().await;
        if !is_current {
            return Err(Exit::usage("the database schema is outdated; run `muster migrate`"));
        }
        Ok(())
    }

    fn unusable(&self, error: MigrateError) -> Exit {
        match error {
            MigrateError::Database(error) => {
                let why = reason(&error);
                let advice = self.app.db.advice(&error).map_or_else(String::new, |advice| format!("; {advice}"));
                Exit::Usage(format!("can't use the database at {}: {why}{advice}", self.app.db.address()))
            }
            other => Exit::usage(other),
        }
    }

    /// Closes all connections, and stops the embedded database unless another process uses it.
    pub(super) async fn close(self) {
        self.app.db.close().await;
        self.close_cluster().await;
    }

    /// Stops the embedded database unless another process uses it.
    pub(super) async fn close_cluster(&self) {
        if let Some(cluster) = &self.cluster
            && let Err(error) = cluster.close().await
        {
            super::say(&format!("warning: {error}"));
        }
    }
}

/// The message of a database error. sqlx's own text includes the source line in PostgreSQL, which is of no use here.
fn reason(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// The file with a key of an embedded database, created if missing.
fn key_file(data_dir: &Path, name: &str) -> Result<String, Exit> {
    secret::create_key_file(data_dir, name)
        .map_err(|error| Exit::Usage(format!("can't write to {}: {error}", data_dir.display())))?;
    Ok(data_dir.join(name).to_string_lossy().into_owned())
}

/// Finds a user by ID or e-mail address.
pub(super) async fn user_of(app: &App, caller: &Caller, text: &str) -> Result<Id<User>, Exit> {
    if let Ok(user_id) = text.parse() {
        return Ok(user_id);
    }
    let filter = CollaboratorFilter { email: Some(text.to_owned()), ..CollaboratorFilter::default() };
    let found = collaborators::list(app, caller, &filter, &PageRequest { count: 1, after: None }).await?;
    let found = found.rows.first().map(|user| user.user_id);
    found.ok_or_else(|| Exit::rejected("no such user"))
}

/// Opens the database, runs an operation of the local operator in one organization, and closes the database.
pub(super) async fn with_operator<T>(
    operator: Operator,
    operation: impl AsyncFnOnce(&App, &Caller) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let Operator { config, organization } = operator;
    with_database(config, async |app| {
        // A missing or ambiguous organization is a usage error.
        let caller = organizations::operator_in(app, organization.as_deref()).await.map_err(Exit::usage)?;
        operation(app, &caller).await
    })
    .await
}

/// Opens the database, runs an operation of the local operator, and closes the database.
pub(super) async fn with_database<T>(
    config: Config,
    operation: impl AsyncFnOnce(&App) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let local = Local::open(config, false, None).await?;
    let result = match local.check().await {
        Ok(()) => operation(&local.app).await,
        Err(exit) => Err(exit),
    };
    local.close().await;
    result
}
