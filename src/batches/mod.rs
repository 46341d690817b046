//! Batches: lists of users who are created together, all of them or none.
//!
//! The story of one, as [`create()`] tells it:
//!
//! 1. The caller's permission is checked before anything is read.
//! 2. A request with a key (`key.rs`) is looked up before anything is done for it: if it was carried
//!    out, it gets the answer that it got; if it is at work, it is told so; if not, it claims a row
//!    (`claim.rs`, `lease.rs`), which is the batch's own, in state `running`.
//! 3. The body is taken apart (`rows.rs`, `row.rs`): every field of every row is checked, and
//!    addresses that occur twice are found. Nothing stops at the first finding.
//! 4. One query asks which addresses exist already. They join the same [`crate::report::Report`]. (A list
//!    that is written at once, without hashing, is not asked about: step 7 finds the same.)
//! 5. Any finding ends it here, with all of them in the answer, before any work for hashing.
//! 6. Passwords are hashed by the pool, outside any transaction (`job.rs`).
//! 7. One transaction writes the batch, users, memberships, passwords and audit events (`write.rs`), turns a
//!    claimed row from `running` to `created`, and keeps the answer for the request's key. It runs in
//!    a task of its own, so that a client that hangs up doesn't cut it in two.
//!
//! Until the commit there is nothing; after it there is everything. Should somebody else take an
//! address between steps 4 and 7, the insert comes out short, a second query finds all
//! of them, and the transaction is given up.
//!
//! A dry run takes the same steps, without hashing, and takes the transaction back; it answers
//! with a plan (`plan.rs`) that a later request can be held to. A batch that is asked for with `Prefer:
//! respond-async`, or with a key, goes on whether or not its client waits. It can be looked at
//! (`read.rs`), stopped before step 7 and undone after it (`undo.rs`).
//!
//! # Decisions
//!
//! Who was first is asked in a *second statement*, not in the one that inserts: at READ COMMITTED
//! `ON CONFLICT DO NOTHING` also skips rows for transactions that its own snapshot can't see.
//!
//! When the connection breaks while committing, nobody knows whether it happened. A claimed row is
//! locked and its state read: that waits for the lost transaction, should it still run, and
//! tells. A batch without one is asked for by inserting its row once more, in a transaction that is
//! rolled back: it succeeds exactly if the lost one failed. Just reading would miss one that is about
//! to commit.
//!
//! What makes a request the same as one before is its body, byte for byte. Whoever repeats one has
//! it as it was; two texts of one meaning come from two attempts.
//!
//! Rows of a request are checked, and its passwords taken into the queue, before it is promised (202)
//! to go on without its client: what is known to fail is said at once.

mod claim;
mod create;
mod job;
mod key;
mod lease;
mod plan;
mod read;
mod row;
mod undo;
mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::caller::Action;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::id::{Batch, Id};
use crate::report::Finding;
use crate::users::{Account, NewUser};

pub use create::create;
pub use key::{BadKey, IdempotencyKey};
pub use plan::{BadPlan, Plan};
pub use read::{CreatedUser, Filter, Member, Summary, get, list, results};
pub use row::{Checked, CheckedUser, Limits, check};
pub use undo::{Options, Undone, Use, cancel, undo};

/// How often expired claims and keys are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(2);

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

/// What is asked for, beside the list itself.
#[derive(Debug)]
pub struct Request {
    /// Who sends it.
    pub source: Source,
    /// The file that the list came from.
    pub file: SourceFile,
    /// What its sender calls it, so that sending it again does nothing twice.
    pub key: Option<IdempotencyKey>,
    /// What has to come of it, or nothing is done.
    pub plan: Option<Plan>,
    /// What to do.
    pub mode: Mode,
    /// Writes the answer. It is made before the transaction, and kept in it.
    pub render: Render,
}

/// Writes the answer about a batch.
pub type Render = fn(&Created) -> Result<Vec<u8>>;

/// What to do with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Find out what creating it would do.
    DryRun,
    /// Create it.
    Make {
        /// How long the client waits, until it would rather look again later; `None`: to the end.
        wait: Option<Duration>,
    },
}

impl Mode {
    const fn action(self) -> Action {
        match self {
            Self::DryRun => Action::UserBatchDryRun,
            Self::Make { .. } => Action::UserBatchCreate,
        }
    }
}

/// Where a list comes from, as its sender tells.
#[derive(Clone, Debug, Default)]
pub struct SourceFile {
    /// The file's name, without folders.
    pub name: Option<String>,
    /// SHA-256 of the file. Never kept like this.
    pub sha256: Option<[u8; 32]>,
}

/// As [`SourceFile`], as it is kept.
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

/// What came of a list.
#[derive(Debug)]
pub enum Answer {
    /// Its users exist.
    Created(Response),
    /// They are being made; look again later.
    Running(Box<Summary>),
    /// They could be made.
    Planned(Planned),
}

/// The answer about a batch that was created.
#[derive(Debug)]
pub struct Response {
    /// Which.
    pub batch_id: Id<Batch>,
    /// How many users it made.
    pub users: usize,
    /// What [`Request::render`] wrote.
    pub body: Bytes,
    /// Whether it was created by a request before this one, with the same key.
    pub is_replayed: bool,
}

/// What a dry run found.
#[derive(Debug)]
pub struct Planned {
    /// The users that would be created, in the order of the list.
    pub users: Vec<NewUser>,
    /// What is worth knowing about them.
    pub warnings: Vec<Finding>,
    /// What a later request can be held to.
    pub plan: Plan,
}

/// A batch that was created, or is about to be.
#[derive(Debug)]
pub struct Created {
    /// Which.
    pub batch_id: Id<Batch>,
    /// When; the same for all of its users.
    pub created_at: DateTime<Utc>,
    /// Its users, in the order of the request.
    pub accounts: Vec<Account>,
    /// What is worth knowing about them.
    pub warnings: Vec<Finding>,
}

/// Packs an answer to be kept.
fn pack(body: &[u8]) -> Vec<u8> {
    lz4_flex::compress_prepend_size(body)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    lz4_flex::decompress_size_prepended(packed).map_err(Error::internal)
}

/// Fails the batches of processes that died, and forgets keys that have expired. For as long as it
/// is polled; every instance does, and none is in another's way.
pub async fn keep_house(app: Arc<App>) {
    let mut was_away = false;
    loop {
        // After the database was away, all leases have run out: whoever lives says so first.
        let looked = if was_away { lease::is_there(&app).await } else { lease::reap(&app, None).await.map(|_| ()) };
        was_away = looked.is_err();
        if let Err(error) = looked {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "batches whose process died could not be looked for");
        }
        loop {
            match claim::forget_keys(&app).await {
                Ok(1000..) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = error.chain(), "expired keys could not be forgotten");
                    break;
                }
            }
        }
        tokio::time::sleep(HOUSEKEEPING).await;
    }
}
