//! PostgreSQL: the connection pools, the migrator, a private cluster for those who have
//! none, and what its errors mean.

mod cluster;
mod fault;
mod migrator;
mod programs;

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use cluster::{Cluster, ClusterError};
pub use fault::Fault;
pub use migrator::{MigrateError, is_current, migrate};
pub use programs::{Programs, ProgramsNotFound};

use crate::config;

/// The way to the database.
///
/// Two pools, so that batches waiting for connections leave all other requests theirs.
#[derive(Clone, Debug)]
pub struct Database {
    /// For requests that people wait for.
    pub interactive: PgPool,
    /// For batches.
    pub batch: PgPool,
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
                .connect_lazy_with(options.clone())
        };
        Self { interactive: pool(config.connections), batch: pool(config.batch_connections) }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.interactive.close().await;
        self.batch.close().await;
    }
}
