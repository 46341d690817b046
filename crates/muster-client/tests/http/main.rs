//! The client against an HTTP server with prepared responses on a real socket.

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
mod mails;
mod reads;
mod retries;
mod server;
mod sessions;
mod tls;
mod users;
