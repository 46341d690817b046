//! The trigram index (GIN) of the user search.
//!
//! It needs the extension `pg_trgm`, which is part of PostgreSQL's contrib modules, is not always installed and can't be
//! created by every role. So no migration creates the index: every start creates it if possible. Without it, searches are
//! slower and return the same results.
//!
//! # Decisions
//!
//! *A batch does not sort its users into the index.* A GIN index collects new entries in a pending list, which searches
//! read, too, and merges them when the list is full: by default at 4 MiB (6,000 users), in the transaction that fills it.
//! With 64 MiB, a batch of 10,000 into a table of 1,000,000 users takes 1.14 times as long as into an empty one, not 1.48
//! times. The merge (0.1 s for as many users) runs after the response ([`merge_pending`]).

use sqlx::{PgConnection, PgPool};

use super::migrator;

/// Creates the index unless it exists. A failure is logged, and the next start tries again.
pub async fn ensure_search_index(connection: &mut PgConnection) {
    if let Err(error) = ensure(connection).await {
        let why = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        tracing::info!(%why, "search index unavailable (needs pg_trgm); searches are slower but return the same results");
    }
}

/// Merges the pending list of the index. PostgreSQL also does so automatically, from time to time.
pub(super) async fn merge_pending(pool: &PgPool) {
    let merged = sqlx::query("select gin_clean_pending_list(to_regclass('users_search_text'))").execute(pool).await;
    if let Err(error) = merged {
        tracing::debug!(%error, "failed to merge the pending list of the search index");
    }
}

async fn ensure(connection: &mut PgConnection) -> sqlx::Result<()> {
    let is_valid: Option<bool> =
        sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass('users_search_text')")
            .fetch_optional(&mut *connection)
            .await?;
    if is_valid == Some(true) || !migrator::try_lock(connection).await? {
        // It exists, or another instance is creating it.
        return Ok(());
    }
    let created = create(connection).await;
    migrator::unlock(connection).await;
    created
}

async fn create(connection: &mut PgConnection) -> sqlx::Result<()> {
    // A concurrent build does not block writes; it waits for older transactions.
    sqlx::query("set lock_timeout = '10s'").execute(&mut *connection).await?;
    sqlx::query("create extension if not exists pg_trgm").execute(&mut *connection).await?;
    // An invalid index from an interrupted build.
    sqlx::query("drop index concurrently if exists users_search_text").execute(&mut *connection).await?;
    sqlx::query(
        "create index concurrently users_search_text on users using gin (search_text gin_trgm_ops) \
         with (gin_pending_list_limit = 65536)",
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
