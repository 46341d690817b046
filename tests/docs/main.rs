//! The documentation: the output of its commands, and its links.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may panic, and show what it saw"
)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod links;
mod markdown;
mod session;
mod tree;
