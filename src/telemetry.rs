//! The log: to standard error, one line a request, for people or for machines.
//!
//! What is logged: what happened and by which key, never a body, an e-mail address, a
//! token or a password. The fields of the request line stand in `http/log.rs`.

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{self, LogFormat};

/// What others log is not muster's to tell: that a server starts, that PostgreSQL found a table there
/// already, and which bytes somebody sent that are not HTTP: those have a line like every request, without the bytes.
const QUIET: &str = "actix_server=warn,actix_http=off,sqlx::postgres::notice=warn";

/// Standard error, whether or not somebody still reads it: a log that is gone ends no server.
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

/// Starts logging. Once, before anything else.
///
/// # Errors
/// When `log.level` is not a filter.
pub fn start(config: &config::Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level)).map_err(|_| {
        format!("setting `log.level` is `{}`; it has to be error, warn, info, debug or trace", config.level)
    })?;
    // Where the log can't go, nobody reads that it can't.
    let lines = fmt().with_env_filter(filter).with_writer(|| Stderr).with_target(false).log_internal_errors(false);
    match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
