//! The sections of the settings. `config/muster.toml` explains each setting.
#![expect(missing_docs, reason = "the manual is config/muster.toml")]

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::limits::{self, HttpLimits};
use crate::proxies::{ForwardedHeader, Network};
use crate::secret::Secret;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    pub public_url: String,
    pub workers: usize,
    pub body_limit: usize,
    pub body_budget: usize,
    pub keep_alive_seconds: u64,
    pub max_connections: usize,
    pub connections_per_address: usize,
    pub shutdown_timeout_seconds: u64,
    pub drain_delay_seconds: u64,
    pub tls_certificate_file: String,
    pub tls_key_file: String,
    pub tls_client_ca_file: String,
    pub trusted_proxies: Vec<Network>,
    pub forwarded_header: ForwardedHeader,
    #[serde(skip)]
    pub limits: HttpLimits,
    /// No setting: the URL at which the server of the data directory listens, while it runs.
    #[serde(skip)]
    pub listening_url: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: Secret,
    pub url_file: String,
    pub data_dir: String,
    pub connections: u32,
    pub batch_connections: u32,
    #[serde(skip, default = "limits::acquire_timeout")]
    pub acquire_timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub max_users: usize,
    pub max_findings: usize,
    pub max_wait_seconds: u64,
    pub max_sync_seconds: u64,
    pub lease_seconds: u32,
    pub idempotency_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
    pub threads: usize,
    pub min_length: usize,
    pub min_strength: u8,
    pub must_change: bool,
    pub initial_hours: u32,
    pub refusal_floor_ms: u32,
    #[serde(skip, default = "limits::hash_queue")]
    pub queue: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub throttle: bool,
    pub account_burst: u32,
    pub account_per_minute: u32,
    pub account_per_day: u32,
    pub network_burst: u32,
    pub network_per_minute: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    pub idle_minutes: u32,
    pub hours: u32,
    pub sso_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    pub hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub url: Secret,
    pub url_file: String,
    pub from: String,
    pub plaintext: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub default_days: u32,
    pub max_days: u32,
    pub rotation_overlap_hours: u32,
    pub per_user: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitations {
    pub days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub server_key: Secret,
    pub server_key_file: String,
    /// The former name of `server_key`.
    #[serde(default)]
    fingerprint_key: Secret,
    /// The former name of `server_key_file`.
    #[serde(default)]
    fingerprint_key_file: String,
    pub seal_key: Secret,
    pub seal_key_file: String,
}

impl Secrets {
    /// Whether at most one of the four settings is set.
    pub(super) fn has_one_source(&self) -> bool {
        let texts = [
            self.server_key.expose(),
            &self.server_key_file,
            self.fingerprint_key.expose(),
            &self.fingerprint_key_file,
        ];
        texts.iter().filter(|text| !text.is_empty()).count() <= 1
    }

    /// Moves the values of the former names to the current ones. At most one of them is set.
    pub(super) fn rename_former(&mut self) {
        if !self.fingerprint_key.expose().is_empty() {
            self.server_key = std::mem::take(&mut self.fingerprint_key);
        }
        if !self.fingerprint_key_file.is_empty() {
            self.server_key_file = std::mem::take(&mut self.fingerprint_key_file);
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub listen: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    pub endpoint: String,
    pub headers: Secret,
    pub headers_file: String,
    pub per_second: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl Server {
    /// The paths of the TLS certificate and its private key; `None` if TLS is off.
    #[must_use]
    pub fn certificate_files(&self) -> Option<(PathBuf, PathBuf)> {
        let is_set = !self.tls_certificate_file.is_empty();
        is_set.then(|| (PathBuf::from(&self.tls_certificate_file), PathBuf::from(&self.tls_key_file)))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sso {
    pub owners_may_configure: bool,
    pub private_networks: bool,
    pub proxy: Secret,
    pub extra_audiences: Vec<String>,
    pub creates_per_hour: u32,
}
