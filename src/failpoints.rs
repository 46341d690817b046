//! Named steps at which a test crashes or holds the process. Without the feature `failpoints`, a step does nothing.
//!
//! | variable | effect |
//! |---|---|
//! | `MUSTER_KILL_AT=batch::hashed` | SIGKILL on arrival at the step |
//! | `MUSTER_HOLD_AT=batch::hashed=DIR` | while the file `DIR/closed` exists, creates `DIR/reached` on arrival and waits |
//! | `FAILPOINTS='batch::hashed=…'` | the syntax of the `fail` crate; its `sleep` blocks the thread |

#[cfg(feature = "failpoints")]
pub use armed::arm;
#[cfg(feature = "failpoints")]
pub(crate) use armed::{block, reach};

/// Marks a step that tests can hold.
#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unused_async, reason = "with the feature it waits")]
pub(crate) async fn reach(_step: &'static str) {}

/// Marks a step at which tests can hold the thread.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn block(_step: &'static str) {}

#[cfg(feature = "failpoints")]
mod armed {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::time::Duration;

    use fail::FailScenario;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::config::environment;

    /// How often a held step checks whether it may continue.
    const POLL_INTERVAL: Duration = Duration::from_millis(5);

    /// `MUSTER_HOLD_AT`: the step, and the directory of its files.
    static HELD: LazyLock<Option<(String, PathBuf)>> = LazyLock::new(|| {
        let held = environment("MUSTER_HOLD_AT")?;
        let (step, dir) = held.split_once('=')?;
        Some((step.to_owned(), dir.into()))
    });

    /// Arms the steps that the environment names, until the result is dropped.
    #[must_use]
    pub fn arm() -> FailScenario<'static> {
        let scenario = FailScenario::setup();
        if let Some(step) = environment("MUSTER_KILL_AT") {
            let armed = fail::cfg_callback(step, || {
                let _ = kill(Pid::this(), Signal::SIGKILL);
            });
            if let Err(error) = armed {
                tracing::error!(error, "cannot arm MUSTER_KILL_AT");
            }
        }
        scenario
    }

    /// Marks a step that tests can hold.
    pub(crate) async fn reach(step: &'static str) {
        fail::fail_point!(step);
        let Some(closed) = hold(step) else { return };
        while closed.exists() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Marks a step at which tests can hold the thread.
    pub(crate) fn block(step: &'static str) {
        fail::fail_point!(step);
        let Some(closed) = hold(step) else { return };
        while closed.exists() {
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The file that exists while the step is held; `None` if it is not held.
    fn hold(step: &str) -> Option<PathBuf> {
        let (held, dir) = HELD.as_ref()?;
        let closed = dir.join("closed");
        if held != step || !closed.exists() {
            return None;
        }
        if let Err(error) = std::fs::write(dir.join("reached"), "") {
            tracing::error!(%error, step, "cannot report that the step was reached");
        }
        Some(closed)
    }
}
