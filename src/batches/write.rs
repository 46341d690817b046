//! Writing batches: the row, and with it everything that it is about.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::lease::{Counts, Held, count};
use super::{FingerprintedFile, Source};
use crate::app::App;
use crate::audit::Event;
use crate::caller::{Action, Caller};
use crate::change::{Change, Patience};
use crate::error::{Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id, User};
use crate::report::{Finding, Report};
use crate::users::{self, Account};

/// How often the outcome of a lost commit is asked for, a second apart.
const QUESTIONS: u32 = 10;

/// A batch, as it is written with its users.
pub(super) struct NewBatch {
    /// The claim on its row; `None`: it has none yet.
    pub(super) held: Option<Held>,
    pub(super) batch_id: Id<Batch>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) source: Source,
    pub(super) file: FingerprintedFile,
    pub(super) counts: Counts,
    /// The answer, packed, to be sent again on request.
    pub(super) response: Option<Vec<u8>>,
}

/// Writes the batch with its users, their memberships and passwords, and records all of it.
/// `false`: the row is no longer its attempt's.
///
/// # Errors
/// `batch_conflict` with the complete report when addresses have been taken meanwhile.
pub(super) async fn insert(change: &mut Change, batch: &NewBatch, accounts: &[Account]) -> Result<bool> {
    // The row first: whoever cancels the batch waits for its end here, or has been first.
    let is_ours = match batch.held {
        Some(held) => finish(change, batch, held).await?,
        None => insert_row(change, batch).await?,
    };
    if !is_ours {
        return Ok(false);
    }
    change.record(Event::BatchCreated { batch_id: batch.batch_id, users: accounts.len() });
    let free = users::write::insert(change, Some(batch.batch_id), accounts).await?;
    if free < accounts.len() {
        failpoints::reach("batch::outrun").await;
        return Err(Box::pin(outrun(change, batch.batch_id, accounts)).await?);
    }
    users::write::insert_collaborators(change, accounts).await?;
    users::write::insert_passwords(change, accounts).await?;
    Ok(true)
}

/// Who was there first.
async fn outrun(change: &mut Change, batch_id: Id<Batch>, accounts: &[Account]) -> Result<Error> {
    let emails: Vec<_> = accounts.iter().map(|account| &account.user.email).collect();
    let taken = users::read::taken_before(change, batch_id, &emails).await?;
    let mut report = Report::new(accounts.len());
    for (index, email) in taken.into_iter().filter_map(|index| Some((index, *emails.get(index)?))) {
        report.add(Finding::email_taken(index, email.as_str()));
    }
    // Somebody was in the way and has gone since: the next attempt will not meet them.
    Ok(if report.is_empty() { Error::contended() } else { Error::rejected(report) })
}

/// Whether it was new.
async fn insert_row(change: &mut Change, batch: &NewBatch) -> Result<bool> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let (actor, request_id) = (change.actor(), change.caller().origin.request_id);
    let inserted = sqlx::query!(
        r#"
        insert into batches
            (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
             state, finished_at, file_name, file_digest, file_digest_key, hash_count, hashed, weak_hash_count)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'created', $8, $9, $10, $11, $12, $12, $13)
        on conflict on constraint batches_pkey do nothing
        "#,
        organization_id,
        batch.batch_id.uuid(),
        actor.kind(),
        actor.id(),
        request_id.map(Id::uuid),
        batch.source.as_str(),
        count(batch.counts.users)?,
        now,
        batch.file.name,
        batch.file.digest.as_ref().map(|digest| digest.mac.as_slice()),
        batch.file.digest.as_ref().map(|digest| digest.key_id.as_slice()),
        count(batch.counts.hashes)?,
        count(batch.counts.weak_hashes)?,
    )
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Turns a claimed row into a created one. Whether it was still its attempt's.
async fn finish(change: &mut Change, batch: &NewBatch, held: Held) -> Result<bool> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    let finished = sqlx::query!(
        r#"
        update batches
        set state = 'created', owner = null, lease_until = null, expected_at = null, finished_at = $4,
            user_count = $5, hash_count = $6, hashed = $6, weak_hash_count = $7,
            response = case when idempotency_key is not null then $8::bytea end
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
        "#,
        organization_id,
        held.batch_id.uuid(),
        held.owner,
        now,
        count(batch.counts.users)?,
        count(batch.counts.hashes)?,
        count(batch.counts.weak_hashes)?,
        batch.response.as_deref(),
    )
    .execute(change.connection())
    .await?;
    Ok(finished.rows_affected() == 1)
}

/// Whether the batch's transaction, whose commit was not answered, took place. See the
/// decisions of [`super`]. The change that asks is never committed.
///
/// # Errors
/// When the database doesn't come back in time: then the outcome stays unknown, and the
/// sentence says so.
pub(super) async fn happened(app: &App, caller: &Caller, batch: &NewBatch) -> Result<bool> {
    app.db.mark_suspect();
    let mut last = None;
    for _ in 0..QUESTIONS {
        let asked = async {
            let mut change =
                app.batch_change(caller, Action::UserBatchCreate, Patience::BatchApart, batch.created_at).await?;
            match batch.held {
                Some(held) => {
                    Ok::<_, Error>(locked_state(&mut change, held.batch_id).await?.as_deref() == Some("created"))
                }
                None => Ok(!insert_row(&mut change, batch).await?),
            }
        };
        match asked.await {
            Ok(happened) => return Ok(happened),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let message = format!(
        "the connection to the database was lost while batch {} was being committed; it was created as a whole or not \
         at all: look for one of its users before you retry",
        batch.batch_id
    );
    Err(Error::unavailable(message).with_source(last.unwrap_or_else(|| Error::internal("no attempt was made"))))
}

/// The state of a batch, once whoever is changing it is done. `None`: there is no such batch.
pub(super) async fn locked_state(change: &mut Change, batch_id: Id<Batch>) -> Result<Option<String>> {
    let organization_id = change.organization_id().uuid();
    Ok(sqlx::query_scalar!(
        "select state from batches where organization_id = $1 and batch_id = $2 for update",
        organization_id,
        batch_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?)
}

/// Stops a running batch, whose row is locked. Its key stays, so that a client that repeats its request
/// does not start it again.
pub(super) async fn cancel(change: &mut Change, batch_id: Id<Batch>) -> Result<()> {
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        update batches
        set state = 'cancelled', owner = null, lease_until = null, expected_at = null, finished_at = $3
        where organization_id = $1 and batch_id = $2 and state = 'running'
        "#,
        organization_id,
        batch_id.uuid(),
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::BatchCancelled(batch_id));
    Ok(())
}

/// Deletes users of a created batch, whose row is locked, with their memberships and passwords. The
/// batch's key stays, so that the request that made it is not carried out again by a late repeat.
pub(super) async fn undo(change: &mut Change, batch_id: Id<Batch>, removed: &[Id<User>], kept: usize) -> Result<()> {
    users::write::delete(change, removed, Some(batch_id)).await?;
    let (organization_id, now) = (change.organization_id().uuid(), change.now());
    sqlx::query!(
        r#"
        update batches set state = 'undone', undone_at = $3, response = null
        where organization_id = $1 and batch_id = $2 and state = 'created'
        "#,
        organization_id,
        batch_id.uuid(),
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::BatchUndone { batch_id, users: removed.len(), kept });
    Ok(())
}
