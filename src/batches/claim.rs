//! Claiming a batch: the first request with an idempotency key processes the batch, later requests get its outcome.
//!
//! The row that [`super::lease`] renews is written here. A unique index over the caller and the key decides which request
//! is first. Keys expire; a failed batch frees its key at once.
//!
//! A request without an `Idempotency-Key` whose passwords take time to hash gets an implicit key, the HMAC of its body:
//! the same request sent again joins the first one. Its key lives while the batch runs and until the response was
//! delivered, for [`UNDELIVERED_MINUTES`] at most. After that a repeated request conflicts with the users it created.
//!
//! # Decisions
//!
//! *The prefix of a key tells implicit keys apart*: `Idempotency-Key` has no blanks, so no client can send one.
//!
//! *The response of a delivered batch stays for [`GRACE_SECONDS`] under another key*, for repeated requests that are
//! waiting for it, on any instance. New requests do not find it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::lease::{Counts, Held, Lease, count};
use super::{BatchState, IdempotencyKey, Source, SourceFile};
use crate::app::App;
use crate::audit::ActorRef;
use crate::caller::Caller;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::fingerprint::Fingerprint;
use crate::id::{Batch, Id, Organization, Request};
use crate::jobs;

/// How often a claim is retried when the row with its key disappears meanwhile.
const ATTEMPTS: u32 = 10;

/// The purpose of the fingerprint of a request.
pub(super) const REQUEST: &str = "request";

/// How long the response of a request without a key is kept if it can't be delivered.
const UNDELIVERED_MINUTES: i64 = 10;

/// How long it is kept for waiting requests once it was delivered: several times [`POLL_INTERVAL`].
const GRACE_SECONDS: i64 = 10;

/// How often a waiting request looks for the outcome of the first one.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The start of implicit keys. The statements that treat them differently contain the same text.
const IMPLICIT: &str = "implicit ";

/// What a claim stores.
pub(super) struct Opening {
    pub(super) source: Source,
    pub(super) file: SourceFile,
    pub(super) key: ClaimKey,
    /// The size of the batch, if it is known.
    pub(super) counts: Counts,
}

/// An idempotency key, and the fingerprint of its request.
pub(super) struct ClaimKey {
    text: String,
    fingerprint: Fingerprint,
    is_implicit: bool,
}

impl ClaimKey {
    /// The key that the client sent.
    pub(super) fn explicit(app: &App, key: &IdempotencyKey, body: &[u8]) -> Self {
        let fingerprint = app.fingerprints.of(REQUEST, body);
        Self { text: key.as_str().to_owned(), fingerprint, is_implicit: false }
    }

    /// The key of a request without one. Only one route creates batches, and the unique index contains the API key, so
    /// neither is part of it.
    pub(super) fn implicit(app: &App, body: &[u8]) -> Self {
        let fingerprint = app.fingerprints.of(REQUEST, body);
        Self { text: format!("{IMPLICIT}{}", hex::encode(fingerprint.mac)), fingerprint, is_implicit: true }
    }
}

/// The outcome of a claim.
pub(super) enum Claim {
    /// The batch belongs to this attempt.
    Held(Lease),
    /// The batch was created before.
    Replay {
        batch_id: Id<Batch>,
        /// The packed response.
        response: Vec<u8>,
        users: usize,
    },
    /// Another attempt is in progress.
    Running(Id<Batch>),
}

impl Claim {
    fn replay(batch_id: Id<Batch>, response: Vec<u8>, users: i32) -> Self {
        // Never negative: constraint `batches_user_count_positive`.
        Self::Replay { batch_id, response, users: usize::try_from(users).unwrap_or_default() }
    }
}

/// Claims a new batch, or finds the outcome of an earlier request with the same key.
///
/// # Errors
/// `idempotency_key_reused` when the key belongs to another request; `conflict` when its batch was cancelled or undone,
/// or its response deleted; errors of the database.
pub(super) async fn claim(app: &Arc<App>, caller: &Caller, opening: &Arc<Opening>, body: &[u8]) -> Result<Claim> {
    for _ in 0..ATTEMPTS {
        let held = Held {
            organization_id: caller.organization_id,
            batch_id: Id::new(app.clock.now()),
            owner: Id::<Batch>::new(app.clock.now()).into(),
        };
        // A task of its own: if the request ends meanwhile, the lease is dropped, which releases the row.
        let inserted = app.start_task(insert(Arc::clone(app), *caller, Arc::clone(opening), held));
        if let Some(lease) = inserted.await.map_err(Error::internal)?? {
            return Ok(Claim::Held(lease));
        }
        if let Some(claim) = find(app, caller, &opening.key, body).await? {
            return Ok(claim);
        }
    }
    Err(Error::key_in_use())
}

/// Inserts the row. `None`: a row has this key already.
async fn insert(app: Arc<App>, caller: Caller, opening: Arc<Opening>, held: Held) -> Result<Option<Lease>> {
    let actor = ActorRef::from(caller.principal);
    let (mut transaction, now) = app.begin(&app.db.batch).await?;
    let digest = opening.file.sha256.map(|sha256| app.fingerprints.of("file", &sha256));
    let ClaimKey { text, fingerprint, .. } = &opening.key;
    let key_expires_at = now + TimeDelta::hours(i64::from(app.config.batch.idempotency_hours));
    let inserted = sqlx::query!(
        r#"
        insert into batches
            (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
             state, owner, lease_until, file_name, file_digest, file_digest_key,
             idempotency_key, fingerprint, fingerprint_key, key_expires_at, hash_count, weak_hash_count)
        values ($1, $2, $3, $4, $5, $6, $17, $7, 'running', $8, now() + make_interval(secs => $9), $10, $11, $12,
             $13, $14, $15, $16, $18, $19)
        on conflict (organization_id, requested_by_kind, requested_by_id, idempotency_key)
            where idempotency_key is not null do nothing
        "#,
        held.organization_id as Id<Organization>,
        held.batch_id as Id<Batch>,
        actor.kind.as_str(),
        actor.id,
        caller.origin.request_id as Option<Id<Request>>,
        opening.source.as_str(),
        now,
        held.owner,
        f64::from(app.config.batch.lease_seconds),
        opening.file.name,
        digest.as_ref().map(|digest| digest.mac.as_slice()),
        digest.as_ref().map(|digest| digest.key_id.as_slice()),
        text.as_str(),
        fingerprint.mac.as_slice(),
        fingerprint.key_id.as_slice(),
        key_expires_at,
        count(opening.counts.users)?,
        count(opening.counts.hashes)?,
        count(opening.counts.weak_hashes)?,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    failpoints::reach("batch::claimed").await;
    Ok((inserted.rows_affected() == 1).then(|| Lease::start(&app, held, opening.counts)))
}

/// The outcome of the request with this key. `None`: there is none, or its row has just disappeared, and the key is free.
/// An implicit key needs no `body`.
pub(super) async fn find(app: &Arc<App>, caller: &Caller, key: &ClaimKey, body: &[u8]) -> Result<Option<Claim>> {
    let actor = ActorRef::from(caller.principal);
    let Some(found) = sqlx::query!(
        r#"
        select
            batch_id as "batch_id: Id<Batch>", state as "state: BatchState", user_count, fingerprint as "fingerprint!",
            fingerprint_key as "fingerprint_key!", key_expires_at as "key_expires_at!",
            coalesce(lease_until < now(), false) as "is_lapsed!"
        from batches
        where organization_id = $1 and requested_by_kind = $2 and requested_by_id is not distinct from $3
            and idempotency_key = $4
        "#,
        caller.organization_id as Id<Organization>,
        actor.kind.as_str(),
        actor.id,
        key.text,
    )
    .fetch_optional(&mut *app.reader(&app.db.batch).await?)
    .await?
    else {
        return Ok(None);
    };
    let (batch_id, state) = (found.batch_id, found.state);
    if found.key_expires_at <= app.clock.now() && state != BatchState::Running {
        jobs::expire_key(app, caller.organization_id, batch_id).await?;
        return Ok(None);
    }
    let reused = |message: &str| Err(Error::new(Code::IdempotencyKeyReused, message.to_owned()));
    match app.fingerprints.recognize(&found.fingerprint_key, &found.fingerprint, REQUEST, body) {
        _ if key.is_implicit => {}
        Some(true) => {}
        Some(false) => return reused("this Idempotency-Key was used for a different request; use a new key"),
        None => {
            return reused(
                "this Idempotency-Key was used before, but the server's `secrets.server_key` has changed since, so it \
                 can't tell whether for the same request; check whether its users exist, then retry with a new key",
            );
        }
    }
    match state {
        BatchState::Running if found.is_lapsed => {
            jobs::fail_if_lapsed(app, caller.organization_id, batch_id).await?;
            Ok(None)
        }
        BatchState::Running => Ok(Some(Claim::Running(batch_id))),
        BatchState::Created => replay(app, caller, batch_id, key, found.user_count).await,
        BatchState::Failed | BatchState::Cancelled | BatchState::Undone if key.is_implicit => {
            free(app, caller, batch_id).await.map(|()| None)
        }
        BatchState::Failed | BatchState::Cancelled | BatchState::Undone => {
            let message =
                format!("batch {batch_id} of this Idempotency-Key is {state}; use a new key to create it again");
            Err(Error::new(Code::Conflict, message))
        }
    }
}

async fn replay(app: &App, caller: &Caller, batch_id: Id<Batch>, key: &ClaimKey, users: i32) -> Result<Option<Claim>> {
    let found = sqlx::query!(
        "select response, idempotency_key from batches where organization_id = $1 and batch_id = $2",
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_optional(&mut *app.reader(&app.db.batch).await?)
    .await?;
    match found {
        Some(found) if found.response.is_none() && key.is_implicit => free(app, caller, batch_id).await.map(|()| None),
        Some(found) if found.response.is_none() && found.idempotency_key.is_some() => Err(Error::new(
            Code::Conflict,
            format!(
                "users of batch {batch_id} were deleted after it was created, and its stored response with them; nothing \
                 was written; `GET /api/v2/batches/{batch_id}/results` returns the remaining users"
            ),
        )),
        found => {
            let response = found.and_then(|found| found.response);
            Ok(response.map(|response| Claim::replay(batch_id, response, users)))
        }
    }
}

/// Frees the implicit key of a batch that has ended without a response.
async fn free(app: &App, caller: &Caller, batch_id: Id<Batch>) -> Result<()> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        r#"
        update batches
        set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = $2 and starts_with(idempotency_key, 'implicit ') and state <> 'running'
        "#,
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

/// Waits for the outcome of an earlier request with the same implicit key. `None`: its batch failed, so that this request
/// starts again.
///
/// # Errors
/// `conflict` when the batch was cancelled; `unavailable`.
pub(super) async fn wait(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<Option<Claim>> {
    loop {
        let query = sqlx::query!(
            r#"
            select
                state as "state: BatchState", user_count, response, coalesce(lease_until < now(), false) as "is_lapsed!"
            from batches
            where organization_id = $1 and batch_id = $2
            "#,
            caller.organization_id as Id<Organization>,
            batch_id as Id<Batch>,
        );
        let found = query.fetch_optional(&mut *app.reader(&app.db.interactive).await?).await?;
        let Some(found) = found else { return Ok(None) };
        match found.state {
            BatchState::Running if found.is_lapsed => {
                jobs::fail_if_lapsed(app, caller.organization_id, batch_id).await?;
            }
            BatchState::Running => {}
            BatchState::Created => {
                return Ok(found.response.map(|response| Claim::replay(batch_id, response, found.user_count)));
            }
            BatchState::Cancelled => {
                let message = format!("batch {batch_id} was cancelled; nothing was written");
                return Err(Error::new(Code::Conflict, message));
            }
            BatchState::Failed | BatchState::Undone => return Ok(None),
        }
        tokio::select! {
            () = app.stopping.cancelled() => return Err(Error::shutting_down()),
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

/// When the response of a batch that is being committed expires, if its key is implicit.
pub(super) fn response_expires_at(now: DateTime<Utc>, is_delivered: bool) -> DateTime<Utc> {
    now + if is_delivered { TimeDelta::seconds(GRACE_SECONDS) } else { TimeDelta::minutes(UNDELIVERED_MINUTES) }
}

/// Notes that the client has received the response of a batch: from now on, the same request conflicts with its users.
pub async fn mark_delivered(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) {
    let marked = app.in_time(try_mark_delivered(app, organization_id, batch_id)).await;
    if let Err(error) = marked.flatten() {
        app.db.observe(&error);
        tracing::warn!(error = error.chain(), %batch_id, "failed to note that a response was delivered");
    }
}

async fn try_mark_delivered(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) -> Result<()> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        r#"
        update batches set idempotency_key = 'delivered ' || batch_id, key_expires_at = $3
        where organization_id = $1 and batch_id = $2 and starts_with(idempotency_key, 'implicit ') and state = 'created'
        "#,
        organization_id as Id<Organization>,
        batch_id as Id<Batch>,
        response_expires_at(now, true),
    )
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}
