//! Fault injection: the server is killed at each step of a batch, clients disconnect, the database fails, several
//! instances start at the same time.
//!
//! The tests run real server processes. The feature `failpoints` lets a test choose the step.

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

mod access;
mod console;
mod contention;
mod database_away;
mod database_trouble;
mod deadlocks;
mod hang_up;
mod housekeeping;
mod instances;
mod joining;
mod killed;
mod load_balancer;
mod locked_tables;
mod password_strength;
mod races;
mod retries;
mod sign_in;
mod sign_in_behind_nginx;
mod sign_in_policy;
mod sign_in_without_database;
mod sso;
mod stopping;
mod upgrade;
