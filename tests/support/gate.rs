//! Holding a server at a named step, and waiting for what is bound to happen: so that no test depends on how fast the
//! machine is.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long [`eventually`] waits: far longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A step of a server process (see `src/failpoints.rs`) that lets nothing pass while it is closed.
pub struct Gate {
    step: &'static str,
    dir: tempfile::TempDir,
}

impl Gate {
    /// A gate that is closed from the start.
    pub fn closed(step: &'static str) -> Self {
        let gate = Self::open(step);
        gate.close();
        gate
    }

    /// A gate that is open from the start.
    pub fn open(step: &'static str) -> Self {
        Self { step, dir: tempfile::Builder::new().prefix("muster-gate-").tempdir().unwrap() }
    }

    /// The environment variable that the server needs.
    pub fn variable(&self) -> (&'static str, String) {
        ("MUSTER_HOLD_AT", format!("{}={}", self.step, self.dir.path().display()))
    }

    pub fn close(&self) {
        let _ = std::fs::remove_file(self.file("reached"));
        std::fs::write(self.file("closed"), "").unwrap();
    }

    /// Lets everything pass from now on.
    pub fn release(&self) {
        std::fs::remove_file(self.file("closed")).unwrap();
    }

    /// Waits until the server is held at the step.
    pub async fn reached(&self) {
        eventually(self.step, async || self.file("reached").exists()).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A server that outlives the test's body has to be able to end.
        let _ = std::fs::remove_file(self.file("closed"));
    }
}
