//! placeholder
#![warn(missing_docs)]

pub mod app;
pub mod audit;
pub mod batches;
pub mod caller;
pub mod change;
pub mod cli;
pub mod clock;
pub mod collaborators;
pub mod config;
pub mod error;
#[cfg(feature = "failpoints")]
pub mod failpoints;
pub mod http;
pub mod id;
pub mod keys;
pub mod organizations;
pub mod page;
pub mod passwords;
pub mod postgres;
pub mod secret;
pub mod telemetry;
pub mod users;
