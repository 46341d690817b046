//! Holding a server at a named step, and waiting for a condition, so that no test depends on the machine's speed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Timeout of [`eventually`], long enough for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

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

impl Drop for Gate {
    fn drop(&mut self) {
        // A server that is still running must be able to exit.
        let _ = std::fs::remove_file(self.file("closed"));
    }
}
