//! Batches: lists of users who are created together, all of them or none.
//!
//! The story of one, as [`create`] tells it:
//!
//! 1. The caller's permission is checked before anything is read.
//! 2. The body is read and taken apart (`json.rs`, `row.rs`): every field of every row is checked, and
//!    addresses that occur twice are found. Nothing stops at the first finding.
//! 3. One query asks which addresses exist already. They join the same [`Report`].
//! 4. Any finding ends it here, with all of them in the answer, before any work for hashing.
//! 5. Passwords are hashed by the pool, outside any transaction.
//! 6. One transaction writes the batch, users, memberships, passwords and audit events. It runs
//!    in a task of its own, so that a client that hangs up doesn't cut it in two.
//!
//! Until the commit there is nothing; after it there is everything. Should somebody else take an
//! address between steps 3 and 6, the insert comes out short, a second query finds all
//! of them, and the transaction is given up.
//!
//! # Decisions
//!
//! Who was first is asked in a *second statement*, not in the one that inserts: at READ COMMITTED
//! `ON CONFLICT DO NOTHING` also skips rows for transactions that its own snapshot can't see.
//!
//! When the connection breaks while committing, nobody knows whether it happened. The outcome is
//! found by inserting the batch's row once more, in a transaction that is then rolled back: that
//! waits for the lost transaction, should it still run, and succeeds exactly if that one failed.
//! Just reading would miss one that is about to commit.

pub mod file;
mod json;
mod row;
mod write;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::Refusal;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::CommitError;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id};
use crate::passwords::{HashError, Password};
use crate::postgres::Fault;
use crate::report::{Finding, Report};
use crate::users::{self, Account, Credential, NewUser};

pub use row::{Checked, Limits, check};

/// How often a transaction that others pushed aside is tried again.
const RETRIES: u32 = 3;

/// What kind of client a batch came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The vendor's CLI or SDK.
    VendorClient,
    /// muster's CLI or Rust client.
    MusterClient,
    /// Anything else that speaks HTTP.
    Http,
}

impl Source {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VendorClient => "vendor_client",
            Self::MusterClient => "muster_client",
            Self::Http => "http",
        }
    }
}

/// A batch that was created.
#[derive(Debug)]
pub struct Created {
    /// Which.
    pub batch_id: Id<Batch>,
    /// When; the same for all of its users.
    pub created_at: DateTime<Utc>,
    /// Its users, in the order of the request.
    pub accounts: Vec<Account>,
}

/// Creates all users of a list, or none.
///
/// `body` is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`; what reading the body gives; `invalid_json`, `invalid_request`, `empty_batch`,
/// `too_large`; `batch_rejected` or `batch_conflict` with the complete report; `overloaded`;
/// `unavailable`. Nothing is written unless the result is `Ok`.
pub async fn create(
    app: &Arc<App>,
    caller: &Caller,
    source: Source,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Created> {
    app.authorize(caller, Action::UserBatchCreate).await?;
    let created = match body.await {
        Ok(body) => create_from(app, caller, source, body).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &created {
        record_refusal(app, caller, error).await;
    }
    created
}

async fn create_from(app: &Arc<App>, caller: &Caller, source: Source, body: Bytes) -> Result<Created> {
    fail::fail_point!("batch::received");
    let checked = check_in_thread(app, body).await?;
    let Checked { users, mut report } = checked;
    let taken = {
        let emails: Vec<_> = users.iter().map(|(_, email, _)| email).collect();
        let mut connection = app.db.batch.acquire().await?;
        users::read::taken(&mut connection, caller.organization_id, &emails).await?
    };
    for place in taken {
        if let Some((index, email, _)) = users.get(place) {
            report.add(Finding::email_taken(*index, email.as_str()));
        }
    }
    if !report.is_empty() {
        return Err(Error::rejected(report));
    }
    // No finding: every row has become a user.
    let users: Vec<NewUser> = users.into_iter().filter_map(|(_, _, user)| user).collect();
    fail::fail_point!("batch::checked");

    let accounts = hash(app, users).await?;
    fail::fail_point!("batch::hashed");

    let (app, caller) = (Arc::clone(app), caller.clone());
    tokio::spawn(async move { write_with_retries(&app, &caller, source, accounts).await })
        .await
        .map_err(Error::internal)?
}

/// Checking is work for a processor, and this thread has other requests to serve.
async fn check_in_thread(app: &Arc<App>, body: Bytes) -> Result<Checked> {
    let limits = Limits { max_users: app.config.batch.max_users, policy: app.policy };
    tokio::task::spawn_blocking(move || check(&body, &limits)).await.map_err(Error::internal)?
}

async fn hash(app: &App, users: Vec<NewUser>) -> Result<Vec<Account>> {
    let passwords: Vec<Password> = users
        .iter()
        .filter_map(|user| match &user.credential {
            Credential::Password(password) => Some(password.clone()),
            Credential::Sso | Credential::Unset => None,
        })
        .collect();
    let mut hashes = app.hasher.hash_batch(passwords, Arc::default()).await.map_err(hash_error)?.into_iter();
    let now = app.clock.now();
    Ok(users
        .into_iter()
        .map(|user| Account {
            user_id: Id::new(now),
            identity_id: Id::new(now),
            password: match user.credential {
                Credential::Password(_) => hashes.next(),
                Credential::Sso | Credential::Unset => None,
            },
            user,
        })
        .collect())
}

fn hash_error(error: HashError) -> Error {
    match error {
        HashError::Busy(busy) => Error::overloaded(
            "other batches are being hashed, and no more fit right now; nothing was written",
            busy.retry_after,
        ),
        HashError::Failed(error) => Error::internal(error),
    }
}

async fn write_with_retries(
    app: &Arc<App>,
    caller: &Caller,
    source: Source,
    accounts: Vec<Account>,
) -> Result<Created> {
    let batch_id = Id::new(app.clock.now());
    let mut attempt = 0;
    loop {
        match write_once(app, caller, source, batch_id, &accounts).await {
            Ok(created_at) => {
                fail::fail_point!("batch::committed");
                return Ok(Created { batch_id, created_at, accounts });
            }
            Err(error) if error.fault() == Some(Fault::Retry) && attempt < RETRIES => {
                attempt += 1;
                tracing::info!(attempt, "a batch's transaction was pushed aside by another; trying again");
                tokio::time::sleep(Duration::from_millis(rand::random_range(10..=200))).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The transaction. Gives the time that is written on everything in it.
async fn write_once(
    app: &Arc<App>,
    caller: &Caller,
    source: Source,
    batch_id: Id<Batch>,
    accounts: &[Account],
) -> Result<DateTime<Utc>> {
    let mut change = app.batch_change(caller, Action::UserBatchCreate).await?;
    let now = change.now();
    fail::fail_point!("batch::begun");
    write::insert(&mut change, batch_id, source, accounts.len()).await?;
    let free = users::write::insert(&mut change, Some(batch_id), accounts).await?;
    if free < accounts.len() {
        fail::fail_point!("batch::outrun");
        let emails: Vec<_> = accounts.iter().map(|account| &account.user.email).collect();
        let taken = users::read::taken_before(&mut change, batch_id, &emails).await?;
        let mut report = Report::new(accounts.len());
        for (index, email) in taken.into_iter().filter_map(|index| Some((index, *emails.get(index)?))) {
            report.add(Finding::email_taken(index, email.as_str()));
        }
        // Somebody was in the way and has gone since: the next attempt will not meet them.
        return Err(if report.is_empty() { Error::pushed_aside() } else { Error::rejected(report) });
    }
    users::write::insert_collaborators(&mut change, accounts, PermissionLevel::Collaborator).await?;
    users::write::insert_passwords(&mut change, accounts, app.config.passwords.must_change).await?;
    fail::fail_point!("batch::inserted");
    match change.commit().await {
        Ok(()) => Ok(now),
        Err(CommitError::During(error)) if Fault::of(&error) == Fault::Unavailable => {
            tracing::warn!(%error, %batch_id, "the connection broke while a batch was committed; asking what happened");
            if write::happened(app, caller, source, batch_id).await? { Ok(now) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

async fn record_refusal(app: &App, caller: &Caller, error: &Error) {
    // A database that is away can't take the record either, and the caller would wait for that.
    if matches!(error.code(), Code::Internal | Code::Unavailable) {
        return;
    }
    let refusal = Refusal::BatchRejected {
        code: error.code().as_str(),
        rows: error.report().map_or(0, Report::total),
        findings: error.report().map(Report::counts).unwrap_or_default(),
    };
    app.refused(caller, Action::UserBatchCreate, &refusal).await;
}
