//! The HTTP API, from outside: real requests, a real PostgreSQL, exact answers.

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

mod audit;
mod authentication;
mod batch;
mod batch_bad_input;
mod batch_conflicts;
mod batches;
mod collaborator_changes;
mod collaborator_search;
mod collaborators;
mod coverage;
mod docs;
mod dry_run;
mod group_members;
mod groups;
mod idempotency;
mod imports;
mod policies;
mod schema;
mod scim;
mod surface;
mod user;
mod user_deletion;
mod user_lists;
