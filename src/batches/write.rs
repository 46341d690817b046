//! The batch's own row.

use std::time::Duration;

use super::Source;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Batch, Id};

/// How often the outcome of a lost commit is asked for, a second apart.
const QUESTIONS: u32 = 10;

/// Writes it, and records that it was created.
pub(super) async fn insert(change: &mut Change, batch_id: Id<Batch>, source: Source, users: usize) -> Result<()> {
    insert_row(change, batch_id, source, users).await?;
    change.record(crate::audit::Event::BatchCreated { batch_id, users });
    Ok(())
}

/// Whether it was new.
async fn insert_row(change: &mut Change, batch_id: Id<Batch>, source: Source, users: usize) -> Result<bool> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let (actor, request_id) = (change.caller().actor.clone(), change.caller().origin.request_id);
    let inserted = sqlx::query!(
        r#"
        insert into batches
            (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict on constraint batches_pkey do nothing
        "#,
        organization_id,
        batch_id.uuid(),
        actor.kind(),
        actor.id(),
        request_id.map(Id::uuid),
        source.as_str(),
        i32::try_from(users).map_err(Error::internal)?,
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Whether the batch's transaction, whose commit was not answered, took place. See the
/// decisions of [`super`]. The change that asks is never committed.
///
/// # Errors
/// When the database doesn't come back in time: then the outcome stays unknown, and the
/// sentence says so.
pub(super) async fn happened(app: &App, caller: &Caller, source: Source, batch_id: Id<Batch>) -> Result<bool> {
    let mut last = None;
    for _ in 0..QUESTIONS {
        let asked = async {
            let mut change = app.batch_change(caller, Action::UserBatchCreate).await?;
            insert_row(&mut change, batch_id, source, 1).await
        };
        match asked.await {
            Ok(is_new) => return Ok(!is_new),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(Error::unavailable(last.unwrap_or_else(|| Error::internal("no question asked"))).with_message(format!(
        "the connection to the database broke while batch {batch_id} was being committed: it was created as a \
         whole or not at all; look for one of its users before you send it again"
    )))
}
