//! The one way to write: a [`Change`].
//!
//! A change is a caller who may, a transaction, a time, and the audit events of what was
//! done. Functions that write take `&mut Change`, so none can write unasked, and
//! [`Change::commit`] refuses when nothing was recorded, so none can write unseen.
//!
//! # Decisions
//!
//! *A change is work that is handed to [`App::change`]*, not something an operation begins and ends. So committing,
//! taking back and recording a refusal stand in one place, and no operation can forget one of them.
//!
//! *A refusal is recorded after the change was rolled back and has given its connection up.* A second connection
//! beside the first would be one more than there may be: if all were held by changes that are refused at once, each
//! would wait for another. For the same reason a permission that turns out to be needed in the middle of a change is
//! asked for with [`Change::authorize`].
//!
//! *A refused change costs one row, as one that is made does.* Whoever may change things can fill the log either way.
//! What anybody may ask without a key is not recorded when it is refused for its state ([`crate::device_logins`]).
//!
//! *A dry run that is refused is not recorded*: it was no attempt, and one that succeeds leaves nothing either.
//!
//! `BEGIN` runs in a task of its own. sqlx up to 0.9.0 puts a connection back into the pool
//! with a transaction open when a `begin()` is cancelled (sqlx issue 4393), and a web handler
//! is cancelled whenever its client hangs up. Later statements are safe: dropping the
//! transaction rolls it back before the connection is used again.
//!
//! A change of keys or permissions makes this instance forget who holds which key, whoever wrote it: no
//! operation has to remember to. Other instances notice within a second ([`crate::caller::KeyHolders`]).

use std::ops::DerefMut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::app::App;
use crate::audit::{self, ActorRef, AuditDenial, Event, Target};
use crate::caller::{Action, Caller, KeyHolders};
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, Organization};
use crate::metrics::Metrics;
use crate::traces::stage;

/// How long it waits for a lock: as [`Patience`] says.
pub(crate) const LOCK: Duration = Duration::from_secs(2);

/// How long at least.
const SHORTEST: Duration = Duration::from_millis(100);

/// A write in progress. Dropped without [`Change::commit`], nothing of it happened.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Postgres>,
    caller: Caller,
    now: DateTime<Utc>,
    events: Vec<Event>,
    target: Target,
    denied: Option<Action>,
    is_taken_back: bool,
    key_holders: Arc<KeyHolders>,
    metrics: Arc<Metrics>,
}

/// A change that was not made.
#[derive(Debug)]
pub(crate) struct Unmade {
    /// Why.
    pub(crate) error: Error,
    /// What to record of it, if anything.
    pub(crate) refusal: Option<(Action, AuditDenial)>,
}

/// Time limits of a change, set for its transaction only, so that a connection pooler
/// between muster and PostgreSQL may hand the connection to others afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// For changes that people wait for: 5 s a statement.
    Usual,
    /// For a batch: 30 s a statement, and no table read from end to end. PostgreSQL plans once for each
    /// connection how it looks up what a row refers to, and in a database of a few users it plans to
    /// read them all: on that connection it would then do so for each row of a list of 100,000.
    Batch,
    /// For a batch that goes on without its client: as long for a lock as another long batch may hold it.
    BatchApart,
}

impl Patience {
    /// How long it may wait for a lock if so much is left of the time for a connection and a lock; `None`: as long as
    /// ever. Where a locked table keeps all connections busy, the next one is had when those before give up.
    fn left(self, time: Duration) -> Option<Duration> {
        (time < LOCK && !matches!(self, Self::BatchApart)).then(|| time.max(SHORTEST))
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Usual => {
                "begin isolation level read committed; set local statement_timeout = '5s'; \
                 set local lock_timeout = '2s'; set local idle_in_transaction_session_timeout = '10s'"
            }
            Self::Batch => {
                "begin isolation level read committed; set local statement_timeout = '30s'; \
                 set local lock_timeout = '2s'; set local idle_in_transaction_session_timeout = '10s'; \
                 set local enable_seqscan = off"
            }
            Self::BatchApart => {
                "begin isolation level read committed; set local statement_timeout = '30s'; \
                 set local lock_timeout = '10s'; set local idle_in_transaction_session_timeout = '10s'; \
                 set local enable_seqscan = off"
            }
        }
    }
}

impl Change {
    /// Begins. Only [`crate::app::App`] does, after it has checked the permission.
    pub(crate) async fn begin(
        app: &App,
        pool: &PgPool,
        patience: Patience,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let pool = pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(patience.begin()).await });
        // A database that stands still says nothing, not even that it does. What is given up here wrote nothing: the
        // task that waits drops the transaction when it comes.
        let (start, begun) = (Instant::now(), stage("change.begin", app.in_time(begun)).await);
        let mut transaction = begun?.map_err(Error::internal)??;
        if let Some(left) = patience.left(app.longest_wait().saturating_sub(start.elapsed())) {
            let left = format!("{}ms", left.as_millis());
            sqlx::query!("select set_config('lock_timeout', $1, true)", left).fetch_one(&mut *transaction).await?;
        }
        let (key_holders, metrics) = (Arc::clone(&app.key_holders), Arc::clone(&app.metrics));
        Ok(Self {
            transaction,
            caller: caller.clone(),
            now,
            events: Vec::new(),
            target: Target::Nothing,
            denied: None,
            is_taken_back: false,
            key_holders,
            metrics,
        })
    }

    /// Does `work`, and then commits, or takes it back if it is to be.
    pub(crate) async fn make<T>(
        mut self,
        action: Action,
        target: Target,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T, Unmade> {
        self.target = target;
        let worked = work(&mut self).await;
        let (denied, target, is_taken_back) = (self.denied, self.target, self.is_taken_back);
        let ended = match worked {
            Ok(done) if is_taken_back => self.roll_back().await.map(|()| done),
            Ok(done) => self.commit().await.map(|()| done).map_err(Error::from),
            Err(error) => {
                // If the connection broke, PostgreSQL has rolled it back.
                let _ = self.roll_back().await;
                Err(error)
            }
        };
        ended.map_err(|error| {
            let refusal = match denied {
                Some(needed) if error.code() == Code::Forbidden => Some((needed, AuditDenial::Forbidden)),
                _ if is_taken_back => None,
                _ => AuditDenial::of_change(target, &error).map(|refusal| (action, refusal)),
            };
            Unmade { error, refusal }
        })
    }

    /// Checks that the caller may do something more, which the change turns out to be. If not, that is recorded.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn authorize(&mut self, action: Action) -> Result<()> {
        self.caller.check(action).inspect_err(|_| self.denied = Some(action))
    }

    /// Says what it is about, if that was not known when it began: a refusal is recorded about this.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// The time of the change: the same for everything it writes.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Who makes it.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The caller, as the actor of what is written.
    #[must_use]
    pub fn actor(&self) -> ActorRef {
        self.caller.principal.into()
    }

    /// The organization it is made in.
    #[must_use]
    pub const fn organization_id(&self) -> Id<Organization> {
        self.caller.organization_id
    }

    /// Says what was done. Written to the audit log at commit.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Makes it all real: writes the audit events and commits.
    ///
    /// # Errors
    /// `internal` when nothing was recorded: that is a bug, and nothing was written.
    /// Any error of the database; if the connection broke while committing, whether the
    /// change happened is unknown, and the error's class says so ([`crate::postgres::ErrorClass`]).
    pub async fn commit(mut self) -> Result<(), CommitError> {
        if self.events.is_empty() {
            return Err(CommitError::Before(Error::internal("a change without an audit event")));
        }
        audit::write::append(&mut self.transaction, &self.caller, self.now, &self.events)
            .await
            .map_err(CommitError::Before)?;
        failpoints::reach("change::audited").await;
        let committed = stage("change.commit", self.transaction.commit()).await.map_err(CommitError::During);
        // Even if the answer was lost, it may have happened.
        if self.events.iter().any(Event::changes_access) {
            self.key_holders.clear();
        }
        if committed.is_ok() {
            self.metrics.count_events(&self.events);
        }
        committed
    }

    /// Says that it is to be taken back, whatever is written: for a dry run, and for a change that makes nothing
    /// different.
    pub fn take_back(&mut self) {
        self.is_taken_back = true;
    }

    /// Takes it all back, at once.
    ///
    /// # Errors
    /// When the connection broke; then PostgreSQL has taken it back.
    pub async fn roll_back(self) -> Result<()> {
        Ok(self.transaction.rollback().await?)
    }

    /// The connection, inside the transaction. For `write.rs` files.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.transaction.deref_mut()
    }
}

/// A commit that failed.
#[derive(Debug)]
pub enum CommitError {
    /// Before `COMMIT` was sent: nothing happened.
    Before(Error),
    /// After `COMMIT` was sent. PostgreSQL refused it, or its answer was lost.
    During(sqlx::Error),
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Before(error) => error,
            CommitError::During(error) => error.into(),
        }
    }
}
