//! The client against a real HTTP server on a real socket, which answers what a test tells it to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

mod batch;
mod batches;
mod failures;
mod groups;
mod invitations;
mod keys;
mod reads;
mod repeats;
mod server;
mod tls;
mod users;
