//! The index that finds pieces of names and addresses, where PostgreSQL can have it.
//!
//! It needs the extension `pg_trgm`, which comes with PostgreSQL and is not installed everywhere, and which not every
//! role may create. So it is no migration: muster looks at every start whether it is there, makes it if it can,
//! and searches without it if it can't: slower, with the same results.

use sqlx::PgConnection;

use super::migrator;

/// Makes the index unless it is there. What fails is logged, and tried again at the next start.
pub async fn ensure_search_index(connection: &mut PgConnection) {
    match ensure(connection).await {
        Ok(()) => {}
        Err(error) => {
            let why = error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
            tracing::info!(%why, "searches go without an index, which needs the extension pg_trgm: slower, not otherwise");
        }
    }
}

async fn ensure(connection: &mut PgConnection) -> sqlx::Result<()> {
    let is_valid: Option<bool> =
        sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass('users_search_text')")
            .fetch_optional(&mut *connection)
            .await?;
    if is_valid == Some(true) || !migrator::try_lock(connection).await? {
        // There, or another instance is at it.
        return Ok(());
    }
    let made = make(connection).await;
    migrator::unlock(connection).await;
    made
}

async fn make(connection: &mut PgConnection) -> sqlx::Result<()> {
    // Building waits for transactions that are older, and does not keep others from writing.
    sqlx::query("set lock_timeout = '10s'").execute(&mut *connection).await?;
    sqlx::query("create extension if not exists pg_trgm").execute(&mut *connection).await?;
    // One that was not finished.
    sqlx::query("drop index concurrently if exists users_search_text").execute(&mut *connection).await?;
    sqlx::query("create index concurrently users_search_text on users using gin (search_text gin_trgm_ops)")
        .execute(&mut *connection)
        .await?;
    Ok(())
}
