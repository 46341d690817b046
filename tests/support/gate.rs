//! Holding a server at a named step, and waiting for a condition, so that no test depends on the machine's speed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::app::App;
use muster::passwords::{Hashing, Policy, Pool, Progress};

/// Timeout of [`eventually`], long enough for a busy machine, where hashing threads get little time: their priority is low.
pub const TIMEOUT: Duration = Duration::from_secs(600);

/// Waits until the condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < TIMEOUT, "timed out after {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A step of a server process (see `src/failpoints.rs`) that blocks the server while the gate is closed.
pub struct Gate {
    step: &'static str,
    dir: tempfile::TempDir,
}

impl Gate {
    /// A gate that starts closed.
    pub fn closed(step: &'static str) -> Self {
        let gate = Self::open(step);
        gate.close();
        gate
    }

    /// A gate that starts open.
    pub fn open(step: &'static str) -> Self {
        Self { step, dir: tempfile::Builder::new().prefix("muster-gate-").tempdir().unwrap() }
    }

    /// The environment variable to start the server with.
    pub fn variable(&self) -> (&'static str, String) {
        ("MUSTER_HOLD_AT", format!("{}={}", self.step, self.dir.path().display()))
    }

    pub fn close(&self) {
        let _ = std::fs::remove_file(self.file("reached"));
        std::fs::write(self.file("closed"), "").unwrap();
    }

    /// Opens the gate.
    pub fn release(&self) {
        std::fs::remove_file(self.file("closed")).unwrap();
    }

    /// Waits until the server blocks at the step.
    pub async fn reached(&self) {
        eventually(self.step, async || self.file("reached").exists()).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Passwords ahead of all others in the queue of a server in this process: a batch is not hashed until this is dropped. The
/// server needs a large `batch.max_wait_seconds`.
pub struct HeldHashing {
    hasher: Arc<Pool>,
    progress: Arc<Progress>,
    _hashing: Hashing,
}

impl HeldHashing {
    /// Enough passwords for minutes.
    pub const PASSWORDS: usize = 15_000;

    pub fn start(app: &App) -> Self {
        let policy = Policy::new(8, 0);
        let passwords = (0..Self::PASSWORDS).map(|n| policy.check(&format!("password {n}"), &[]).unwrap()).collect();
        let progress = Arc::<Progress>::default();
        let hashing = app.hasher.start_batch(passwords, Arc::clone(&progress)).unwrap();
        Self { hasher: Arc::clone(&app.hasher), progress, _hashing: hashing }
    }

    /// Whether no other password is queued.
    pub fn is_alone(&self) -> bool {
        // In this order: passwords that are hashed in the meantime must not count as absent.
        let queued = self.hasher.waiting().of_batches;
        queued <= self.progress.total() - self.progress.done()
    }

    /// Asserts that no password behind these was hashed.
    pub fn assert_held(&self) {
        assert!(self.progress.done() < Self::PASSWORDS, "hashing was not held for long enough");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A server that is still running must be able to exit.
        let _ = std::fs::remove_file(self.file("closed"));
    }
}
