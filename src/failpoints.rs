//! For tests only (feature `failpoints`): dying and stopping at named steps.
//!
//! `MUSTER_KILL_AT=batch::hashed` kills the process with SIGKILL when it gets there.
//! `FAILPOINTS='batch::hashed=sleep(500)'` is the `fail` crate's own way. A build without the
//! feature has none of this.

use fail::FailScenario;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::environment;

/// Reads both variables. The steps are armed until the result is dropped.
#[must_use]
pub fn arm() -> FailScenario<'static> {
    let scenario = FailScenario::setup();
    if let Some(step) = environment("MUSTER_KILL_AT") {
        let armed = fail::cfg_callback(step, || {
            let _ = kill(Pid::this(), Signal::SIGKILL);
        });
        if let Err(error) = armed {
            tracing::error!(error, "MUSTER_KILL_AT can't be armed");
        }
    }
    scenario
}
