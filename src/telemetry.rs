//! The log: to standard error, one line a request, for people or for machines.
//!
//! What is logged: what happened and by which key, never a body, an e-mail address, a
//! token or a password. The fields of the request line stand in `http/log.rs`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{self, LogFormat};

/// Starts logging. Once, before anything else.
///
/// # Errors
/// When `log.level` is not a filter.
pub fn start(config: &config::Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("actix_server=warn,{}", config.level)).map_err(|_| {
        format!("setting `log.level` is `{}`; it has to be error, warn, info, debug or trace", config.level)
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match config.format {
        LogFormat::Pretty => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
