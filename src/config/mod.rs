//! Settings: read once at startup and passed on as values.
//!
//! `config/muster.toml` documents every setting and, built into the binary, provides the defaults, so the documentation
//! can't be out of date. The file named by `--config` (or `MUSTER_CONFIG`), the environment and flags override it, in
//! this order.

mod environment;
mod files;
mod layers;
mod limits;
mod log_filter;
mod messages;
mod ranges;
mod sections;

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

pub use environment::environment;
pub(crate) use files::read_file;
use files::read_secret;
pub use limits::HttpLimits;
pub use sections::{
    Batch, Database, Invitations, Keys, Links, Log, LogFormat, Mail, Metrics, Passwords, Secrets, Server, Sessions,
    SignIn, Sso, Traces,
};

use crate::passwords::Parameters;
use crate::request_body::BodyBudget;
use crate::secret::Secret;

/// The documented defaults: `config/muster.toml`.
pub const MANUAL: &str = include_str!("../../config/muster.toml");

/// All settings, by section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub batch: Batch,
    pub passwords: Passwords,
    pub sign_in: SignIn,
    pub sessions: Sessions,
    pub links: Links,
    pub sso: Sso,
    pub mail: Mail,
    pub keys: Keys,
    pub invitations: Invitations,
    pub secrets: Secrets,
    pub metrics: Metrics,
    pub traces: Traces,
    pub log: Log,
}

/// The message about settings that can't be used, which names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// The settings are valid, but this machine can't provide what they ask for.
    #[must_use]
    pub const fn starting(message: String) -> Self {
        Self(message)
    }

    /// One message for all mistakes.
    pub(crate) fn of(mistakes: &[String]) -> Self {
        match mistakes {
            [only] => Self(only.clone()),
            all => Self(format!("{} mistakes in the settings:\n  {}", all.len(), all.join("\n  "))),
        }
    }
}

/// The flags that override settings.
#[derive(Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the settings: defaults, file, environment, flags; later ones override earlier ones.
    ///
    /// # Errors
    /// An unreadable file, an unknown setting, or a value of the wrong type or out of range.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(MANUAL));
        if let Some(file) = &flags.file {
            std::fs::metadata(file)
                .map_err(|error| ConfigError(format!("the configuration {} can't be read: {error}", file.display())))?;
            figment = layers::override_with(figment, Toml::file_exact(file));
        }
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut mistakes = environment::mistakes(names);
        // The names of settings have `__`; MUSTER_HOST and others are not settings.
        let variables = Env::prefixed("MUSTER_").filter(|key| key.as_str().contains("__")).split("__");
        figment = layers::override_with(figment, variables);
        for (key, value) in [
            ("server.listen", flags.listen.clone()),
            ("database.url", flags.database_url.clone()),
            ("database.data_dir", flags.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned())),
        ] {
            if let Some(value) = value {
                figment = layers::override_with(figment, Serialized::default(key, value));
            }
        }
        let config = figment
            .extract::<Self>()
            .map_err(|error| messages::describe_all(error, &Figment::from(Toml::string(MANUAL)), &figment));
        let config = match config {
            Ok(config) => {
                mistakes.extend(config.mistakes());
                Some(config)
            }
            Err(unreadable) => {
                mistakes.extend(unreadable);
                None
            }
        };
        for mistake in ranges::mistakes(&figment) {
            // The message about a value of a wrong type names the range, too.
            let name = mistake.split_inclusive('`').take(2).collect::<String>();
            if !mistakes.iter().any(|other| other.contains(&name)) {
                mistakes.push(mistake);
            }
        }
        match config {
            Some(mut config) if mistakes.is_empty() => {
                config.secrets.rename_former();
                Ok(config)
            }
            _ => Err(ConfigError::of(&mistakes)),
        }
    }

    /// The default settings.
    ///
    /// # Errors
    /// None in practice: a test reads them.
    pub fn built_in() -> Result<Self, ConfigError> {
        Figment::from(Toml::string(MANUAL)).extract().map_err(|error| ConfigError(messages::describe(error)))
    }

    /// The settings that can't be used together, or whose value has a wrong format.
    fn mistakes(&self) -> Vec<String> {
        let rules = [
            (is_host_and_port(&self.server.listen), "`server.listen` must be HOST:PORT such as 127.0.0.1:8080"),
            (
                is_public_url(&self.server.public_url),
                "`server.public_url` must be empty or begin with https:// or http://, and have no `?` or `#`",
            ),
            (
                ["", "auto"].contains(&self.metrics.listen.as_str()) || is_host_and_port(&self.metrics.listen),
                "`metrics.listen` must be HOST:PORT such as 0.0.0.0:9464, `auto` or empty",
            ),
            (
                is_public_url(&self.traces.endpoint),
                "`traces.endpoint` must be empty or begin with https:// or http://, and have no `?` or `#`",
            ),
            (
                self.traces.headers.expose().is_empty() || self.traces.headers_file.is_empty(),
                "`traces.headers` and `traces.headers_file` can't both be set",
            ),
            (
                self.server.drain_delay_seconds == 0
                    || self.server.drain_delay_seconds < self.server.shutdown_timeout_seconds,
                "`server.drain_delay_seconds` must be less than `server.shutdown_timeout_seconds`",
            ),
            (
                self.server.tls_certificate_file.is_empty() == self.server.tls_key_file.is_empty(),
                "`server.tls_certificate_file` and `server.tls_key_file` must both be set, or neither",
            ),
            (
                self.server.tls_client_ca_file.is_empty() || !self.server.tls_certificate_file.is_empty(),
                "`server.tls_client_ca_file` requires `server.tls_certificate_file` and `server.tls_key_file`",
            ),
            (
                self.database.url.expose().is_empty() || self.database.url_file.is_empty(),
                "`database.url` and `database.url_file` can't both be set",
            ),
            (
                self.secrets.has_one_source(),
                "only one of `secrets.server_key`, `secrets.server_key_file` and their former names \
                 `secrets.fingerprint_key`, `secrets.fingerprint_key_file` can be set",
            ),
            (
                self.secrets.seal_key.expose().is_empty() || self.secrets.seal_key_file.is_empty(),
                "`secrets.seal_key` and `secrets.seal_key_file` can't both be set",
            ),
            (
                self.mail.url.expose().is_empty() || self.mail.url_file.is_empty(),
                "`mail.url` and `mail.url_file` can't both be set",
            ),
            (
                !self.has_mail() || !self.mail.from.is_empty(),
                "`mail.url` requires `mail.from`, the address of the sender",
            ),
            (
                !self.has_mail() || !self.server.public_url.is_empty(),
                "`mail.url` requires `server.public_url`: links that are sent by mail begin with it",
            ),
            (
                (1..=self.keys.max_days).contains(&self.keys.default_days),
                "`keys.default_days` must be from 1 to `keys.max_days`",
            ),
            (
                log_filter::is_valid(&self.log.level),
                "`log.level` must be error, warn, info, debug or trace, or a filter with one of these for everything \
                 else, such as `info,sqlx=warn`",
            ),
        ];
        let broken = rules.into_iter().filter(|(is_met, _)| !is_met);
        let mut mistakes: Vec<String> = broken.map(|(_, message)| message.to_owned()).collect();
        let least = BodyBudget::least(self.server.body_limit, self.batch.max_users);
        if self.server.body_budget < least {
            mistakes.push(format!(
                "`server.body_budget` must be at least {least}, for a list of `server.body_limit` bytes and \
                 `batch.max_users` rows"
            ));
        }
        mistakes.extend(self.argon2().err().map(|error| error.to_string()));
        mistakes
    }

    /// The Argon2 parameters.
    ///
    /// # Errors
    /// When they are weaker than OWASP ASVS 5.0 allows.
    pub fn argon2(&self) -> Result<Parameters, ConfigError> {
        let passwords = &self.passwords;
        Parameters::new(passwords.memory_kib, passwords.iterations, passwords.parallelism)
            .map_err(|why| ConfigError(format!("[passwords] {why}")))
    }

    /// How to connect to the database; `None` for the embedded PostgreSQL.
    ///
    /// # Errors
    /// When `url_file` can't be read or is empty, or when the URL is malformed.
    pub fn database_options(&self) -> Result<Option<PgConnectOptions>, ConfigError> {
        let from_file;
        let url = if self.database.url_file.is_empty() {
            self.database.url.expose()
        } else {
            from_file = read_secret("database.url_file", &self.database.url_file)?;
            from_file.expose().trim()
        };
        if url.is_empty() {
            return Ok(None);
        }
        // The parser's own message may repeat the URL, including the password.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError("`database.url` must begin with postgres://".to_owned()));
        }
        url.parse::<PgConnectOptions>().map(Some).map_err(|_| {
            ConfigError("`database.url` is malformed; expected postgres://user:password@host/database".to_owned())
        })
    }

    /// The HTTP headers of trace exports, usually credentials, by name.
    ///
    /// # Errors
    /// When `headers_file` can't be read or is empty, or when a line is not `name: value`. The message does not repeat
    /// the line.
    pub fn trace_headers(&self) -> Result<HashMap<String, String>, ConfigError> {
        let Traces { headers, headers_file: file, .. } = &self.traces;
        let text = if file.is_empty() { headers.clone() } else { read_secret("traces.headers_file", file)? };
        let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty());
        let read = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let (name, value) = (name.trim(), value.trim());
            (is_plain(name) && !name.contains(' ') && is_plain(value)).then(|| (name.to_owned(), value.to_owned()))
        };
        lines
            .map(|line| {
                let message = "`traces.headers` must have one header per line, such as `authorization: Bearer …`";
                read(line).ok_or_else(|| ConfigError(message.to_owned()))
            })
            .collect()
    }

    /// The server keys, the current one first; `None` if none is set.
    ///
    /// # Errors
    /// When `server_key_file` can't be read or is empty.
    pub fn server_keys(&self) -> Result<Option<Vec<Secret>>, ConfigError> {
        let Secrets { server_key, server_key_file: file, .. } = &self.secrets;
        let text = if file.is_empty() { server_key.clone() } else { read_secret("secrets.server_key_file", file)? };
        Ok(Some(keys_in(&text)).filter(|keys| !keys.is_empty()))
    }

    /// The seal keys, the one that seals first; empty if none is set.
    ///
    /// # Errors
    /// When `seal_key_file` can't be read or is empty.
    pub fn seal_keys(&self) -> Result<Vec<Secret>, ConfigError> {
        let Secrets { seal_key, seal_key_file: file, .. } = &self.secrets;
        let text = if file.is_empty() { seal_key.clone() } else { read_secret("secrets.seal_key_file", file)? };
        Ok(keys_in(&text))
    }

    fn has_mail(&self) -> bool {
        !self.mail.url.expose().is_empty() || !self.mail.url_file.is_empty()
    }

    /// The URL of the SMTP server; `None` if mail is not configured.
    ///
    /// # Errors
    /// When `url_file` can't be read or is empty.
    pub fn mail_url(&self) -> Result<Option<Secret>, ConfigError> {
        let Mail { url, url_file: file, .. } = &self.mail;
        let url = if file.is_empty() { url.clone() } else { read_secret("mail.url_file", file)? };
        Ok(Some(url).filter(|url| !url.expose().is_empty()))
    }

    /// The password in the database URL, if there is one.
    ///
    /// # Errors
    /// As [`Config::database_options`].
    pub fn database_password(&self) -> Result<Option<Secret>, ConfigError> {
        // sqlx exposes the password only in the URL.
        let url = self.database_options()?.map(|options| sqlx::ConnectOptions::to_url_lossy(&options));
        Ok(url.and_then(|url| url.password().filter(|password| !password.is_empty()).map(Secret::new)))
    }

    /// The data directory of the embedded PostgreSQL.
    ///
    /// # Errors
    /// When it is not set and the user has no home directory. In the current directory, the next start elsewhere would
    /// create another database.
    pub fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        if !self.database.data_dir.is_empty() {
            return Ok(PathBuf::from(&self.database.data_dir));
        }
        if nix::unistd::Uid::effective().is_root() {
            return Ok(PathBuf::from("/var/lib/muster"));
        }
        environment("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".local/share")))
            .map(|parent| parent.join("muster"))
            .ok_or_else(|| {
                ConfigError::starting(
                    "no data directory for the embedded database, because HOME is not set; choose one with `--data-dir`, or \
                     select a database with `--database-url`"
                        .to_owned(),
                )
            })
    }
}

/// The keys in the text of a setting or its file, one on each line.
fn keys_in(text: &Secret) -> Vec<Secret> {
    text.expose().lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect()
}

/// Whether the text has the form `HOST:PORT`. Whether the host exists shows when the server listens.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Whether links can begin with the URL. Empty is valid, too.
fn is_public_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte))
    };
    url.is_empty() || rest.is_some_and(|rest| !rest.is_empty() && is_plain(rest))
}

/// Resolves `HOST:PORT` to an address to listen on.
///
/// # Errors
/// When the host can't be resolved.
pub fn resolve(listen: &str) -> Result<SocketAddr, ConfigError> {
    let address = listen.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    address.ok_or_else(|| ConfigError(format!("can't listen on {listen}; use HOST:PORT such as 127.0.0.1:8080")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::built_in().unwrap().mistakes(), Vec::<String>::new());
    }

    #[test]
    fn links_can_begin_with_a_public_url() {
        for valid in ["", "https://muster.example.org", "http://10.0.0.1:8080/muster/", "https://[::1]:8443"] {
            assert!(is_public_url(valid), "{valid}");
        }
        for invalid in
            ["muster.example.org", "ftp://h", "https://", "https:///x", "https://h/?x", "https://h/#x", "https://h o"]
        {
            assert!(!is_public_url(invalid), "{invalid}");
        }
    }

    #[test]
    fn weak_argon2_parameters_are_rejected() {
        let mut config = Config::built_in().unwrap();
        config.passwords.memory_kib = 19455;
        assert_eq!(
            config.mistakes(),
            ["[passwords] argon2id with 19455 KiB and 2 iterations is weaker than OWASP ASVS 5.0 allows; use 47104 \
             KiB with 1, 19456 with 2, or 12288 with 3 or more"]
        );
    }

    #[test]
    fn the_message_about_a_malformed_url_does_not_contain_the_password() {
        let mut config = Config::built_in().unwrap();
        config.database.url = Secret::new("mysql://u:hunter2@h/d");
        assert_eq!(config.database_options().unwrap_err().to_string(), "`database.url` must begin with postgres://");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
