//! The log: to standard error, one line a request, for people or for machines.
//!
//! What is logged: what happened and by which key, never a body, an e-mail address, a
//! token or a password. The fields of the request line stand in `http/log.rs`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{self, LogFormat};

/// What others log is not muster's to tell: that a server starts, and that somebody sent bytes that
/// are not HTTP, which would let anybody fill the log.
const QUIET: &str = "actix_server=warn,actix_http=off";

/// Starts logging. Once, before anything else.
///
/// # Errors
/// When `log.level` is not a filter.
pub fn start(config: &config::Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level)).map_err(|_| {
        format!("setting `log.level` is `{}`; it has to be error, warn, info, debug or trace", config.level)
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
