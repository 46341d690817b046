//! `muster config check`: validates the settings.

use super::args::{ConfigArgs, settings_source};
use super::{Exit, output};
use crate::config::{Config, ConfigError, MANUAL};
use crate::fingerprint::Fingerprints;
use crate::mail::Mailer;
use crate::metrics::SsoMetrics;
use crate::postgres;
use crate::seal::SealKeys;
use crate::sso::Sso;
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
    let file = &config.config;
    let config = config.load()?;
    let mut mistakes = Mistakes::in_contents_of(&config);
    let tls = mistakes.note(Tls::load(&config.server)).flatten();
    let database = match mistakes.note(config.database_options()).flatten() {
        Some(options) => postgres::name_and_address(&options),
        None => {
            let data_dir = mistakes.note(config.data_dir()).unwrap_or_default();
            format!("embedded, in {}", data_dir.display())
        }
    };
    mistakes.into_result()?;
    let passwords = &config.passwords;
    output::print(&format!(
        "settings    {}\nlisten      {}\ndatabase    {database}\nbatch       max. {} users\nargon2id    m={} KiB, t={}, p={}\nlog         {}",
        settings_source(file.as_deref()),
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

/// Checks what is parsed after the settings are loaded, such as keys and URLs, before anything is opened or created.
pub(super) fn check_contents(config: &Config) -> Result<(), Exit> {
    Mistakes::in_contents_of(config).into_result()
}

/// The messages about settings that can't be used.
#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn in_contents_of(config: &Config) -> Self {
        let mut mistakes = Self::default();
        mistakes.note(config.trace_headers());
        mistakes.note(Fingerprints::new(config));
        mistakes.note(Mailer::new(config));
        mistakes.note(SealKeys::new(config));
        mistakes.note(Sso::new(config, SsoMetrics::default()));
        mistakes
    }

    fn into_result(self) -> Result<(), Exit> {
        if self.0.is_empty() { Ok(()) } else { Err(Exit::usage(ConfigError::of(&self.0))) }
    }

    fn note<T>(&mut self, read: Result<T, impl ToString>) -> Option<T> {
        read.map_err(|error| {
            // Several settings can depend on the same file.
            let message = error.to_string();
            if !self.0.contains(&message) {
                self.0.push(message);
            }
        })
        .ok()
    }
}
