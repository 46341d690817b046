//! Expiring idempotency keys, with the responses that are kept for them.

use super::{Due, begin, by_organization, log_failure};
use crate::app::App;
use crate::error::Result;
use crate::id::{Batch, Id, Organization};

/// The maximum number of keys read by one query.
const LIMIT: usize = 1000;

/// Clears the keys that have expired.
pub(super) async fn expire_all(app: &App) -> Result<()> {
    let now = app.clock.now();
    loop {
        let due = sqlx::query_as!(
            Due,
            r#"
            select organization_id as "organization_id: Id<Organization>", batch_id as "batch_id: Id<Batch>"
            from batches
            where idempotency_key is not null and key_expires_at <= $1 and state <> 'running'
            order by key_expires_at
            limit $2
            "#,
            now,
            i64::try_from(LIMIT).unwrap_or(i64::MAX),
        )
        .fetch_all(&mut *app.reader(&app.db.interactive).await?)
        .await?;
        let mut expired = 0;
        for (organization_id, batch_ids) in by_organization(due.into_iter().map(Due::into)) {
            match expire(app, organization_id, &batch_ids).await {
                Ok(rows) => expired += rows,
                Err(error) => log_failure(app, organization_id, &error),
            }
        }
        // Rows that remain because of an error are cleared in the next round.
        if expired < LIMIT {
            return Ok(());
        }
    }
}

/// Clears the key of one batch, for a request that wants to use the key again.
pub(crate) async fn expire_key(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) -> Result<()> {
    expire(app, organization_id, &[batch_id]).await.map(|_| ())
}

async fn expire(app: &App, organization_id: Id<Organization>, batch_ids: &[Id<Batch>]) -> Result<usize> {
    let (mut transaction, now) = begin(app).await?;
    let expired = sqlx::query!(
        r#"
        update batches
        set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = any($2)
            and idempotency_key is not null and key_expires_at <= $3 and state <> 'running'
        "#,
        organization_id as Id<Organization>,
        batch_ids as &[Id<Batch>],
        now,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(usize::try_from(expired.rows_affected()).unwrap_or(usize::MAX))
}
