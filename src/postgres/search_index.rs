//! The index that finds pieces of names and addresses, where PostgreSQL can have it.
//!
//! It needs the extension `pg_trgm`, which comes with PostgreSQL and is not installed everywhere, and which not every
//! role may create. So it is no migration: muster looks at every start whether it is there, makes it if it can,
//! and searches without it if it can't: slower, with the same results.
//!
//! # Decisions
//!
//! *New users wait outside the index until their batch is committed.* Such an index (GIN) keeps what is new in a list
//! of its own, which searches read, too, and sorts it in when the list is full: by default at 4 MiB, 6,000
//! users, within the transaction that fills it. With 64 MiB a batch of 10,000 into a table of 1,000,000 takes 1.14
//! times what it takes into an empty one, not 1.48; sorting in (0.1 s for as many) comes after the answer ([`sort`]).

use sqlx::{PgConnection, PgPool};

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

/// Sorts into the index what is new, in a transaction of its own. Without the index there is nothing to do; PostgreSQL
/// itself does it from time to time, too.
pub(super) async fn sort(pool: &PgPool) {
    let sorted = sqlx::query("select gin_clean_pending_list(to_regclass('users_search_text'))").execute(pool).await;
    if let Err(error) = sorted {
        tracing::debug!(%error, "new users were not sorted into the search index");
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
    sqlx::query(
        "create index concurrently users_search_text on users using gin (search_text gin_trgm_ops) \
         with (gin_pending_list_limit = 65536)",
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
