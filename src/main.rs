//! The `muster` program: see the documentation of the library for the map of the modules.

use std::process::ExitCode;

use muster::cli::Cli;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _armed = muster::failpoints::arm();
    // The memory has passwords and keys: no core dumps, and no access for other processes of the same user. Without effect
    // on failure, which needs a kernel without the call.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
    muster::memory::set_thresholds();
    match Cli::from_command_line().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if let Some(message) = exit.message() {
                muster::cli::say(&format!("error: {message}"));
            }
            ExitCode::from(exit.status())
        }
    }
}
