//! Settings: read once, in `main`, and handed on as values.
//!
//! `config/muster.toml` is the manual and, built into the binary, the default at the same
//! time; so it can't be out of date. Over it go the file named by `--config` (or
//! `MUSTER_CONFIG`), the environment, and flags.

mod numbers;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::passwords::Parameters;
use crate::proxies::{ForwardedHeader, Network};
use crate::secret::Secret;
use crate::telemetry;

/// The manual, and the defaults.
pub const MANUAL: &str = include_str!("../../config/muster.toml");

/// All settings. What each means stands in `config/muster.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub batch: Batch,
    pub passwords: Passwords,
    pub keys: Keys,
    pub invitations: Invitations,
    pub secrets: Secrets,
    pub metrics: Metrics,
    pub traces: Traces,
    pub log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Server {
    pub listen: String,
    pub public_url: String,
    pub workers: usize,
    pub body_limit: usize,
    pub body_timeout_seconds: u64,
    pub header_limit: usize,
    pub header_timeout_seconds: u64,
    pub keep_alive_seconds: u64,
    pub send_timeout_seconds: u64,
    pub max_connections: usize,
    pub http2_requests: usize,
    pub shutdown_timeout_seconds: u64,
    pub drain_delay_seconds: u64,
    pub tls_certificate_file: String,
    pub tls_key_file: String,
    pub tls_client_ca_file: String,
    pub trusted_proxies: Vec<Network>,
    pub forwarded_header: ForwardedHeader,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Database {
    pub url: Secret,
    pub url_file: String,
    pub data_dir: String,
    pub connections: u32,
    pub batch_connections: u32,
    pub acquire_timeout_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Batch {
    pub max_users: usize,
    pub max_wait_seconds: u64,
    pub lease_seconds: u32,
    pub idempotency_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Passwords {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub threads: usize,
    pub queue: usize,
    pub min_length: usize,
    pub min_strength: u8,
    pub must_change: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Keys {
    pub default_days: u32,
    pub max_days: u32,
    pub rotation_overlap_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Invitations {
    pub days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Secrets {
    pub fingerprint_key: Secret,
    pub fingerprint_key_file: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Metrics {
    pub listen: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Traces {
    pub endpoint: String,
    pub headers: Secret,
    pub headers_file: String,
    pub per_second: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual is config/muster.toml")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Settings that can't be used, in one sentence that names where they stand.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// What the settings ask for can't be had on this machine.
    #[must_use]
    pub const fn starting(sentence: String) -> Self {
        Self(sentence)
    }
}

/// What the command line says about settings. `None`: nothing.
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

impl Server {
    /// The files of the certificate and of its key; `None`: TLS is off.
    #[must_use]
    pub fn certificate_files(&self) -> Option<(PathBuf, PathBuf)> {
        let is_set = !self.tls_certificate_file.is_empty();
        is_set.then(|| (PathBuf::from(&self.tls_certificate_file), PathBuf::from(&self.tls_key_file)))
    }
}

impl Config {
    /// Reads the settings: built-in, then file, then environment, then flags.
    ///
    /// # Errors
    /// A file that can't be read; an unknown key; a value of the wrong type or out of range.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(MANUAL));
        if let Some(file) = &flags.file {
            std::fs::metadata(file)
                .map_err(|error| ConfigError(format!("the configuration {} can't be read: {error}", file.display())))?;
            figment = figment.merge(Toml::file_exact(file));
        }
        check_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        // MUSTER_HOST and the like are not settings; those have `__`.
        figment = figment.merge(Env::prefixed("MUSTER_").filter(|key| key.as_str().contains("__")).split("__"));
        for (key, value) in [
            ("server.listen", flags.listen.clone()),
            ("database.url", flags.database_url.clone()),
            ("database.data_dir", flags.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned())),
        ] {
            if let Some(value) = value {
                figment = figment.merge(Serialized::default(key, value));
            }
        }
        // A URL given by flag or environment goes before a url_file in the file, not beside it.
        let config: Self = figment.extract().map_err(|error| ConfigError(describe(error)))?;
        config.check()?;
        numbers::check(&figment)?;
        Ok(config)
    }

    /// The settings without file, environment and flags.
    ///
    /// # Errors
    /// None that a test has not seen.
    pub fn built_in() -> Result<Self, ConfigError> {
        Figment::from(Toml::string(MANUAL)).extract().map_err(|error| ConfigError(describe(error)))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (is_host_and_port(&self.server.listen), "server.listen has to be HOST:PORT, such as 127.0.0.1:8080"),
            (
                is_public_url(&self.server.public_url),
                "server.public_url has to be empty or begin with https:// or http://, without `?` and `#`",
            ),
            (
                ["", "auto"].contains(&self.metrics.listen.as_str()) || is_host_and_port(&self.metrics.listen),
                "metrics.listen has to be HOST:PORT, such as 0.0.0.0:9464, or auto, or empty",
            ),
            (
                is_public_url(&self.traces.endpoint),
                "traces.endpoint has to be empty or begin with https:// or http://, without `?` and `#`",
            ),
            (
                self.traces.headers.expose().is_empty() || self.traces.headers_file.is_empty(),
                "traces.headers and traces.headers_file can't both be set",
            ),
            (
                self.server.drain_delay_seconds == 0
                    || self.server.drain_delay_seconds < self.server.shutdown_timeout_seconds,
                "server.drain_delay_seconds has to be less than server.shutdown_timeout_seconds",
            ),
            (
                self.server.tls_certificate_file.is_empty() == self.server.tls_key_file.is_empty(),
                "server.tls_certificate_file and server.tls_key_file have to be set both, or neither",
            ),
            (
                self.server.tls_client_ca_file.is_empty() || !self.server.tls_certificate_file.is_empty(),
                "server.tls_client_ca_file needs server.tls_certificate_file and server.tls_key_file",
            ),
            (
                self.database.url.expose().is_empty() || self.database.url_file.is_empty(),
                "database.url and database.url_file can't both be set",
            ),
            (
                self.secrets.fingerprint_key.expose().is_empty() || self.secrets.fingerprint_key_file.is_empty(),
                "secrets.fingerprint_key and secrets.fingerprint_key_file can't both be set",
            ),
            (
                (1..=self.keys.max_days).contains(&self.keys.default_days),
                "keys.default_days has to be from 1 to keys.max_days",
            ),
            (
                telemetry::is_level(&self.log.level),
                "log.level has to be error, warn, info, debug or trace, or a filter with one of these for all the rest, \
                 such as info,sqlx=warn",
            ),
        ];
        for (holds, sentence) in rules {
            if !holds {
                return Err(ConfigError(sentence.to_owned()));
            }
        }
        self.argon2().map(|_| ())
    }

    /// The Argon2 parameters.
    ///
    /// # Errors
    /// When they are below the floor.
    pub fn argon2(&self) -> Result<Parameters, ConfigError> {
        let passwords = &self.passwords;
        Parameters::new(passwords.memory_kib, passwords.iterations, passwords.parallelism)
            .map_err(|problem| ConfigError(format!("[passwords] {problem}")))
    }

    /// The database to use; `None` for the private one.
    ///
    /// # Errors
    /// When `url_file` can't be read or is empty, or the URL is not one.
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
        // The parser's own text may repeat the URL, and with it the password.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError("database.url has to start with postgres://".to_owned()));
        }
        url.parse::<PgConnectOptions>()
            .map(Some)
            .map_err(|_| ConfigError("database.url is not a URL: postgres://user:password@host/database".to_owned()))
    }

    /// What is sent with traces, by name: usually what lets them in.
    ///
    /// # Errors
    /// When `headers_file` can't be read or is empty, or a line is not `name: value`. Its text is not repeated.
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
                let sentence = "traces.headers has to have a header a line, such as `authorization: Bearer …`";
                read(line).ok_or_else(|| ConfigError(sentence.to_owned()))
            })
            .collect()
    }

    /// The keys for fingerprints, the current one first; `None` when none is set.
    ///
    /// # Errors
    /// When `fingerprint_key_file` can't be read or is empty.
    pub fn fingerprint_keys(&self) -> Result<Option<Vec<Secret>>, ConfigError> {
        let Secrets { fingerprint_key, fingerprint_key_file: file } = &self.secrets;
        let text =
            if file.is_empty() { fingerprint_key.clone() } else { read_secret("secrets.fingerprint_key_file", file)? };
        let keys: Vec<Secret> =
            text.expose().lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect();
        Ok((!keys.is_empty()).then_some(keys))
    }

    /// The password in the database's URL, if there is one.
    ///
    /// # Errors
    /// As [`Config::database_options`].
    pub fn database_password(&self) -> Result<Option<Secret>, ConfigError> {
        // sqlx gives no password back; as a URL its options do.
        let url = self.database_options()?.map(|options| sqlx::ConnectOptions::to_url_lossy(&options));
        Ok(url.and_then(|url| url.password().filter(|password| !password.is_empty()).map(Secret::new)))
    }

    /// Where the private PostgreSQL lives.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        if !self.database.data_dir.is_empty() {
            return PathBuf::from(&self.database.data_dir);
        }
        if nix::unistd::Uid::effective().is_root() {
            return PathBuf::from("/var/lib/muster");
        }
        environment("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".local/share")))
            .map_or_else(|| PathBuf::from("data"), |parent| parent.join("muster"))
    }
}

/// Whether it could be a place to listen at. Which host that is shows when it is.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// The longest file that a setting may name, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What stands in the file that `setting` names: for secrets, certificates and their keys. Only what is a file in the end
/// is read, links followed: reading from a pipe could wait for ever.
///
/// # Errors
/// A sentence with the setting and the file.
pub(crate) fn read_file(setting: &str, file: &Path) -> Result<Vec<u8>, ConfigError> {
    use std::io::Read;
    let unusable = |why: String| ConfigError(format!("{setting} {} can't be read: {why}", file.display()));
    let kind = std::fs::metadata(file).map_err(|error| unusable(error.to_string()))?;
    if !kind.is_file() {
        return Err(unusable("it is not a regular file".to_owned()));
    }
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(LONGEST_FILE + 1).read_to_end(&mut text))
        .map_err(|error| unusable(error.to_string()))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= LONGEST_FILE) {
        return Ok(text);
    }
    Err(unusable(format!("it is longer than {LONGEST_FILE} bytes")))
}

/// The secret in the file that `setting` names. An empty file is one that is being written, or that nobody wrote: never
/// the same as no file.
///
/// # Errors
/// A sentence with the setting, and the file if what is set looks like the path of one: it may be the secret itself, which
/// somebody put in the place of its file's path.
fn read_secret(setting: &str, file: &str) -> Result<Secret, ConfigError> {
    if (!file.contains('/') || file.contains("://")) && !Path::new(file).exists() {
        return Err(ConfigError(format!(
            "{setting} has to be the path of a file; there is no file of the name that is set"
        )));
    }
    let text = String::from_utf8(read_file(setting, Path::new(file))?)
        .map(Secret::new)
        .map_err(|_| ConfigError(format!("{setting} {file} can't be read: it is not text in UTF-8")))?;
    if text.expose().trim().is_empty() {
        return Err(ConfigError(format!("{setting} {file} is empty")));
    }
    Ok(text)
}

/// The variables that are no settings: those of the command line, and those of this project's compose file, tests and
/// debug builds, which may stand in the same environment.
const VARIABLES: [&str; 12] = [
    "MUSTER_CONFIG",
    "MUSTER_DATA_DIR",
    "MUSTER_HOST",
    "MUSTER_HOLD_AT",
    "MUSTER_KILL_AT",
    "MUSTER_LISTEN",
    "MUSTER_MEMORY",
    "MUSTER_ORGANIZATION",
    "MUSTER_PUBLIC_URL",
    "MUSTER_TEST_KILLS",
    "MUSTER_TOKEN",
    "MUSTER_VERSION",
];

/// Refuses a variable that looks like a setting and sets nothing, such as `MUSTER_DATABASE_URL`. Kubernetes tells every
/// pod about the services in its namespace, `MUSTER_PORT_8080_TCP` and `MUSTER_SERVICE_HOST` among them: these are let be.
fn check_variables(names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let is_of_kubernetes = |name: &str| {
        ["_PORT_", "_SERVICE_PORT_"].iter().any(|part| name.contains(part))
            || ["_PORT", "_SERVICE_HOST"].iter().any(|end| name.ends_with(end))
    };
    let is_stray = |name: &String| {
        name.starts_with("MUSTER_")
            && !name.contains("__")
            && !VARIABLES.contains(&name.as_str())
            && !is_of_kubernetes(name)
    };
    let mut stray: Vec<String> = names.filter(is_stray).collect();
    stray.sort();
    match stray.first() {
        None => Ok(()),
        Some(name) => Err(ConfigError(format!(
            "unknown variable `{name}` in the environment: settings are MUSTER_SECTION__KEY with two underscores, such \
             as MUSTER_DATABASE__URL"
        ))),
    }
}

/// Whether links can begin with it, or it is empty.
fn is_public_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte))
    };
    url.is_empty() || rest.is_some_and(|rest| !rest.is_empty() && is_plain(rest))
}

/// A variable of the environment that is not a setting: `None` if missing, empty or not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address to listen on, of `HOST:PORT`.
///
/// # Errors
/// When there is no such host.
pub fn resolve(listen: &str) -> Result<SocketAddr, ConfigError> {
    use std::net::ToSocketAddrs;
    listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| ConfigError(format!("can't listen on {listen}: it has to be HOST:PORT, such as 127.0.0.1:8080")))
}

/// One sentence about a setting that can't be used: which, where, and what is due.
fn describe(error: figment::Error) -> String {
    use figment::error::Kind;
    let place = error.metadata.as_ref().map_or_else(String::new, |metadata| {
        match metadata.source.as_ref().and_then(figment::Source::file_path) {
            Some(file) => format!(" in {}", file.display()),
            None if metadata.name.contains("environment") => " in the environment".to_owned(),
            None => String::new(),
        }
    });
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let name = match path.as_str() {
                "" => field.clone(),
                path if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
                path => format!("{path}.{field}"),
            };
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("unknown setting `{name}`{place}; known there: {}", known.join(", "))
        }
        Kind::InvalidType(..) | Kind::InvalidValue(..) if numbers::due(&path).is_some() => {
            format!("setting `{path}`{place} has to be {}", numbers::due(&path).unwrap_or_default())
        }
        // What was found is not repeated: it may be a part of a secret.
        Kind::InvalidType(_, expected) => format!("setting `{path}`{place} has to be {}", words(expected)),
        Kind::UnknownVariant(found, known) => {
            format!("setting `{path}`{place} is `{found}`; it has to be one of {}", known.join(", "))
        }
        other => {
            let path = if path.is_empty() { String::new() } else { format!(" (setting `{path}`)") };
            format!("the configuration{place}{path} can't be used: {}", without_source(&other.to_string()))
        }
    }
}

/// What is wrong with a text of TOML, in one line. The reader shows the line that it can't read, which may be a secret.
fn without_source(message: &str) -> String {
    let is_shown = |line: &str| !line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let lines: Vec<&str> = message.lines().filter(|line| is_shown(line)).map(str::trim).collect();
    lines.join(": ")
}

/// What is due, for people who don't write Rust.
fn words(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" => {
            "text; what looks like a number or a list has to stand in quotes, in the environment too: '\"1234\"'"
        }
        "a sequence" => "a list such as [\"10.0.0.0/8\", \"::1\"], in the environment in brackets, too",
        other if other.starts_with("struct ") => "a section with settings, not a setting",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_is_a_valid_configuration() {
        Config::built_in().unwrap().check().unwrap();
    }

    #[test]
    fn a_variable_that_sets_nothing_is_refused_and_those_of_kubernetes_are_not() {
        let check = |name: &str| check_variables([name.to_owned()].into_iter()).map_err(|error| error.to_string());
        for fine in [
            "PATH",
            "MUSTER_HOST",
            "MUSTER_DATABASE__URL",
            "MUSTER_PORT",
            "MUSTER_PORT_8080_TCP_ADDR",
            "MUSTER_SERVICE_HOST",
            "MUSTER_METRICS_SERVICE_PORT_HTTP",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for stray in ["MUSTER_NONSENSE", "MUSTER_DATABASE_URL", "MUSTER_"] {
            assert_eq!(
                check(stray),
                Err(format!(
                    "unknown variable `{stray}` in the environment: settings are MUSTER_SECTION__KEY with two \
                     underscores, such as MUSTER_DATABASE__URL"
                ))
            );
        }
    }

    #[test]
    fn a_public_url_is_what_links_can_begin_with() {
        for good in ["", "https://muster.example.org", "http://10.0.0.1:8080/muster/", "https://[::1]:8443"] {
            assert!(is_public_url(good), "{good}");
        }
        for bad in
            ["muster.example.org", "ftp://h", "https://", "https:///x", "https://h/?x", "https://h/#x", "https://h o"]
        {
            assert!(!is_public_url(bad), "{bad}");
        }
    }

    #[test]
    fn argon2_below_the_floor_is_refused() {
        let mut config = Config::built_in().unwrap();
        config.passwords.memory_kib = 19455;
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "[passwords] argon2id with 19455 KiB and 2 iterations is weaker than OWASP ASVS 5.0 allows: use 47104 \
             KiB with 1, 19456 with 2, or 12288 with 3 or more"
        );
    }

    #[test]
    fn a_url_that_is_none_does_not_show_its_password() {
        let mut config = Config::built_in().unwrap();
        config.database.url = Secret::new("mysql://u:hunter2@h/d");
        assert_eq!(config.database_options().unwrap_err().to_string(), "database.url has to start with postgres://");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
