//! The one way to write: a [`Change`].
//!
//! A change is a caller who may, a transaction, a time, and the audit events of what was
//! done. Functions that write take `&mut Change`, so none can write unasked, and
//! [`Change::commit`] refuses when nothing was recorded, so none can write unseen.
//!
//! # Decisions
//!
//! `BEGIN` runs in a task of its own. sqlx up to 0.9.0 puts a connection back into the pool
//! with a transaction open when a `begin()` is cancelled (sqlx issue 4393), and a web handler
//! is cancelled whenever its client hangs up. Later statements are safe: dropping the
//! transaction rolls it back before the connection is used again.
//!
//! A change of keys or permissions makes this instance forget who holds which key, whoever wrote it: no
//! operation has to remember to. Other instances notice within a second ([`crate::keys::Identities`]).

use std::ops::DerefMut;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::id::{Id, Organization};
use crate::keys::Identities;
use crate::metrics::Metrics;
use crate::traces::stage;

/// A write in progress. Dropped without [`Change::commit`], nothing of it happened.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Postgres>,
    caller: Caller,
    now: DateTime<Utc>,
    events: Vec<Event>,
    identities: Arc<Identities>,
    metrics: Arc<Metrics>,
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
}

impl Patience {
    const fn begin(self) -> &'static str {
        match self {
            Self::Usual => {
                "begin isolation level read committed; set local statement_timeout = '5s'; \
                 set local lock_timeout = '2s'; set local idle_in_transaction_session_timeout = '10s'"
            }
            Self::Batch => {
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
        let transaction = stage("change.begin", begun).await.map_err(Error::internal)??;
        let (identities, metrics) = (Arc::clone(&app.identities), Arc::clone(&app.metrics));
        Ok(Self { transaction, caller: caller.clone(), now, events: Vec::new(), identities, metrics })
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
    /// change happened is unknown, and the error's class says so ([`crate::postgres::Fault`]).
    pub async fn commit(mut self) -> Result<(), CommitError> {
        if self.events.is_empty() {
            return Err(CommitError::Before(Error::internal("a change without an audit event")));
        }
        audit::write::append(&mut self.transaction, &self.caller, self.now, &self.events)
            .await
            .map_err(CommitError::Before)?;
        fail::fail_point!("change::audited");
        let committed = stage("change.commit", self.transaction.commit()).await.map_err(CommitError::During);
        // Even if the answer was lost, it may have happened.
        if self.events.iter().any(Event::changes_access) {
            self.identities.forget();
        }
        if committed.is_ok() {
            self.metrics.committed(&self.events);
        }
        committed
    }

    /// Takes it all back, at once: for a dry run, which is a change that was not to be.
    ///
    /// # Errors
    /// When the connection broke; then PostgreSQL has taken it back.
    pub async fn take_back(self) -> Result<()> {
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
