//! The one way to write: a [`Change`].
//!
//! A change is a permitted caller, a transaction, a time, and the audit events of what the transaction
//! wrote. Functions that write take `&mut Change`, so none of them runs without a permission check, and
//! the commit fails if no event was recorded, so no write goes unaudited.
//!
//! # Decisions
//!
//! *A change is a closure that is passed to [`App::change`](crate::app::App::change) or
//! [`App::change_many`](crate::app::App::change_many)*; operations do not begin and end one themselves. Commit,
//! rollback, retries and audit records of denials are therefore in one place.
//!
//! *A denial is recorded after the change was rolled back and has released its connection.* Recording it on a second
//! connection could deadlock the pool: if rejected changes held all connections, each would wait for another. For the
//! same reason a permission that turns out to be needed in the middle of a change is checked with
//! [`Change::authorize`].
//!
//! *A rejected change costs one audit row, as a committed one does.* A caller with permission can fill the log either
//! way. Requests that need no API key are not recorded when they are rejected for their state ([`crate::device_logins`]).
//!
//! *A rejected dry run is not recorded*: a successful one leaves no trace either.
//!
//! *Time limits are set for each transaction, in one `DO` block after `BEGIN`.* Session settings would break behind a
//! transaction pooler such as PgBouncer. Settings in the same simple query as `BEGIN` would save a round trip, but
//! a database that forwards `SET LOCAL` to other nodes (Citus) forwards the text of the whole query. In the block each
//! `SET LOCAL` is a statement of its own. Four or five separate statements would cost as many round trips.
//!
//! *The time of a change is the database's clock when the transaction begins*, read in the same round trip as the settings.
//! All rows and events of the change have this time. A batch is the exception: its response, which is rendered before the
//! transaction, contains the time; it comes from [`Clock::Database`].
//!
//! *`BEGIN` runs in a task of its own.* When a `begin()` is cancelled, sqlx up to 0.9.0 returns the connection to the
//! pool with an open transaction (sqlx issue 4393), and a handler is cancelled whenever its client disconnects. Later
//! statements are safe: dropping the transaction rolls it back before the connection is reused.
//!
//! *`COMMIT` runs in a task of its own, too*, with what follows from it. PostgreSQL commits although the client disconnects
//! and the handler is cancelled, so the cache of holders must be cleared after that, and the events counted.
//!
//! *Access is checked when it takes effect*: first when a change begins, then before its commit, because the change may
//! have waited in between, for passwords to be hashed, for a body, or for a lock. The change locks the
//! caller's access, reads it, and checks every action that the change was authorized for. Whatever lowers the access
//! either waits for the commit or is seen. The locks are taken last, so that a revocation never waits for a long list.
//! A change that can lower its caller's own access confirms it before it does. The locks are on the rows on which the
//! access rests, not on one row for each organization, which a long list would hold for everybody.
//!
//! *The rows of an access are locked in one order*: memberships by user, then memberships of groups by user, then bindings
//! of groups, then passwords, then keys by ID, then sessions by ID, so that owners who suspend each other and keys that revoke each
//! other don't deadlock. A change that lowers access locks the rows that it ends before it confirms its caller's access,
//! which locks the caller's key or session, and writes afterwards. Changes that lower the access of users, groups or policies run one after the other
//! ([`crate::collaborators`]), so that for them the order of memberships and bindings does not matter; changes of keys
//! don't wait for them. A membership stands for its user and the user's memberships of groups: suspending and deleting a
//! user locks it, editing the user's profile does not.
//!
//! *A change of credentials or permissions clears this instance's cache of holders*, whichever operation wrote it. Other
//! instances notice within a second ([`crate::caller::Holders`]).

use std::ops::DerefMut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, Transaction};
use tokio_util::task::TaskTracker;

use crate::audit::{self, ActorRef, AuditDenial, Event, Recorded, Target};
use crate::caller::{self, Action, Caller, Holders, PresentedKey, PresentedSession, Principal};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::failpoints;
use crate::fingerprint::Fingerprints;
use crate::id::{Id, Organization, User};
use crate::metrics::Metrics;
use crate::postgres::ErrorClass;
use crate::traces::stage;

/// The longest wait for a lock, except by a detached batch.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the database's clock, in microseconds since 1970.
const READ_CLOCK: &str = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";

/// The most retries because of concurrent transactions.
const CONTENTION_RETRIES: u32 = 3;

/// The shortest lock timeout, however long the wait for a connection was.
const SHORTEST_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// What changes share: the parts of [`App`](crate::app::App) that they need.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) holders: Arc<Holders>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) fingerprints: Arc<Fingerprints>,
    pub(crate) clock: Clock,
    /// Tracks the tasks that begin and commit transactions.
    pub(crate) tasks: TaskTracker,
    /// How long a change waits for a connection and a lock together.
    pub(crate) timeout: Duration,
}

/// A write in progress. Dropping it without a commit rolls it back.
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Postgres>,
    caller: Caller,
    now: DateTime<Utc>,
    events: Vec<Recorded>,
    target: Target,
    /// The action with which the change began.
    action: Action,
    /// Every action that it was authorized for.
    authorized: Vec<Action>,
    is_access_confirmed: bool,
    denial: Option<(Action, AuditDenial)>,
    is_dry_run: bool,
    holders: Arc<Holders>,
    metrics: Arc<Metrics>,
    fingerprints: Arc<Fingerprints>,
    tasks: TaskTracker,
}

/// A change that was not committed.
#[derive(Debug)]
pub(crate) struct FailedChange {
    pub(crate) error: Error,
    /// The audit record of the denial or rejection, if it is to be recorded.
    pub(crate) denial: Option<(Action, AuditDenial)>,
}

impl From<Error> for FailedChange {
    fn from(error: Error) -> Self {
        Self { error, denial: None }
    }
}

/// The time limits of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TxLimits {
    /// A change of one thing: 5 s a statement, 2 s for a lock.
    Single,
    /// A read whose queries are planned with the values of their parameters.
    PlannedRead,
    /// A change of many rows: 30 s a statement, 2 s for a lock, and no sequential scans. PostgreSQL caches the plans
    /// of foreign key checks for each connection. In a nearly empty database it plans sequential scans, and would
    /// then scan the table for each row of a list of 100,000.
    Batch,
    /// A batch that continues without its client: 10 s for a lock, which is as long as another batch may hold it.
    DetachedBatch,
}

impl TxLimits {
    const fn begin(self) -> &'static str {
        match self {
            Self::PlannedRead => "begin read only; select set_config('plan_cache_mode', 'force_custom_plan', true)",
            Self::Single | Self::Batch | Self::DetachedBatch => "begin isolation level read committed",
        }
    }

    /// The lock timeout, if `left` remains of the time for a connection and a lock together. If a locked table keeps all
    /// connections busy, waiting requests get a connection when the holders time out.
    fn lock_timeout(self, left: Duration) -> Duration {
        match self {
            Self::DetachedBatch => Duration::from_secs(10),
            Self::Single | Self::Batch | Self::PlannedRead => left.clamp(SHORTEST_LOCK_TIMEOUT, LOCK_TIMEOUT),
        }
    }

    /// The settings of a write, as the statements of a `DO` block, and a query of the time.
    fn settings(self, lock_timeout: Duration) -> String {
        let (statement_timeout, planner) = match self {
            Self::Single | Self::PlannedRead => ("5s", ""),
            Self::Batch | Self::DetachedBatch => ("30s", "set local enable_seqscan = off;"),
        };
        let lock_timeout = lock_timeout.as_millis();
        format!(
            "do $$ begin set local statement_timeout = '{statement_timeout}'; \
             set local lock_timeout = '{lock_timeout}ms'; \
             set local idle_in_transaction_session_timeout = '10s'; {planner} end $$; {READ_CLOCK}"
        )
    }

    /// How long a change is retried while the database is unavailable. A detached batch waits longer, because a retry of
    /// its request would hash all passwords again.
    const fn outage(self) -> Duration {
        match self {
            Self::Single | Self::PlannedRead => Duration::ZERO,
            Self::Batch => Duration::from_secs(1),
            Self::DetachedBatch => Duration::from_secs(30),
        }
    }
}

/// The retries of one change of many rows.
#[derive(Debug)]
pub(crate) struct Retries {
    limits: TxLimits,
    start: Instant,
    count: u32,
}

impl Retries {
    pub(crate) fn new(limits: TxLimits) -> Self {
        Self { limits, start: Instant::now(), count: 0 }
    }

    pub(crate) const fn limits(&self) -> TxLimits {
        self.limits
    }

    /// Whether to retry after `error`. PostgreSQL reports a deadlock after one second by default.
    pub(crate) fn allow(&mut self, error: &Error) -> bool {
        let (elapsed, outage) = (self.start.elapsed(), self.limits.outage());
        self.count += 1;
        match error.class() {
            Some(ErrorClass::Contended) => self.count <= CONTENTION_RETRIES && elapsed < outage.max(LOCK_TIMEOUT),
            Some(ErrorClass::Unavailable) => elapsed < outage,
            _ => false,
        }
    }
}

/// Corrects `clock`, for a process that has not begun a transaction for a while.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn read_clock(connection: &mut PgConnection, clock: &Clock) -> sqlx::Result<()> {
    let reading = clock.start_reading();
    reading.finish(sqlx::raw_sql(READ_CLOCK).fetch_one(connection).await?.try_get(0)?);
    Ok(())
}

/// Begins a transaction within `limits`, and within `context.timeout`. Returns it with the time at which it began.
///
/// # Errors
/// `unavailable` when the database does not respond. A transaction that begins later is dropped.
pub(crate) async fn begin(
    pool: &PgPool,
    context: &Context,
    limits: TxLimits,
) -> Result<(Transaction<'static, Postgres>, DateTime<Utc>)> {
    let (pool, clock, timeout, start) = (pool.clone(), context.clock.clone(), context.timeout, Instant::now());
    let begun = context.tasks.spawn(async move {
        let mut transaction = pool.begin_with(limits.begin()).await?;
        if matches!(limits, TxLimits::PlannedRead) {
            // The limits of its connection apply.
            return Ok((transaction, clock.now()));
        }
        let lock_timeout = limits.lock_timeout(timeout.saturating_sub(start.elapsed()));
        let reading = clock.start_reading();
        let settings = sqlx::raw_sql(AssertSqlSafe(limits.settings(lock_timeout)));
        let now = reading.finish(settings.fetch_one(&mut *transaction).await?.try_get(0)?);
        Ok::<_, sqlx::Error>((transaction, now))
    });
    let begun = tokio::time::timeout(timeout, begun).await.map_err(|_| Error::timed_out())?;
    Ok(begun.map_err(Error::internal)??)
}

impl Change {
    /// Begins a change. Called only by [`App`](crate::app::App), after the permission check. `now` is the time of a change
    /// that was prepared before.
    pub(crate) async fn begin(
        pool: &PgPool,
        context: &Context,
        limits: TxLimits,
        caller: &Caller,
        action: Action,
        now: Option<DateTime<Utc>>,
    ) -> Result<Self> {
        let (transaction, began_at) = stage("change.begin", begin(pool, context, limits)).await?;
        Ok(Self {
            transaction,
            caller: *caller,
            now: now.unwrap_or(began_at),
            events: Vec::new(),
            target: Target::Nothing,
            action,
            authorized: vec![action],
            is_access_confirmed: false,
            denial: None,
            is_dry_run: false,
            holders: Arc::clone(&context.holders),
            metrics: Arc::clone(&context.metrics),
            fingerprints: Arc::clone(&context.fingerprints),
            tasks: context.tasks.clone(),
        })
    }

    /// Runs `work`, then commits, or rolls back a dry run.
    pub(crate) async fn run<T>(
        mut self,
        target: Target,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T, FailedChange> {
        self.target = target;
        match work(&mut self).await {
            Ok(done) if self.is_dry_run => self.roll_back().await.map(|()| done).map_err(FailedChange::from),
            Ok(done) => self.commit().await.map(|()| done),
            Err(error) => Err(self.fail(error).await),
        }
    }

    /// Rolls back because of an error.
    async fn fail(mut self, error: Error) -> FailedChange {
        let denial = match self.denial.take() {
            Some(denial) => Some(denial),
            None if self.is_dry_run => None,
            None => AuditDenial::of_change(self.target, &error).map(|denial| (self.action, denial)),
        };
        // If the connection broke, PostgreSQL has rolled back already.
        let _ = self.roll_back().await;
        FailedChange { error, denial }
    }

    /// Checks a permission that the change turns out to need, now and before the commit. A denial is recorded.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn authorize(&mut self, action: Action) -> Result<()> {
        self.caller.check(action).map_err(|error| self.deny(action, AuditDenial::Forbidden, error))?;
        if !self.authorized.contains(&action) {
            self.authorized.push(action);
        }
        Ok(())
    }

    /// Sets the denial that is recorded when the change fails with `error`, which is returned.
    pub(crate) fn deny(&mut self, action: Action, denial: AuditDenial, error: Error) -> Error {
        self.denial = Some((action, denial));
        error
    }

    /// Locks the caller's access until the change ends, reads it, and checks every action that the change was
    /// authorized for. The commit does this; a change that ends or limits the caller's own access, or that depends on
    /// more than an action, does it before.
    ///
    /// # Errors
    /// `unauthenticated` when the API key or the session is no longer valid; `forbidden` when an action is no longer permitted.
    pub(crate) async fn confirm_access(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_access_confirmed, true) {
            return Ok(());
        }
        let organization_id = self.caller.organization_id;
        let denied = match &mut self.caller.principal {
            Principal::ApiKey { id, user_id, permission, scopes, secret } => {
                let key = PresentedKey { organization_id, key_id: *id, user_id: *user_id, secret: *secret };
                match caller::lock_key_access(&mut self.transaction, key, self.now).await? {
                    Ok(access) => {
                        (*permission, *scopes) = (access.permission, access.scopes);
                        None
                    }
                    Err(why) => Some((why.reason, why.message)),
                }
            }
            Principal::Session { id, user_id, stage, permission, secret, .. } => {
                let session = PresentedSession { organization_id, session_id: *id, user_id: *user_id, secret: *secret };
                match caller::lock_session_access(&mut self.transaction, session, self.now).await? {
                    Ok(access) => {
                        (*stage, *permission) = access;
                        None
                    }
                    Err(why) => Some((why.reason, why.message)),
                }
            }
            Principal::Invitation(_) | Principal::Operator | Principal::System => return Ok(()),
        };
        if let Some((reason, message)) = denied {
            let error = Error::unauthenticated(format!("{message}; nothing was written"));
            return Err(self.deny(self.action, AuditDenial::Unauthenticated(reason), error));
        }
        for action in std::mem::take(&mut self.authorized) {
            self.authorize(action)?;
        }
        failpoints::reach("change::confirmed").await;
        Ok(())
    }

    /// Notes that the caller is a session that this change has written: it holds the locks of [`Change::confirm_access`], and has
    /// checked the same.
    pub(crate) const fn confirm_new_session(&mut self) {
        self.is_access_confirmed = true;
    }

    /// Locks what the caller's access rests on, without the key or the session, for a change that locks several of them.
    pub(crate) async fn lock_own_membership(&mut self) -> Result<()> {
        let (organization_id, user_id) = (self.caller.organization_id, self.caller.user_id());
        caller::lock_membership(&mut self.transaction, organization_id, user_id).await
    }

    /// As [`Change::confirm_access`], if the change is about to lower the access of the caller's own user.
    pub(crate) async fn confirm_own_access(&mut self, lowered: &[Id<User>]) -> Result<()> {
        match self.caller.user_id() {
            Some(user_id) if lowered.contains(&user_id) => self.confirm_access().await,
            _ => Ok(()),
        }
    }

    /// Sets the target of the audit record of a rejection, if it was not known when the change began.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// The time of the change: the same for everything it writes.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The caller that makes the change.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The caller, as the actor of what is written.
    #[must_use]
    pub fn actor(&self) -> ActorRef {
        self.caller.principal.into()
    }

    /// The caller's organization. A change writes to no other.
    #[must_use]
    pub const fn organization_id(&self) -> Id<Organization> {
        self.caller.organization_id
    }

    /// Records an event, which the commit appends to the audit log.
    pub fn record(&mut self, event: Event) {
        self.events.push(Recorded { event, target_email_hmac: None });
    }

    /// As [`Change::record`], for an event about the person with this address, given by its key.
    pub(crate) fn record_about(&mut self, event: Event, email_key: &str) {
        let hmac = audit::address::digest(&self.fingerprints, self.caller.organization_id, email_key);
        self.events.push(Recorded { event, target_email_hmac: Some(hmac) });
    }

    /// Appends the audit events, confirms the caller's access and commits.
    ///
    /// # Errors
    /// `unauthenticated` or `forbidden` when the caller has lost the access meanwhile. `internal` when no event was
    /// recorded, which is a bug, or the database discarded one. Errors of the database; if the connection broke during
    /// the commit, the error's class is [`ErrorClass::OutcomeUnknown`].
    pub(crate) async fn commit(mut self) -> Result<(), FailedChange> {
        if self.events.is_empty() {
            return Err(Error::internal("a change without an audit event").into());
        }
        audit::write::append(&mut self.transaction, &self.caller, self.now, &self.events).await?;
        failpoints::reach("change::written").await;
        if let Err(error) = self.confirm_access().await {
            return Err(self.fail(error).await);
        }
        failpoints::reach("change::audited").await;
        let Self { transaction, events, holders, metrics, tasks, .. } = self;
        let committing = tasks.spawn(async move {
            let committed = transaction.commit().await;
            // A commit whose response was lost may have taken effect.
            if events.iter().any(|recorded| recorded.event.changes_access()) {
                holders.clear();
            }
            if committed.is_ok() {
                metrics.count_events(events.iter().map(|recorded| &recorded.event));
            }
            failpoints::reach("change::committed").await;
            committed
        });
        match stage("change.commit", committing).await.map_err(Error::internal)? {
            Ok(()) => Ok(()),
            Err(error) if ErrorClass::of(&error).is_unknown_after_commit() => Err(Error::commit_unknown(error).into()),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Makes the change a dry run: everything is written and checked, and rolled back at the end. Also for a change
    /// that turns out to change nothing.
    pub fn dry_run(&mut self) {
        self.is_dry_run = true;
    }

    /// Rolls back at once.
    ///
    /// # Errors
    /// When the connection broke; then PostgreSQL has rolled back already.
    pub async fn roll_back(self) -> Result<()> {
        Ok(self.transaction.rollback().await?)
    }

    /// The connection, inside the transaction. For `write.rs` files.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.transaction.deref_mut()
    }
}
