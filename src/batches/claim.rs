//! Claiming a batch: the first to come with a key works on it, the others learn what has become of it.
//!
//! The row of [`super::lease`] is written here, before anything is done for a request. Its key is unique
//! for its sender, so that the database decides who was first. Keys are forgotten some time after;
//! a batch that failed lets go of its key at once.

use std::sync::Arc;

use chrono::TimeDelta;

use super::lease::{Held, Lease, reap};
use super::{IdempotencyKey, Source, SourceFile};
use crate::app::App;
use crate::audit::ActorRef;
use crate::caller::Caller;
use crate::error::{Code, Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Batch, Id, Organization};

/// How often a claim is tried again when what was in its way goes away.
const TRIES: u32 = 10;

/// What a request is fingerprinted as.
pub(super) const REQUEST: &str = "request";

/// What a batch is claimed with.
pub(super) struct Opening {
    pub(super) source: Source,
    pub(super) file: SourceFile,
    pub(super) key: Option<(IdempotencyKey, Fingerprint)>,
}

/// What came of it.
pub(super) enum Claim {
    /// The batch is this attempt's.
    Mine(Lease),
    /// It has been created: the answer, packed.
    Replay {
        /// Which.
        batch_id: Id<Batch>,
        response: Vec<u8>,
        users: usize,
    },
    /// Another attempt is at work.
    Running(Id<Batch>),
}

/// Claims a new batch or, with a key, finds what has become of the request.
///
/// # Errors
/// `idempotency_key_reused` when the key belongs to another request, `conflict` when its batch was
/// undone, and those of the database.
pub(super) async fn claim(app: &Arc<App>, caller: &Caller, opening: &Opening, body: &[u8]) -> Result<Claim> {
    for _ in 0..TRIES {
        let held = Held {
            organization_id: caller.organization_id,
            batch_id: Id::new(app.clock.now()),
            owner: Id::<Batch>::new(app.clock.now()).uuid(),
        };
        if insert(app, caller, opening, held).await? {
            return Ok(Claim::Mine(Lease::hold(app, held)));
        }
        if let Some((key, _)) = &opening.key
            && let Some(claim) = find(app, caller, key, body).await?
        {
            return Ok(claim);
        }
    }
    Err(Error::key_in_use())
}

/// Writes the row. `false`: there is one with this key.
async fn insert(app: &App, caller: &Caller, opening: &Opening, held: Held) -> Result<bool> {
    let now = app.clock.now();
    let digest = opening.file.sha256.map(|sha256| app.fingerprints.of("file", &sha256));
    let (key, fingerprint) = opening.key.as_ref().map(|(key, fingerprint)| (key.as_str(), fingerprint)).unzip();
    let kept_until = now + TimeDelta::hours(i64::from(app.config.batch.idempotency_hours));
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
        held.organization_id.uuid(),
        held.batch_id.uuid(),
        ActorRef::from(caller.principal).kind(),
        ActorRef::from(caller.principal).id(),
        caller.origin.request_id.map(Id::uuid),
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
        key.map(|_| kept_until),
    )
    .execute(&app.db.batch)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What has become of the request with this key. `None`: it has just gone, and the key is free.
async fn find(app: &Arc<App>, caller: &Caller, key: &IdempotencyKey, body: &[u8]) -> Result<Option<Claim>> {
    let Some(found) = sqlx::query!(
        r#"
        select
            batch_id as "batch_id: Id<Batch>", state, user_count, fingerprint as "fingerprint!",
            fingerprint_key as "fingerprint_key!", key_expires_at as "key_expires_at!",
            coalesce(lease_until < now(), false) as "is_lapsed!"
        from batches
        where organization_id = $1 and requested_by_kind = $2 and requested_by_id is not distinct from $3
            and idempotency_key = $4
        "#,
        caller.organization_id.uuid(),
        ActorRef::from(caller.principal).kind(),
        ActorRef::from(caller.principal).id(),
        key.as_str(),
    )
    .fetch_optional(&app.db.batch)
    .await?
    else {
        return Ok(None);
    };
    if found.key_expires_at <= app.clock.now() && found.state != "running" {
        forget_key(app, caller.organization_id, found.batch_id).await?;
        return Ok(None);
    }
    let reused = |sentence: &str| Err(Error::new(Code::IdempotencyKeyReused, sentence.to_owned()));
    match app.fingerprints.recognise(&found.fingerprint_key, &found.fingerprint, REQUEST, body) {
        Some(true) => {}
        Some(false) => return reused("this Idempotency-Key was used for another request: use a new one for this one"),
        None => {
            return reused(
                "this Idempotency-Key was used before, and with the key for fingerprints that this server has it can't \
                 tell whether for the same request (setting `secrets.fingerprint_key`): look for one of its users \
                 before you send it again with a new one",
            );
        }
    }
    match found.state.as_str() {
        "running" if found.is_lapsed => {
            reap(app, Some((caller.organization_id, found.batch_id))).await?;
            Ok(None)
        }
        "running" => Ok(Some(Claim::Running(found.batch_id))),
        "created" => replay(app, caller, found.batch_id, found.user_count).await,
        state => Err(Error::new(
            Code::Conflict,
            format!(
                "the batch of this Idempotency-Key, {}, is {state}: use a new key to create it again",
                found.batch_id
            ),
        )),
    }
}

async fn replay(app: &App, caller: &Caller, batch_id: Id<Batch>, users: i32) -> Result<Option<Claim>> {
    let found = sqlx::query!(
        "select response, idempotency_key from batches where organization_id = $1 and batch_id = $2",
        caller.organization_id.uuid(),
        batch_id.uuid(),
    )
    .fetch_optional(&app.db.batch)
    .await?;
    let users = usize::try_from(users).unwrap_or_default();
    match found {
        Some(found) if found.response.is_none() && found.idempotency_key.is_some() => Err(Error::new(
            Code::Conflict,
            format!(
                "users of batch {batch_id} have been deleted since, and the answer with them: nothing was done; \
                 `GET /api/v2/batches/{batch_id}/results` has those who are left"
            ),
        )),
        found => {
            let response = found.and_then(|found| found.response);
            Ok(response.map(|response| Claim::Replay { batch_id, response, users }))
        }
    }
}

/// Lets a key go that is no longer to be remembered.
async fn forget_key(app: &App, organization_id: Id<Organization>, batch_id: Id<Batch>) -> Result<()> {
    sqlx::query!(
        r#"
        update batches
        set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where organization_id = $1 and batch_id = $2 and state <> 'running' and key_expires_at <= $3
        "#,
        organization_id.uuid(),
        batch_id.uuid(),
        app.clock.now(),
    )
    .execute(&app.db.batch)
    .await?;
    Ok(())
}

/// Lets go of the keys that have expired, at most a thousand at once.
pub(super) async fn forget_keys(app: &App) -> Result<u64> {
    let forgotten = sqlx::query!(
        r#"
        update batches
        set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
        where (organization_id, batch_id) in (
            select organization_id, batch_id from batches
            where idempotency_key is not null and key_expires_at <= $1 and state <> 'running'
            order by key_expires_at
            limit 1000
            for update skip locked
        )
        "#,
        app.clock.now(),
    )
    .execute(&app.db.interactive)
    .await?;
    Ok(forgotten.rows_affected())
}
