//! The command line: the real program, its exact output and exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod api_keys;
mod batch;
mod batch_create;
mod configuration;
mod doctor;
mod files;
mod group;
mod healthcheck;
mod invitations;
mod keys;
mod log;
mod login;
mod manual;
mod organizations;
mod private_database;
mod user;
mod user_change;

use std::process::{Command, Output};

/// The result of a command.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran { status: status.code(), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
}

/// `muster` for the server of a test.
fn muster_at(app: &support::TestApp) -> Command {
    let mut command = support::server::muster();
    command.env("MUSTER_HOST", format!("http://{}", app.address)).env("MUSTER_TOKEN", app.owner.token());
    command
}
