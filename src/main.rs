//! The `muster` program: see the library's documentation for the map of the house.

use std::process::ExitCode;

use clap::Parser;
use muster::cli::{Cli, Exit};

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _armed = muster::failpoints::arm();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if let Some(sentence) = exit.sentence() {
                muster::cli::say(&format!("error: {sentence}"));
            }
            match exit {
                Exit::Refused(_) => ExitCode::from(1),
                Exit::Usage(_) => ExitCode::from(2),
            }
        }
    }
}
