//! Making a batch of rows that are fine: hashing, then one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::lease::{self, Counts, Lease};
use super::write::{self, NewBatch};
use super::{Created, Render, Response, Source, SourceFile, pack};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::change::{CommitError, LOCK, Patience};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::Id;
use crate::passwords::{self, Password, PasswordHash, Progress};
use crate::postgres::ErrorClass;
use crate::report::Finding;
use crate::traces::{self, stage};
use crate::users::{Account, Credential, NewUser, StoredPassword};

/// How often a transaction that others pushed aside is tried again.
const RETRIES: u32 = 3;

/// How long a database that is away is waited for, by whom.
const SHORT_OUTAGE: Duration = Duration::from_secs(1);
const LONG_OUTAGE: Duration = Duration::from_secs(30);

/// From how many users on rendering the answer is work for a thread of its own.
const WORTH_A_THREAD: usize = 256;

/// A list in which everything is fine.
pub(super) struct Work {
    pub(super) source: Source,
    pub(super) file: SourceFile,
    pub(super) users: Vec<NewUser>,
    pub(super) warnings: Vec<Finding>,
    pub(super) render: Render,
}

impl Work {
    pub(super) fn counts(&self) -> Counts {
        let is_plain = |user: &&NewUser| matches!(user.credential, Credential::Password(_));
        Counts {
            users: self.users.len(),
            hashes: self.users.iter().filter(is_plain).count(),
            weak_hashes: self.warnings.len(),
        }
    }
}

/// Passwords that wait to be hashed, or are: taken in already, so that there is room for them.
pub(super) struct Hashing {
    progress: Arc<Progress>,
    hashing: passwords::Hashing,
}

impl Hashing {
    /// Hands the passwords of a list to the pool.
    ///
    /// # Errors
    /// `overloaded`, at once, when others would have to be waited for too long.
    pub(super) fn start(app: &App, users: &[NewUser]) -> Result<Self> {
        let passwords: Vec<Password> = users
            .iter()
            .filter_map(|user| match &user.credential {
                Credential::Password(password) => Some(password.clone()),
                Credential::Sso | Credential::Unset | Credential::Imported { .. } => None,
            })
            .collect();
        let progress = Arc::new(Progress::default());
        let hashing = app.hasher.start_batch(passwords, Arc::clone(&progress))?;
        Ok(Self { progress, hashing })
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    async fn finish(self) -> Result<Vec<PasswordHash>> {
        Ok(self.hashing.finish().await?)
    }
}

/// Makes it. With a lease, until that is lost; dropping the future before the transaction leaves
/// nothing.
///
/// # Errors
/// `batch_conflict` with the complete report when others were faster; `overloaded`; `unavailable`;
/// `conflict` when it was cancelled.
pub(super) async fn run(
    app: &Arc<App>,
    caller: &Caller,
    work: Work,
    hashing: Hashing,
    lease: Option<&Lease>,
) -> Result<Response> {
    let (counts, running) = (work.counts(), app.metrics.batches.start());
    let hash = async {
        failpoints::reach("batch::hashing").await;
        hashing.finish().await
    };
    let hashes = match lease {
        None => stage("batch.hash", hash).await?,
        Some(lease) => tokio::select! {
            biased;
            () = lease.lost() => {
                // Whoever took it away has counted it.
                running.finish();
                return Err(Box::pin(lease.gone()).await);
            }
            () = app.stopping.cancelled() => return Err(Error::shutting_down()),
            hashes = stage("batch.hash", hash) => hashes?,
        },
    };
    failpoints::reach("batch::hashed").await;
    let held = lease.map(Lease::held);
    let now = app.clock.now();
    let batch_id = held.map_or_else(|| Id::new(now), |held| held.batch_id);
    let accounts = accounts(app, now, work.users, hashes);
    let created = Created { batch_id, created_at: now, accounts, warnings: work.warnings };
    let (created, body, response) = render(work.render, created, held.is_some()).await?;
    let file = work.file.fingerprinted(app);
    let batch = NewBatch { held, batch_id, created_at: now, source: work.source, file, counts, response };
    let (writing, caller) = (Arc::clone(app), caller.clone());
    // In a task of its own: whoever waits for it may go away, and it goes on to its end.
    let write = async move {
        let written = write_with_retries(&writing, &caller, &batch, &created.accounts).await;
        // Whoever took its row away has counted it. Also if nobody waits for it any more.
        if written.as_ref().map_or_else(|error| error.code() == Code::Conflict, |()| true) {
            running.finish();
        }
        written
    };
    stage("batch.write", async { tokio::spawn(traces::go_on(write)).await }).await.map_err(Error::internal)??;
    app.note_created(counts.users);
    Ok(Response { batch_id, users: counts.users, body, is_replayed: false })
}

fn accounts(app: &App, now: DateTime<Utc>, users: Vec<NewUser>, hashes: Vec<PasswordHash>) -> Vec<Account> {
    let mut hashes = hashes.into_iter();
    let account = |user: NewUser| Account {
        user_id: Id::new(now),
        identity_id: Id::new(now),
        password: match &user.credential {
            Credential::Password(_) => {
                hashes.next().map(|hash| StoredPassword { hash, must_change: app.config.passwords.must_change })
            }
            Credential::Imported { hash, must_change } => {
                Some(StoredPassword { hash: hash.clone().into(), must_change: *must_change })
            }
            Credential::Sso | Credential::Unset => None,
        },
        user,
    };
    users.into_iter().map(account).collect()
}

/// The answer, before the transaction: what will be sent, and what is kept of it to be sent again.
async fn render(render: Render, created: Created, keep: bool) -> Result<(Created, Bytes, Option<Vec<u8>>)> {
    let is_short = created.accounts.len() < WORTH_A_THREAD;
    let work = move || {
        let body = render(&created)?;
        let packed = keep.then(|| pack(&body));
        Ok((created, Bytes::from(body), packed))
    };
    if is_short { work() } else { tokio::task::spawn_blocking(work).await.map_err(Error::internal)? }
}

/// Writes it, again if it was rolled back through no fault of its own. An error here means that
/// nothing was written, or else its sentence says that this is not known.
async fn write_with_retries(app: &Arc<App>, caller: &Caller, batch: &NewBatch, accounts: &[Account]) -> Result<()> {
    // Whoever has a key or an eye on the batch would rather wait than have everything hashed again.
    let patience = if batch.held.is_some() { LONG_OUTAGE } else { SHORT_OUTAGE };
    let (start, mut attempt) = (Instant::now(), 0);
    loop {
        let error = match write_once(app, caller, batch, accounts).await {
            Ok(()) => {
                failpoints::reach("batch::committed").await;
                return Ok(());
            }
            Err(error) => error,
        };
        app.db.observe(&error);
        let again = match error.class() {
            // A deadlock is told after one second, by PostgreSQL's default; a lock that is not given up, after two.
            Some(ErrorClass::Contended) => attempt < RETRIES && start.elapsed() < patience.max(LOCK),
            Some(ErrorClass::Unavailable) => start.elapsed() < patience && !app.stopping.is_cancelled(),
            _ => false,
        };
        if !again {
            return Err(error);
        }
        attempt += 1;
        tracing::info!(attempt, error = error.chain(), "a batch's transaction was rolled back; trying again");
        tokio::time::sleep(Duration::from_millis(rand::random_range(10..=200))).await;
    }
}

/// The transaction.
async fn write_once(app: &Arc<App>, caller: &Caller, batch: &NewBatch, accounts: &[Account]) -> Result<()> {
    let patience = if batch.held.is_some() { Patience::BatchApart } else { Patience::Batch };
    let mut change = app.batch_change(caller, Action::UserBatchCreate, patience, batch.created_at).await?;
    failpoints::reach("batch::begun").await;
    if !write::insert(&mut change, batch, accounts).await? {
        drop(change);
        return Err(match batch.held {
            Some(held) => Box::pin(lease::gone(app, held)).await,
            None => Error::internal("a batch id that exists"),
        });
    }
    failpoints::reach("batch::inserted").await;
    match change.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::During(error)) if ErrorClass::of(&error).is_unknown_after_commit() => {
            let batch_id = batch.batch_id;
            tracing::warn!(%error, %batch_id, "the connection broke while a batch was committed; asking what happened");
            if !Box::pin(write::happened(app, caller, batch)).await? {
                return Err(error.into());
            }
            app.metrics.count_confirmed_batch(accounts.len());
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
