//! The `muster` program: see the documentation of the library for the map of the modules.
//!
//! # Decisions
//!
//! *Memory of large batches is returned to the system.* glibc returns a large allocation when it is freed, but then raises
//! its threshold and takes allocations of up to 32 MiB from its heaps, which keep them. Measured with 3 batches of 100,000
//! SSO users and 2 with hashes, on two cores: 326 MiB at most and 302 MiB afterwards with the defaults; 164 and 91 MiB with
//! [`return_memory`], in the same time. mimalloc: 235 and 207 MiB, and 30 instead of 14 MiB when idle.

use std::process::ExitCode;

use clap::Parser;
use muster::cli::Cli;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _armed = muster::failpoints::arm();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return_memory();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if let Some(message) = exit.message() {
                muster::cli::say(&format!("error: {message}"));
            }
            ExitCode::from(exit.status())
        }
    }
}

/// Makes glibc take allocations above 256 KiB directly from the system, with a fixed threshold.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe interface; the effect is measured above")]
fn return_memory() {
    use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
    // SAFETY: no other thread runs yet, and both parameters accept any size.
    unsafe {
        mallopt(M_MMAP_THRESHOLD, 256 * 1024);
        mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    }
}
