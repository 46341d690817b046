//! `muster config check`: validates the settings.

use super::args::ConfigArgs;
use super::{Exit, output};
use crate::config::MANUAL;
use crate::fingerprint::Fingerprints;
use crate::postgres;
use crate::tls::Tls;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Check the settings that a server would start with, without starting it.
    Check {
        /// Print all settings with their defaults and explanations instead.
        #[arg(long)]
        defaults: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Exit> {
    let Command::Check { defaults, config } = command;
    if *defaults {
        return output::print(MANUAL);
    }
    let config = config.load()?;
    config.trace_headers().map_err(Exit::usage)?;
    Fingerprints::new(&config).map_err(Exit::usage)?;
    let tls = Tls::load(&config.server).map_err(Exit::usage)?;
    let database = match config.database_options().map_err(Exit::usage)? {
        Some(options) => postgres::name_and_address(&options),
        None => format!("embedded, in {}", config.data_dir().map_err(Exit::usage)?.display()),
    };
    let passwords = &config.passwords;
    output::print(&format!(
        "listen      {}\ndatabase    {database}\nbatch       max. {} users\nargon2id    m={} KiB, t={}, p={}\nlog         {}",
        config.server.listen,
        config.batch.max_users,
        passwords.memory_kib,
        passwords.iterations,
        passwords.parallelism,
        config.log.level,
    ))?;
    if let Some(sentence) = tls.and_then(|tls| tls.validity_error()) {
        output::say(&format!("warning: {sentence}"));
    }
    output::say("the configuration is valid");
    Ok(())
}
