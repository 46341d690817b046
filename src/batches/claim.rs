//! Claiming a batch: the first request with an idempotency key processes the batch, later requests get its outcome.
//!
//! The row that [`super::lease`] renews is written here, before the list is checked. A unique index over the caller and
//! the key decides which request is first. Keys expire; a failed batch frees its key at once.

use std::sync::Arc;

use chrono::TimeDelta;

use super::lease::{Held, Lease};
use super::{BatchState, IdempotencyKey, Source, SourceFile};
use crate::app::App;
use crate::audit::ActorRef;
use crate::caller::Caller;
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Batch, Id, Organization, Request};
use crate::jobs;

/// How often a claim is retried when the row with its key disappears meanwhile.
const ATTEMPTS: u32 = 10;

/// The purpose of the fingerprint of a request.
pub(super) const REQUEST: &str = "request";

/// What a claim stores.
pub(super) struct Opening {
    pub(super) source: Source,
    pub(super) file: SourceFile,
    pub(super) key: Option<(IdempotencyKey, Fingerprint)>,
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

/// Claims a new batch, or finds the outcome of an earlier request with the same key.
///
/// # Errors
/// `idempotency_key_reused` when the key belongs to another request; `conflict` when its batch was cancelled or undone,
/// or its response deleted; errors of the database.
pub(super) async fn claim(app: &Arc<App>, caller: &Caller, opening: &Opening, body: &[u8]) -> Result<Claim> {
    for _ in 0..ATTEMPTS {
        let held = Held {
            organization_id: caller.organization_id,
            batch_id: Id::new(app.clock.now()),
            owner: Id::<Batch>::new(app.clock.now()).into(),
        };
        if insert(app, caller, opening, held).await? {
            return Ok(Claim::Held(Lease::start(app, held)));
        }
        if let Some((key, _)) = &opening.key
            && let Some(claim) = find(app, caller, key, body).await?
        {
            return Ok(claim);
        }
    }
    Err(Error::key_in_use())
}

/// Inserts the row. `false`: a row has this key already.
async fn insert(app: &App, caller: &Caller, opening: &Opening, held: Held) -> Result<bool> {
    let actor = ActorRef::from(caller.principal);
    let (mut transaction, now) = app.begin(&app.db.batch).await?;
    let digest = opening.file.sha256.map(|sha256| app.fingerprints.of("file", &sha256));
    let (key, fingerprint) = opening.key.as_ref().map(|(key, fingerprint)| (key.as_str(), fingerprint)).unzip();
    let key_expires_at = now + TimeDelta::hours(i64::from(app.config.batch.idempotency_hours));
    let inserted = sqlx::query!(
        r#"
        insert into batches
            (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
             state, owner, lease_until, file_name, file_digest, file_digest_key,
             idempotency_key, fingerprint, fingerprint_key, key_expires_at)
        values ($1, $2, $3, $4, $5, $6, 0, $7, 'running', $8, now() + make_interval(secs => $9), $10, $11, $12,
             $13, $14, $15, $16)
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
        key,
        fingerprint.map(|fingerprint| fingerprint.mac.as_slice()),
        fingerprint.map(|fingerprint| fingerprint.key_id.as_slice()),
        key.map(|_| key_expires_at),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(inserted.rows_affected() == 1)
}

/// The outcome of the request with this key. `None`: its row has just disappeared, and the key is free.
async fn find(app: &Arc<App>, caller: &Caller, key: &IdempotencyKey, body: &[u8]) -> Result<Option<Claim>> {
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
        key.as_str(),
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
        BatchState::Created => replay(app, caller, batch_id, found.user_count).await,
        BatchState::Failed | BatchState::Cancelled | BatchState::Undone => {
            let message =
                format!("batch {batch_id} of this Idempotency-Key is {state}; use a new key to create it again");
            Err(Error::new(Code::Conflict, message))
        }
    }
}

async fn replay(app: &App, caller: &Caller, batch_id: Id<Batch>, users: i32) -> Result<Option<Claim>> {
    let found = sqlx::query!(
        "select response, idempotency_key from batches where organization_id = $1 and batch_id = $2",
        caller.organization_id as Id<Organization>,
        batch_id as Id<Batch>,
    )
    .fetch_optional(&mut *app.reader(&app.db.batch).await?)
    .await?;
    // Never negative: constraint `batches_user_count_positive`.
    let users = usize::try_from(users).unwrap_or_default();
    match found {
        Some(found) if found.response.is_none() && found.idempotency_key.is_some() => Err(Error::new(
            Code::Conflict,
            format!(
                "users of batch {batch_id} were deleted after it was created, and its stored response with them; nothing \
                 was written; `GET /api/v2/batches/{batch_id}/results` returns the remaining users"
            ),
        )),
        found => {
            let response = found.and_then(|found| found.response);
            Ok(response.map(|response| Claim::Replay { batch_id, response, users }))
        }
    }
}
