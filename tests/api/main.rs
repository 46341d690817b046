//! The HTTP API, from outside: real requests, a real PostgreSQL, exact answers.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod authentication;
mod batch;
mod batch_bad_input;
mod batch_conflicts;
mod collaborators;
mod coverage;
mod docs;
mod schema;
mod surface;
