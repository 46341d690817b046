//! Logging to standard error, as text or as JSON.
//!
//! The log names events, routes and key IDs, but never contains a body, an e-mail address, a token or a password.
//! `http/log.rs` lists the fields of the request line.

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{self, LogFormat};

/// Filters for the log of dependencies: worker starts, PostgreSQL notices such as "already exists", and the bytes of
/// malformed requests, which `http/server.rs` logs without the bytes.
const DEPENDENCIES: &str = "actix_server=warn,actix_http=off,sqlx::postgres::notice=warn";

/// Standard error; write errors are ignored, so that a closed log does not stop the server.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Initializes logging; called once, at startup.
///
/// # Errors
/// When `log.level` is not a valid filter.
pub fn start(config: &config::Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{DEPENDENCIES},{}", config.level)).map_err(|_| {
        format!("setting `log.level` is `{}`; it must be error, warn, info, debug or trace", config.level)
    })?;
    // Errors of writing the log have nowhere to go.
    let lines = fmt().with_env_filter(filter).with_writer(|| Stderr).with_target(false).log_internal_errors(false);
    match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
