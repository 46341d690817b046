//! `muster doctor`: checks everything that muster depends on, and reports each problem, its consequence and the remedy.
//!
//! It reads the settings, the catalogs of the database and the state of the machine, and changes nothing. The only data of
//! tenants that it reads are the names of API keys that expire soon, how many passwords are hashed with which scheme, and the short names
//! of organizations whose owners can't sign in. So there is no caller and no [`crate::change::Change`].
//!
//! # Decisions
//!
//! *Reading and assessing are separate.* `read.rs` queries the database, `machine.rs` reads the machine; pure functions
//! assess the results, so that unit tests cover what no integration test can cause: a wrong clock, a full disk.
//!
//! *Missing migrations are a warning*, because a server applies them when it starts.

mod certificate;
mod database;
mod hashing;
mod keys;
mod machine;
mod mail;
mod read;
mod rights;
mod schema;
mod settings;
mod sign_in;
mod space;
mod sso;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::postgres::Database;
use crate::seal::SealKeys;

pub use hashing::Cost;
pub use read::objects;
pub use schema::OBJECTS;

/// The severity of a finding; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No action needed.
    Ok,
    /// muster works, but may stop working, or could be faster or safer.
    Warning,
    /// muster does not work, or breaks a guarantee.
    Problem,
}

impl State {
    /// The name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The stable name of the check, such as `database.version`.
    pub check: &'static str,
    /// The severity.
    pub state: State,
    /// What the check found, in one line without secrets.
    pub found: String,
    /// The consequence; `None` if there is none.
    pub meaning: Option<String>,
    /// What to do; `None` if there is nothing to do.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), meaning: None, advice: None }
    }

    /// Fine unless a condition holds that this process can't see.
    fn conditional(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { state: State::Ok, ..Self::warning(check, found, meaning, advice) }
    }

    fn warning(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (meaning, advice) = (Some(meaning.into()), Some(advice.into()));
        Self { check, state: State::Warning, found: found.into(), meaning, advice }
    }

    fn problem(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { state: State::Problem, ..Self::warning(check, found, meaning, advice) }
    }
}

/// The results of all checks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst severity.
    pub state: State,
    /// The file that settings were read from; `None`: only defaults and the environment.
    pub settings_file: Option<PathBuf>,
    /// The findings, in the order in which to fix them.
    pub findings: Vec<Finding>,
    /// The cost of Argon2id, first with the configured parameters. Empty if it was not measured, or if memory does not
    /// suffice.
    pub hash_costs: Vec<Cost>,
}

impl Report {
    /// The report on settings that can't be read; without them, no other check runs.
    #[must_use]
    pub fn unusable_settings(settings_file: Option<PathBuf>, why: &str) -> Self {
        let findings = vec![settings::unusable(why)];
        Self { state: State::Problem, settings_file, findings, hash_costs: Vec::new() }
    }
}

/// What to check.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The file that the settings were read from, if any.
    pub settings_file: Option<PathBuf>,
    /// The database, or a message that says why there is none.
    pub database: Result<&'a Database, String>,
    /// The data directory, if the database is the embedded PostgreSQL.
    pub embedded_data_dir: Option<&'a Path>,
    /// The seal keys, if the database could be opened.
    pub seal_keys: Option<&'a SealKeys>,
    /// Whether the server key was generated at this start and is lost when the process exits.
    pub has_ephemeral_key: bool,
    /// The certificate to check, with its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether to measure Argon2id.
    pub measures_hashing: bool,
    /// The clock.
    pub clock: &'a Clock,
}

/// Runs all checks. Takes a second or two, most of it for measuring Argon2id on every core.
pub async fn examine(subject: &Subject<'_>) -> Report {
    let mut findings = match &subject.database {
        Ok(database) => database::examine(database, subject).await,
        Err(why) => vec![database::unreachable(why)],
    };
    if let Some(data_dir) = subject.embedded_data_dir {
        findings.push(space::examine(data_dir));
    }
    findings.extend(settings::examine(subject));
    findings.extend(sign_in::settings(subject.config));
    findings.extend(mail::examine(subject).await);
    if let Some((certificate, key)) = &subject.certificate {
        findings.extend(certificate::examine(certificate, key, subject.clock.now()));
    }
    let memory = machine::memory(subject.config);
    let has_memory = memory.state != State::Problem;
    findings.push(memory);
    // Before the measurement causes load itself.
    let load = machine::load(Path::new("/proc"));
    let hash_costs =
        if has_memory && subject.measures_hashing { hashing::measure(subject.config).await } else { Vec::new() };
    if subject.measures_hashing {
        findings.push(hashing::assess(subject.config, hash_costs.first(), load));
    }
    let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    Report { state, settings_file: subject.settings_file.clone(), findings, hash_costs }
}
