//! Monitoring: metrics with a real Prometheus, alert rules and dashboard with Prometheus' own tools, traces with a real
//! collector and with a receiver that decodes OTLP.
//!
//! The tests use real server processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a test may panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod certificate;
mod collector;
mod collector_away;
mod metrics;
mod ports;
mod prometheus;
mod receiver;
mod traces;
mod watched;
