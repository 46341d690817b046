//! Failing batches whose lease has expired, because their process died, stalled or lost the database.

use serde_json::json;

use super::{Due, begin, by_organization, log_failure};
use crate::app::App;
use crate::audit::{self, ActorKind, ActorRef, Attribution, AuditDenial, Findings, Target};
use crate::caller::{Action, Origin};
use crate::error::Result;
use crate::id::{Batch, Id, Organization, Request};
use crate::postgres::ErrorClass;

/// The code of a batch whose lease has expired.
const INTERRUPTED: &str = "interrupted";

/// Fails all batches whose lease has expired, and records each in the audit log.
///
/// # Errors
/// `unavailable` if the database went away: then other leases may have expired for that reason.
pub(super) async fn fail_all(app: &App) -> Result<()> {
    let due = sqlx::query_as!(
        Due,
        r#"
        select organization_id as "organization_id: Id<Organization>", batch_id as "batch_id: Id<Batch>"
        from batches
        where state = 'running' and lease_until < now()
        order by lease_until
        limit 1000
        "#,
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    let mut outage = Ok(());
    for (organization_id, batch_ids) in by_organization(due.into_iter().map(Due::into)) {
        if let Err(error) = fail(app, organization_id, &batch_ids).await {
            log_failure(app, organization_id, &error);
            if error.class() == Some(ErrorClass::Unavailable) {
                outage = Err(error);
            }
        }
    }
    outage
}

/// The same for one batch, for a request that needs it.
pub(crate) async fn fail_if_lapsed(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) -> Result<()> {
    fail(app, organization_id, &[batch_id]).await.map(|_| ())
}

async fn fail(app: &App, organization_id: Id<Organization>, batch_ids: &[Id<Batch>]) -> Result<usize> {
    let (mut transaction, now) = begin(app).await?;
    let failure = json!({
        "code": INTERRUPTED,
        "detail": "batch interrupted: the process exited, stalled or lost the database for longer than \
            `batch.lease_seconds`; nothing was written, so retry the request",
    });
    let failed = sqlx::query!(
        r#"
        update batches
        set state = 'failed', failure = $3, finished_at = $4, owner = null, lease_until = null, expected_at = null,
            idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = any($2) and state = 'running' and lease_until < now()
        returning
            batch_id as "batch_id: Id<Batch>", requested_by_kind as "requested_by_kind: ActorKind",
            requested_by_id, request_id as "request_id: Id<Request>", user_count
        "#,
        organization_id as Id<Organization>,
        batch_ids as &[Id<Batch>],
        failure,
        now,
    )
    .fetch_all(&mut *transaction)
    .await?;
    for batch in &failed {
        let attribution = Attribution {
            organization_id,
            actor: ActorRef { kind: batch.requested_by_kind, id: batch.requested_by_id },
            user_id: None,
            origin: Origin { request_id: batch.request_id, address: None, client: None },
        };
        // Never negative: constraint `batches_user_count_positive`.
        let rows = usize::try_from(batch.user_count).unwrap_or_default();
        let denial = AuditDenial::Rejected {
            target: Target::Batch(batch.batch_id),
            code: INTERRUPTED,
            findings: Some(Findings { rows, ..Findings::default() }),
        };
        audit::write::deny(&mut transaction, attribution, now, Action::UserBatchCreate, &denial).await?;
        tracing::warn!(batch_id = %batch.batch_id, "batch failed: its lease has expired");
    }
    transaction.commit().await?;
    app.metrics.batches.count_abandoned(failed.len());
    Ok(failed.len())
}
