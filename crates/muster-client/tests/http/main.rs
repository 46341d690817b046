//! The client against a real HTTP server on a real socket, which answers what a test tells it to.

mod batch;
mod failures;
mod reads;
mod server;
mod tls;
