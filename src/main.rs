//! The `muster` program: see the library's documentation for the map of the house.
//!
//! # Decisions
//!
//! *The memory of long lists goes back to the system.* glibc gives back at once what it took in one
//! piece, but after the first such piece takes pieces of up to 32 MiB from its heaps, which keep them.
//! Measured with 3 batches of 100,000 SSO users and 2 with hashes, on two cores: at most 326 MiB, and 302
//! afterwards, without [`give_back`]; 164 and 91 with it, in the same time. mimalloc took 235 and 207,
//! and 30 without any work instead of 14.

use std::process::ExitCode;

use clap::Parser;
use muster::cli::Cli;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _armed = muster::failpoints::arm();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    give_back();
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

/// Has glibc take pieces above 256 KiB from the system by themselves, for good.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc's settings have no safe interface; measured above")]
fn give_back() {
    use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
    // SAFETY: no other thread runs yet, and both take any size.
    unsafe {
        mallopt(M_MMAP_THRESHOLD, 256 * 1024);
        mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    }
}
