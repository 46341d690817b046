//! Indexes that no migration creates. Every start creates those that are missing.
//!
//! | index | |
//! |---|---|
//! | `users_search_text` | a trigram index (GIN) for the user search. It needs the extension `pg_trgm`, which is part of PostgreSQL's contrib modules, is not always installed and can't be created by every role |
//! | `users_by_name`, `users_by_email`, `users_by_last_sign_in` | users in the orders of lists |
//! | `users_created`, `users_domain`, `users_suspended`, `users_without_sso` | the users of filters |
//! | `audit_events_by_time` | the audit log by time, with the actions, the actors and their users |
//! | `audit_events_folded`, `…_refused`, `…_actor_user` | parts of the log by time: without the events of the single users of batches; what failed; what one user did |
//! | `audit_events_target`, `…_batch`, `…_request`, `…_email`, `…_actor_kind` | the audit log by one object: what happened to it, or who it is (a keyed digest of an address), or all that actors without IDs did, such as the local operator |
//!
//! Without an index, queries are slower and return the same results.
//!
//! # Decisions
//!
//! *Indexes of large tables are built concurrently, outside the migrations.* An ordinary build blocks all writes for
//! as long as it takes. A concurrent one can't run in the transaction of a migration, and leaves an invalid index when
//! it is interrupted; the next start replaces that.
//!
//! *The audit log has an index for each question about one object*, small ones: events of one batch or request share an entry, and most
//! events have an actor with an ID. An insert of 10,000 events takes 0.2 s instead of 0.14 s; most of the difference is `…_email`, the
//! only one in random order.
//!
//! *The events of the single users of a batch are in few of them*: the lists of the console leave these events out, and without an
//! index that does not contain them, each list would skip thousands.
//!
//! *Each order of the list of users has an index, and each filter that finds few of them.* With these seven, a batch of 10,000 users into
//! 100,000 takes 0.65 s instead of 0.5 s. A sign-in changes an indexed column, the time of the last sign-in, and therefore writes to all indexes
//! of the table: 0.11 ms instead of 0.08 ms for that statement.
//!
//! *A batch does not sort its users into the search index.* A GIN index collects new entries in a pending list, which
//! searches read, too, and merges them when the list is full: by default at 4 MiB (6,000 users), in the transaction that
//! fills it. With 64 MiB, a batch of 10,000 into a table of 1,000,000 users takes 1.14 times as long as into an empty one,
//! not 1.48 times. The merge (0.1 s for as many users) runs after the response ([`merge_pending`]).

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::migrator;

/// An index.
struct Index {
    name: &'static str,
    /// The extension that it needs.
    extension: Option<&'static str>,
    /// What follows its name in `create index`.
    definition: &'static str,
}

const INDEXES: [Index; 17] = [
    Index {
        name: "users_search_text",
        extension: Some("pg_trgm"),
        definition: "on users using gin (search_text gin_trgm_ops) with (gin_pending_list_limit = 65536)",
    },
    Index { name: "users_by_name", extension: None, definition: "on users (organization_id, search_text, user_id)" },
    Index { name: "users_by_email", extension: None, definition: "on users (organization_id, email_key, user_id)" },
    Index {
        name: "users_by_last_sign_in",
        extension: None,
        // PostgreSQL computes the expression from the column, which it therefore needs for a scan of only the index.
        definition: "on users (organization_id, coalesce(last_signed_in_at, 'epoch'), user_id) include (last_signed_in_at)",
    },
    Index { name: "users_created", extension: None, definition: "on users (organization_id, created_at, user_id)" },
    Index {
        name: "users_domain",
        extension: None,
        definition: "on users (organization_id, split_part(email_key, '@', 2), user_id)",
    },
    Index {
        name: "users_suspended",
        extension: None,
        definition: "on users (organization_id, user_id) where status = 'suspended'",
    },
    Index {
        name: "users_without_sso",
        extension: None,
        definition: "on users (organization_id, user_id) where not is_sso_user and not is_service_account",
    },
    Index {
        name: "audit_events_by_time",
        extension: None,
        definition: "on audit_events (organization_id, occurred_at, event_id) include (action, actor_id, actor_user_id)",
    },
    Index {
        name: "audit_events_folded",
        extension: None,
        definition: "on audit_events (organization_id, occurred_at, event_id) include (action, actor_id, actor_user_id) where batch_id is null or action not in ('user.create', 'user.delete')",
    },
    Index {
        name: "audit_events_refused",
        extension: None,
        definition: "on audit_events (organization_id, occurred_at, event_id) where outcome <> 'success'",
    },
    Index {
        name: "audit_events_actor_user",
        extension: None,
        definition: "on audit_events (organization_id, actor_user_id, occurred_at, event_id) where actor_user_id is not null and (batch_id is null or action not in ('user.create', 'user.delete'))",
    },
    Index {
        name: "audit_events_target",
        extension: None,
        definition: "on audit_events (organization_id, target_id) where target_id is not null",
    },
    Index {
        name: "audit_events_batch",
        extension: None,
        definition: "on audit_events (organization_id, batch_id) where batch_id is not null",
    },
    Index {
        name: "audit_events_request",
        extension: None,
        definition: "on audit_events (organization_id, request_id) where request_id is not null",
    },
    Index {
        name: "audit_events_email",
        extension: None,
        definition: "on audit_events (organization_id, target_email_hmac) where target_email_hmac is not null",
    },
    Index {
        name: "audit_events_actor_kind",
        extension: None,
        definition: "on audit_events (organization_id, actor_kind) where actor_id is null",
    },
];

/// The names of the indexes.
pub(crate) fn index_names() -> Vec<&'static str> {
    INDEXES.iter().map(|index| index.name).collect()
}

/// The names of the indexes that need no extension.
pub(crate) fn plain_index_names() -> Vec<&'static str> {
    INDEXES.iter().filter(|index| index.extension.is_none()).map(|index| index.name).collect()
}

/// Creates the indexes that do not exist. A failure is logged, and the next start tries again.
pub async fn ensure_indexes(connection: &mut PgConnection) {
    for index in INDEXES {
        if let Err(error) = ensure(connection, &index).await {
            let why = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
            tracing::info!(%why, index = index.name, "index unavailable; queries that use it are slower");
        }
    }
}

/// Merges the pending list of the search index. PostgreSQL also does so automatically, from time to time.
pub(super) async fn merge_pending(connection: sqlx::Result<PgConnection>) {
    let merge = async {
        let mut connection = connection?;
        let merge = "select gin_clean_pending_list(to_regclass('users_search_text'))";
        sqlx::query(merge).execute(&mut connection).await?;
        connection.close().await
    };
    if let Err(error) = merge.await {
        tracing::debug!(%error, "failed to merge the pending list of the search index");
    }
}

async fn ensure(connection: &mut PgConnection, index: &Index) -> sqlx::Result<()> {
    let is_valid: Option<bool> =
        sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass($1)")
            .bind(index.name)
            .fetch_optional(&mut *connection)
            .await?;
    if is_valid == Some(true) || !migrator::try_lock(connection).await? {
        // It exists, or another instance is creating it.
        return Ok(());
    }
    let mut created = create(connection, index).await;
    if created.is_ok() && index.name == "audit_events_by_time" {
        // The index of previous versions, without the users of actors.
        created = sqlx::query("drop index concurrently if exists audit_events_time")
            .execute(&mut *connection)
            .await
            .map(drop);
    }
    migrator::unlock(connection).await;
    created
}

async fn create(connection: &mut PgConnection, Index { name, extension, definition }: &Index) -> sqlx::Result<()> {
    // A concurrent build does not block writes; it waits for older transactions.
    sqlx::query("set lock_timeout = '10s'").execute(&mut *connection).await?;
    if let Some(extension) = extension {
        let create = format!("create extension if not exists {extension}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut *connection).await?;
    }
    // An invalid index from an interrupted build.
    sqlx::query(AssertSqlSafe(format!("drop index concurrently if exists {name}"))).execute(&mut *connection).await?;
    let create = format!("create index concurrently {name} {definition}");
    sqlx::query(AssertSqlSafe(create)).execute(&mut *connection).await?;
    Ok(())
}
