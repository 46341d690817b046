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
mod audit;
mod batch;
mod batch_create;
mod configuration;
mod convert;
mod database_requirements;
mod database_roles;
mod doctor;
mod embedded_database;
mod errors;
mod expiry;
mod files;
mod generated_passwords;
mod group;
mod healthcheck;
mod invitations;
mod jobs;
mod keys;
mod log;
mod login;
mod mail;
mod manual;
mod organizations;
mod session;
mod sign_in;
mod single_sign_on;
mod terminal;
mod user;
mod user_apply;
mod user_change;
mod user_link;

use std::process::{Command, Output};

use serde_json::Value;
use support::{TestApp, server, sso};

/// The result of a command.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        Self { status: status.code(), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
    }
}

fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

/// `muster` for the server of a test.
fn muster_at(app: &TestApp) -> Command {
    let mut command = server::muster();
    command.env("MUSTER_HOST", format!("http://{}", app.address)).env("MUSTER_TOKEN", app.owner.token());
    command
}

/// Runs a command that calls the server of a test.
fn remote(app: &TestApp, arguments: &[&str]) -> Ran {
    run(muster_at(app).args(arguments))
}

/// Runs a command of the local operator on the database of a test.
fn local(app: &TestApp, arguments: &[&str]) -> Ran {
    run(server::muster().env("MUSTER_DATABASE__URL", server::url(&app.database)).args(arguments))
}

/// Runs `muster user COMMAND -f FILE` on a file with this content; the file's name is `users` in messages.
fn with_file(app: &TestApp, command: &str, content: &[u8], suffix: &str, arguments: &[&str]) -> Ran {
    let file = support::file(content, suffix);
    let path = file.path().to_str().unwrap();
    let ran = remote(app, &[&["user", command, "-f", path], arguments].concat());
    Ran { err: ran.err.replace(path, "users"), ..ran }
}

/// The JSON that a successful command prints.
fn json(ran: &Ran) -> Value {
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// A server with SSO users who have these addresses.
async fn app_with(emails: &[&str]) -> TestApp {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&emails.iter().map(|email| sso(email)).collect()).await;
    assert_eq!(created.status, 200, "{}", created.text);
    app
}

/// A server with `count` SSO users: user0@example.com, user1@example.com, …
async fn app_with_many(count: usize) -> TestApp {
    let emails: Vec<String> = (0..count).map(|n| format!("user{n}@example.com")).collect();
    app_with(&emails.iter().map(String::as_str).collect::<Vec<_>>()).await
}
