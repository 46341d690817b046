//! Setting up the database: migrations and the first organization.

use sqlx::{Connection, PgConnection};

use crate::app::App;
use crate::change;
use crate::error::Error;
use crate::keys::NewKey;
use crate::organizations;
use crate::postgres::{self, MigrateError};

/// Why a database could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum PrepareError {
    /// The migrations could not be applied.
    Migrate(#[from] MigrateError),
    /// The first organization could not be created.
    Create(#[from] Error),
}

/// Migrates the database and, if it has no organization, creates the first one with an owner and an API key, which is
/// returned. When several instances start at the same time, one does so and the others wait.
///
/// # Errors
/// [`PrepareError`]. The function can be called again after an error.
pub async fn prepare(app: &App) -> Result<Option<NewKey>, PrepareError> {
    let mut connection = app.db.connect_as_owner().await.map_err(MigrateError::from)?;
    change::read_clock(&mut connection, &app.clock).await.map_err(MigrateError::from)?;
    postgres::check_encoding(&mut connection).await?;
    let mut key = None;
    let is_current = postgres::is_current(&mut connection).await?;
    if is_current {
        grant(app, &mut connection).await?;
    }
    if !is_current || organizations::first(app).await?.is_none() {
        let then = async || {
            let mut connection = app.db.connect_as_owner().await.map_err(MigrateError::from)?;
            grant(app, &mut connection).await?;
            let _ = connection.close().await;
            if organizations::first(app).await?.is_none() {
                key = Some(organizations::create_default(app).await?);
            }
            Ok::<_, PrepareError>(())
        };
        postgres::migrate(&mut connection, then).await?;
    }
    postgres::ensure_indexes(&mut connection).await;
    let _ = connection.close().await;
    Ok(key)
}

/// Grants the role that requests are served with its privileges, if another role owns the tables.
async fn grant(app: &App, connection: &mut PgConnection) -> Result<(), MigrateError> {
    match app.db.app_role() {
        Some(role) => Ok(postgres::grant(connection, &role).await?),
        None => Ok(()),
    }
}
