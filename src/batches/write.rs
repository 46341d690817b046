//! Writing batches with their users.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::claim;
use super::lease::{Counts, Held, count};
use super::{BatchState, FingerprintedFile, Source};
use crate::app::App;
use crate::audit::Event;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::{Change, TxLimits};
use crate::error::{Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id, Organization, Request, User};
use crate::report::{Finding, Findings, Report};
use crate::users::{self, Account};

/// How often the outcome of a lost commit is queried, a second apart.
const OUTCOME_QUERIES: u32 = 10;

/// A batch to be written with its users.
pub(super) struct NewBatch {
    /// The claimed row; `None`: the batch has no row yet.
    pub(super) held: Option<Held>,
    pub(super) batch_id: Id<Batch>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) source: Source,
    pub(super) file: FingerprintedFile,
    pub(super) counts: Counts,
    /// The packed response, for replays.
    pub(super) response: Option<Vec<u8>>,
    /// The maximum number of findings on addresses that were taken.
    pub(super) max_findings: usize,
    /// Whether the client gets the ID of the batch instead of this response.
    pub(super) is_async: bool,
}

/// Writes the batch with its users, their memberships and passwords, and records the events.
/// `false`: the row no longer belongs to this attempt.
///
/// # Errors
/// `batch_conflict` with the complete report when addresses were taken meanwhile.
pub(super) async fn insert(change: &mut Change, batch: &NewBatch, accounts: &[Account]) -> Result<bool> {
    // The row first: its lock makes a cancellation wait for the end of this transaction.
    let is_ours = match batch.held {
        Some(held) => finish(change, batch, held).await?,
        None => insert_row(change, batch).await?,
    };
    if !is_ours {
        return Ok(false);
    }
    if accounts.iter().any(|account| account.user.permission_level == PermissionLevel::Owner) {
        change.authorize(Action::OwnerGrant)?;
    }
    change.record(Event::BatchCreated { batch_id: batch.batch_id, users: accounts.len() });
    if users::write::create(change, Some(batch.batch_id), false, accounts).await?.is_err() {
        failpoints::reach("batch::conflict").await;
        return Err(Box::pin(conflicts(change, batch, accounts)).await?);
    }
    Ok(true)
}

/// The report on the addresses that were taken. A separate statement after the insert, so that it sees rows that were
/// committed meanwhile.
async fn conflicts(change: &mut Change, batch: &NewBatch, accounts: &[Account]) -> Result<Error> {
    let emails: Vec<_> = accounts.iter().map(|account| &account.user.email).collect();
    let organization_id = change.organization_id();
    let taken = users::read::taken(change.connection(), organization_id, &emails, Some(batch.batch_id)).await?;
    let mut report = Report::on(accounts.len(), "created", Findings::new(batch.max_findings));
    for (index, email) in taken.into_iter().filter_map(|index| Some((index, *emails.get(index)?))) {
        report.add(Finding::email_taken(index, email.as_str()));
    }
    // The conflicting user was deleted meanwhile, so a retry succeeds.
    Ok(if report.is_empty() { Error::contended() } else { Error::rejected(report) })
}

/// Inserts the row of a batch. `false`: the row exists.
async fn insert_row(change: &mut Change, batch: &NewBatch) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let (actor, request_id) = (change.actor(), change.caller().origin.request_id);
    let inserted = sqlx::query!(
        r#"
        insert into batches
            (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
             state, finished_at, file_name, file_digest, file_digest_key, hash_count, hashed, weak_hash_count)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'created', $8, $9, $10, $11, $12, $12, $13)
        on conflict on constraint batches_pkey do nothing
        "#,
        organization_id as Id<Organization>,
        batch.batch_id as Id<Batch>,
        actor.kind.as_str(),
        actor.id,
        request_id as Option<Id<Request>>,
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

/// Changes the state of a claimed row to `created`. `false`: the row no longer belongs to this attempt.
async fn finish(change: &mut Change, batch: &NewBatch, held: Held) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let finished = sqlx::query!(
        r#"
        update batches
        set state = 'created', owner = null, lease_until = null, expected_at = null, finished_at = $4,
            user_count = $5, hash_count = $6, hashed = $6, weak_hash_count = $7,
            response = case when idempotency_key is not null then $8::bytea end,
            idempotency_key = case when $9 and starts_with(idempotency_key, 'implicit ') then 'delivered ' || batch_id
                else idempotency_key end,
            key_expires_at = case when starts_with(idempotency_key, 'implicit ') then $10 else key_expires_at end
        where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
        "#,
        organization_id as Id<Organization>,
        held.batch_id as Id<Batch>,
        held.owner,
        now,
        count(batch.counts.users)?,
        count(batch.counts.hashes)?,
        count(batch.counts.weak_hashes)?,
        batch.response.as_deref(),
        batch.is_async,
        claim::response_expires_at(now, batch.is_async),
    )
    .execute(change.connection())
    .await?;
    Ok(finished.rows_affected() == 1)
}

/// Whether a batch was committed, when the response to the `COMMIT` was lost. See the decisions of [`super`].
///
/// # Errors
/// If the database does not recover in time; the message says that the outcome is unknown.
pub(super) async fn was_committed(app: &App, caller: &Caller, batch: &NewBatch) -> Result<bool> {
    app.db.mark_suspect();
    let mut last = Error::internal("the outcome of a commit was never queried");
    for _ in 0..OUTCOME_QUERIES {
        match query_outcome(app, caller, batch).await {
            Ok(was_committed) => return Ok(was_committed),
            Err(error) => {
                app.db.observe(&error);
                last = error;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let batch_id = batch.batch_id;
    let message = format!(
        "the connection to the database was lost while batch {batch_id} was being committed; either all of its users \
         were created or none, so check whether one of them exists before you retry"
    );
    Err(Error::unavailable(message).with_source(last))
}

/// Queries the outcome once, in a change that is rolled back.
async fn query_outcome(app: &App, caller: &Caller, batch: &NewBatch) -> Result<bool> {
    let limits = TxLimits::DetachedBatch;
    let mut change = app.begin_many(caller, Action::UserBatchCreate, limits, Some(batch.created_at)).await?;
    match batch.held {
        Some(held) => Ok(locked_state(&mut change, held.batch_id).await? == Some(BatchState::Created)),
        None => Ok(!insert_row(&mut change, batch).await?),
    }
}

/// Locks a batch's row and returns its state, after concurrent changes of the batch have ended. `None`: no such batch.
pub(super) async fn locked_state(change: &mut Change, batch_id: Id<Batch>) -> Result<Option<BatchState>> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_scalar!(
        r#"
        select state as "state: BatchState" from batches
        where organization_id = $1 and batch_id = $2
        for update
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_optional(change.connection())
    .await?)
}

/// Cancels a running batch whose row is locked. An `Idempotency-Key` stays, so that a repeated request does not start it again;
/// an implicit key is freed by the next request.
pub(super) async fn cancel(change: &mut Change, batch_id: Id<Batch>) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update batches
        set state = 'cancelled', owner = null, lease_until = null, expected_at = null, finished_at = $3
        where organization_id = $1 and batch_id = $2 and state = 'running'
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::BatchCancelled(batch_id));
    Ok(())
}

/// Deletes users of a created batch, whose row is locked, with their memberships and passwords. An
/// `Idempotency-Key` stays, so that a late retry of the request does not create them again; an implicit key is freed by the
/// next request.
pub(super) async fn undo(change: &mut Change, batch_id: Id<Batch>, removed: &[Id<User>], kept: usize) -> Result<()> {
    users::write::delete(change, removed, Some(batch_id)).await?;
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update batches set state = 'undone', undone_at = $3, response = null
        where organization_id = $1 and batch_id = $2 and state = 'created'
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::BatchUndone { batch_id, users: removed.len(), kept });
    Ok(())
}
