//! Batches: lists of users that are created together, all or none.
//!
//! [`create()`] takes these steps:
//!
//! 1. It checks the caller's permission before it reads the body.
//! 2. It parses the body (`rows.rs`, `row.rs`).
//! 3. It looks up a request with an `Idempotency-Key` (`key.rs`): if the batch was created, the request gets the stored
//!    response; if the batch is in progress, 409. Otherwise the request claims a row of its own in state `running`
//!    (`claim.rs`, `lease.rs`).
//! 4. It checks every field of every row and finds duplicate addresses, without stopping at the first finding (`check.rs`).
//!    If the hash pool has no room for the passwords, or they would take longer than `batch.max_sync_seconds`, the request
//!    is rejected here.
//! 5. One query finds the addresses that exist, and adds them to the same [`crate::report::Report`]. (A list without
//!    passwords or findings that is written at once skips the query: step 8 finds the same conflicts.) The pool checks the
//!    strength of the passwords of rows without findings.
//! 6. If there is any finding, the request is rejected here, before passwords are hashed. The response has the complete
//!    report. If the conflicts are with the users of the same request, whose response could not be delivered, it gets
//!    that response.
//! 7. A request without a key claims a row now, unless it has no passwords, or waits for the same request (`repeat.rs`).
//!    The pool hashes the passwords, outside any transaction (`job.rs`).
//! 8. One transaction writes the batch, users, memberships, passwords and audit events (`write.rs`), changes a claimed
//!    row from `running` to `created`, and stores the response for the key. It runs in a task of its own, so that a
//!    client that disconnects does not interrupt it.
//!
//! Before the commit nothing exists, after it everything does. If another request takes an address between steps 5
//! and 8, the insert skips it, a second query finds all such addresses, and the transaction is rolled back.
//!
//! A dry run takes the same steps without hashing, and rolls back. Its response has a plan (`plan.rs`), which a later
//! request can be bound to. A batch that is requested with `Prefer: respond-async`, or with a key, continues when its
//! client disconnects; any other fails (`disconnected`), unless step 8 has begun or the same request was sent again with
//! `Prefer: respond-async`. A batch with a row can be read (`read.rs`), cancelled before step 8 and undone after it
//! (`undo.rs`).
//!
//! # Decisions
//!
//! *Conflicting addresses are found by a second statement*, not by the one that inserts: at READ COMMITTED,
//! `ON CONFLICT DO NOTHING` also skips rows because of transactions that its snapshot does not see.
//!
//! *When the connection breaks during the commit, muster finds out whether the commit took effect.* It locks a claimed
//! row and reads its state: the lock waits for the lost transaction if that is still running. For a batch without a claimed
//! row, it inserts the row again, in a transaction that it rolls back: the insert succeeds only if the lost transaction
//! failed. A plain read would miss a transaction that is about to commit.
//!
//! *Two requests are the same if their bodies are identical, byte for byte.* A retry sends the same bytes; two different
//! texts with the same meaning come from two requests.
//!
//! *A client that closes its connection while its passwords are hashed gives its batch up*, also with FIN: no known client
//! closes only its sending side (`http/disconnect.rs`). Creating users for a client that will report an error, or is sending
//! the list again, surprises its user. A client that wants its batch to continue sends a key.
//!
//! *An asynchronous request marks the row of the batch that it joins*, because the batch may run on another instance. The
//! statement that fails a batch whose client has left checks the mark; until it has, the job continues.
//!
//! *A list without passwords has no row in advance*: it is written at once, so there is nothing to follow, cancel or join,
//! and the extra commit would slow it down.
//!
//! *A list is validated, and its passwords are in the queue, before the response 202 promises that the batch continues
//! without its client.* A failure that can be known in advance is reported immediately.

mod check;
mod claim;
mod create;
mod job;
mod key;
mod lease;
mod plan;
mod read;
mod repeat;
mod row;
mod undo;
pub(crate) mod warnings;
mod write;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::app::App;
use crate::caller::{Action, Source};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Batch, Id};
use crate::names::names;
use crate::report::Finding;
use crate::users::{Account, NewUser};

pub(crate) use check::{check_passwords, fits};
pub use claim::mark_delivered;
pub use create::{create, create_list};
pub(crate) use job::{Hashing, account};
pub use key::{IdempotencyKey, InvalidKey};
pub(crate) use plan::credential_kind;
pub use plan::{InvalidPlan, Plan};
pub use read::{BatchFilter, BatchMember, BatchSummary, CreatedUser, Use, get, list, results};
pub use row::{CheckedList, CheckedUser, Limits, List};
pub(crate) use row::{CheckedRow, check_row};
pub use undo::{UndoOptions, Undone, cancel, undo};

names! {
    /// The state of a batch.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum BatchState {
        /// In progress: nothing was written yet.
        Running = "running",
        /// All users were created.
        Created = "created",
        /// Ended with an error; no user was created.
        Failed = "failed",
        /// Cancelled before any user was created.
        Cancelled = "cancelled",
        /// Created, and its users removed again.
        Undone = "undone",
    }
}

/// The parameters of a request, in addition to the list.
#[derive(Debug)]
pub struct Request {
    /// The kind of client.
    pub source: Source,
    /// The client's file.
    pub file: SourceFile,
    /// Makes retries idempotent.
    pub key: Option<IdempotencyKey>,
    /// The plan that the outcome must match.
    pub plan: Option<Plan>,
    /// Whether to create the users.
    pub mode: Mode,
    /// Whether warnings reject the list.
    pub is_strict: bool,
    /// Renders the response before the transaction, which stores it.
    pub render: Render,
    /// Whether a slow answer becomes [`Answer::InProgress`].
    pub slow: Option<Arc<Slow>>,
}

/// Turns the answer to a request into [`Answer::InProgress`] once it is known to be slow.
#[derive(Debug)]
pub struct Slow {
    /// The estimated time of hashing from which an answer is slow, and how long a request waits for the same one before.
    threshold: Duration,
    noted: Notify,
}

impl Slow {
    /// A request that is slow from this time on.
    #[must_use]
    pub fn new(threshold: Duration) -> Arc<Self> {
        Arc::new(Self { threshold, noted: Notify::new() })
    }

    fn note(&self) {
        self.noted.notify_one();
    }

    async fn noted(&self) {
        self.noted.notified().await;
    }
}

/// Renders the response about a created batch.
pub type Render = fn(&Created) -> Result<Vec<u8>>;

/// Whether to create the users of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only return what would be created.
    DryRun,
    /// Create the users.
    Create {
        /// How long the client waits for the outcome; `None`: until the end.
        wait: Option<Duration>,
    },
}

impl Mode {
    const fn action(self) -> Action {
        match self {
            Self::DryRun => Action::UserBatchDryRun,
            Self::Create { .. } => Action::UserBatchCreate,
        }
    }
}

/// The file of a list, as the client describes it.
#[derive(Clone, Debug, Default)]
pub struct SourceFile {
    /// The file's name, without directories.
    pub name: Option<String>,
    /// SHA-256 of the file. Only its fingerprint is stored.
    pub sha256: Option<[u8; 32]>,
}

/// A [`SourceFile`] as it is stored.
pub(crate) struct FingerprintedFile {
    name: Option<String>,
    digest: Option<Fingerprint>,
}

impl SourceFile {
    fn fingerprinted(&self, app: &App) -> FingerprintedFile {
        let digest = self.sha256.map(|sha256| app.fingerprints.of("file", &sha256));
        FingerprintedFile { name: self.name.clone(), digest }
    }
}

/// The outcome of a request.
pub enum Answer {
    /// The users exist.
    Created(Response),
    /// The batch is in progress, and continues without its client. Only the request that started it gets the warnings.
    Running(Box<BatchSummary>, Vec<Finding>),
    /// The batch, or the same request that it waits for, takes long enough for [`Request::slow`]. Dropping the future is a
    /// disconnect.
    InProgress(Creating),
    /// A dry run succeeded.
    Planned(Planned),
}

/// A batch that is being created.
pub type Creating = Pin<Box<dyn Future<Output = Result<Response>>>>;

/// The response about a created batch.
#[derive(Debug)]
pub struct Response {
    /// The batch's ID.
    pub batch_id: Id<Batch>,
    /// The number of users.
    pub users: usize,
    /// The output of [`Request::render`].
    pub body: Bytes,
    /// Whether an earlier request with the same key created the batch.
    pub is_replayed: bool,
    /// Whether the response is kept until [`mark_delivered`] is called.
    pub is_undelivered: bool,
}

/// The result of a dry run.
#[derive(Debug)]
pub struct Planned {
    /// The users that would be created, in the order of the list.
    pub users: Vec<NewUser>,
    /// Findings that do not prevent the creation, such as weak hashes.
    pub warnings: Vec<Finding>,
    /// The plan that a later request can be bound to.
    pub plan: Plan,
}

/// A batch that was created, or is about to be.
#[derive(Debug)]
pub struct Created {
    /// The batch's ID.
    pub batch_id: Id<Batch>,
    /// The creation time of the batch and all of its users.
    pub created_at: DateTime<Utc>,
    /// The users, in the order of the list.
    pub accounts: Vec<Account>,
    /// Findings that do not prevent the creation, such as weak hashes.
    pub warnings: Vec<Finding>,
}

/// Compresses a response for storage.
fn pack(body: &[u8]) -> Vec<u8> {
    lz4_flex::compress_prepend_size(body)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    lz4_flex::decompress_size_prepended(packed).map_err(Error::internal)
}
