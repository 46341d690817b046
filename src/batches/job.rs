//! Creates a batch whose rows are valid: hashes the passwords, then writes everything in one transaction.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::lease::{self, Counts, Lease};
use super::warnings::weak_hashes;
use super::write::{self, NewBatch};
use super::{Created, Render, Response, Source, SourceFile, pack};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::{FailedChange, Retries, TxLimits};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::Id;
use crate::metrics::RunningBatch;
use crate::passwords::{self, Password, PasswordHash, Place, Progress};
use crate::postgres::ErrorClass;
use crate::report::Finding;
use crate::request_body::BodyShare;
use crate::traces::stage;
use crate::users::{Account, Credential, NewUser, StoredPassword};

/// The number of users from which the response is rendered on a thread of its own.
const RENDER_THREAD_THRESHOLD: usize = 256;

/// A valid list, with its passwords in the queue.
pub(super) struct Job {
    pub(super) source: Source,
    pub(super) file: SourceFile,
    pub(super) users: Vec<NewUser>,
    pub(super) warnings: Vec<Finding>,
    pub(super) render: Render,
    pub(super) hashing: Hashing,
    pub(super) max_findings: usize,
    /// The memory of the list, until the batch ends.
    pub(super) _share: BodyShare,
    /// Whether the client gets the ID of the batch instead of the response.
    pub(super) is_async: bool,
}

impl Job {
    pub(super) fn counts(&self) -> Counts {
        Counts { users: self.users.len(), hashes: self.hashing.rows.len(), weak_hashes: weak_hashes(&self.warnings) }
    }
}

/// The passwords of a list, in the queue of the hash pool. Dropping it removes them from the queue.
pub(crate) struct Hashing {
    /// For each password in the queue, the index of its user.
    rows: Vec<usize>,
    progress: Arc<Progress>,
    hashing: passwords::Hashing,
}

impl Hashing {
    /// Moves the passwords out of `users` into their place in the queue, so that each is in memory once.
    pub(crate) fn start(place: Place, users: &mut [NewUser]) -> Self {
        let (rows, passwords): (Vec<usize>, Vec<Password>) = users
            .iter_mut()
            .enumerate()
            .filter_map(|(row, user)| Some((row, user.credential.take_password()?)))
            .unzip();
        let progress = Arc::new(Progress::default());
        let hashing = place.hash(passwords, Arc::clone(&progress));
        Self { rows, progress, hashing }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The hashes, each with the index of its user.
    pub(crate) async fn finish(self) -> Result<Vec<(usize, PasswordHash)>> {
        let hashes = self.hashing.finish().await?;
        Ok(self.rows.into_iter().zip(hashes).collect())
    }
}

/// A batch whose passwords are hashed.
pub(super) struct Hashed {
    batch: NewBatch,
    created: Created,
    body: Bytes,
    is_undelivered: bool,
    running: RunningBatch,
    /// The memory of the list.
    share: BodyShare,
}

/// Hashes the passwords. With a lease it stops when the lease is lost.
///
/// # Errors
/// `overloaded`; `conflict` when the batch was cancelled; `unavailable` at shutdown.
pub(super) async fn hash(app: &Arc<App>, job: Job, lease: Option<&Lease>) -> Result<Hashed> {
    let (counts, running) = (job.counts(), app.metrics.batches.start());
    let Job { source, file, users, warnings, render, hashing, max_findings, _share: share, is_async } = job;
    let hash = async {
        failpoints::reach("batch::hashing").await;
        hashing.finish().await
    };
    let hashes = match lease {
        None => stage("batch.hash", hash).await?,
        Some(lease) => tokio::select! {
            biased;
            () = lease.lost.cancelled() => {
                // The request or housekeeping round that ended the lease has counted the batch.
                running.finish();
                return Err(Box::pin(lease::lost_error(app, lease.held)).await);
            }
            () = app.stopping.cancelled() => return Err(Error::shutting_down()),
            hashes = stage("batch.hash", hash) => hashes?,
        },
    };
    failpoints::reach("batch::hashed").await;
    let held = lease.map(|lease| lease.held);
    let now = app.clock.now();
    let batch_id = held.map_or_else(|| Id::new(now), |held| held.batch_id);
    let mut accounts: Vec<Account> = users.into_iter().map(|user| account(now, user)).collect();
    for (row, hash) in hashes {
        if let Some(account) = accounts.get_mut(row) {
            account.password = Some(StoredPassword { hash, must_change: app.config.passwords.must_change });
        }
    }
    let created = Created { batch_id, created_at: now, accounts, warnings };
    let (created, body, response) = render_response(render, created, held.is_some()).await?;
    let file = file.fingerprinted(app);
    let batch = NewBatch { held, batch_id, created_at: now, source, file, counts, response, max_findings, is_async };
    let is_undelivered = lease.is_some_and(|lease| lease.is_attached);
    Ok(Hashed { batch, created, body, is_undelivered, running, share })
}

impl Hashed {
    /// Writes the batch with its users in one transaction.
    ///
    /// # Errors
    /// `batch_conflict` with the complete report when addresses were taken meanwhile; `unavailable`; `conflict` when the
    /// batch was cancelled.
    pub(super) async fn write(self, app: &App, caller: &Caller) -> Result<Response> {
        let Self { batch, created, body, is_undelivered, running, share } = self;
        let written = write_batch(app, caller, &batch, &created.accounts).await;
        drop((created, share));
        if written.as_ref().map_or_else(|error| error.code() == Code::Conflict, |()| true) {
            running.finish();
        }
        written?;
        let users = batch.counts.users;
        app.note_created(users);
        Ok(Response { batch_id: batch.batch_id, users, body, is_replayed: false, is_undelivered })
    }
}

/// A new account without the hash of a plaintext password, which is not known yet.
pub(crate) fn account(now: DateTime<Utc>, user: NewUser) -> Account {
    let password = match &user.credential {
        Credential::Imported { hash, must_change } => {
            Some(StoredPassword { hash: hash.clone().into(), must_change: *must_change })
        }
        Credential::Password(_) | Credential::Sso | Credential::Unset => None,
    };
    Account { user_id: Id::new(now), identity_id: Id::new(now), password, user }
}

/// Renders the response before the transaction, which stores it packed if it is to be replayed.
async fn render_response(render: Render, created: Created, keep: bool) -> Result<(Created, Bytes, Option<Vec<u8>>)> {
    let is_short = created.accounts.len() < RENDER_THREAD_THRESHOLD;
    let work = move || {
        let body = render(&created)?;
        let packed = keep.then(|| pack(&body));
        Ok((created, Bytes::from(body), packed))
    };
    if is_short { work() } else { tokio::task::spawn_blocking(work).await.map_err(Error::internal)? }
}

/// Writes the batch, with retries. After an error nothing was written, unless its message says that the outcome is
/// unknown.
async fn write_batch(app: &App, caller: &Caller, batch: &NewBatch, accounts: &[Account]) -> Result<()> {
    let limits = if batch.held.is_some() { TxLimits::DetachedBatch } else { TxLimits::Batch };
    let mut retries = Retries::new(limits);
    loop {
        match write_once(app, caller, limits, batch, accounts).await {
            Ok(()) => {
                failpoints::reach("batch::committed").await;
                return Ok(());
            }
            Err(FailedChange { error, denial }) => {
                if let Err(error) = app.retry(&mut retries, error).await {
                    return app.finish(caller, Err(FailedChange { error, denial })).await;
                }
            }
        }
    }
}

/// One transaction.
async fn write_once(
    app: &App,
    caller: &Caller,
    limits: TxLimits,
    batch: &NewBatch,
    accounts: &[Account],
) -> Result<(), FailedChange> {
    let mut change = app.begin_many(caller, Action::UserBatchCreate, limits, Some(batch.created_at)).await?;
    failpoints::reach("batch::begun").await;
    if !write::insert(&mut change, batch, accounts).await? {
        change.roll_back().await?;
        let error = match batch.held {
            Some(held) => Box::pin(lease::lost_error(app, held)).await,
            None => Error::internal("the ID of a new batch exists already"),
        };
        return Err(error.into());
    }
    failpoints::reach("batch::inserted").await;
    let error = match change.commit().await {
        Err(FailedChange { error, .. }) if error.class() == Some(ErrorClass::OutcomeUnknown) => error,
        committed => return committed,
    };
    let (error, batch_id) = (error.chain(), batch.batch_id);
    tracing::warn!(error, %batch_id, "connection lost while committing a batch; checking whether it was committed");
    if !Box::pin(write::was_committed(app, caller, batch)).await? {
        let message = "the connection to the database was lost during the commit; nothing was written";
        return Err(Error::timed_out().with_message(message).into());
    }
    app.metrics.count_confirmed_batch(accounts.len());
    Ok(())
}
