//! The doctor: looks at everything that muster stands on, and says what is wrong with it, what that means and what
//! to do about it.
//!
//! Reads settings, the database's catalogs and the machine; of tenants it reads the names of API keys that are about to
//! end, and it changes nothing. So there is no caller and no [`crate::change::Change`]. It is for a first installation, for the minute after an
//! upgrade, and for the night.
//!
//! # Decisions
//!
//! *What was found and what it means are two steps.* `read.rs` asks the database, `machine.rs` the machine; the
//! judgements beside them are functions of what was found, so that states are tested that no test can bring about: a
//! clock that is wrong, a disk that is full.
//!
//! *Missing migrations are a warning.* A server that is started applies them by itself.

mod certificate;
mod database;
mod hashing;
mod keys;
mod machine;
mod read;
mod rights;
mod schema;
mod settings;
mod space;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::postgres::Database;

pub use hashing::Cost;
pub use schema::{OBJECTS, objects};

/// How bad it is. The worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// muster works, and will not always, or not as well or as safely as it could.
    Warning,
    /// muster does not work, or breaks a promise.
    Problem,
}

impl State {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at: a stable dotted name, such as `database.version`.
    pub check: &'static str,
    /// How bad it is.
    pub state: State,
    /// What there is, in one line. No password, key or token.
    pub found: String,
    /// What that leads to; `None` when it is as it should be. Where that can't be told for sure: what it would lead to.
    pub meaning: Option<String>,
    /// What to do about it; `None` when there is nothing to do.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), meaning: None, advice: None }
    }

    /// It is fine, unless something that can't be seen from here is not.
    fn remark(
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

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst of the findings.
    pub state: State,
    /// The file that settings were read from; `None`: those that are built in, and the environment's.
    pub settings_file: Option<PathBuf>,
    /// In the order in which one would mend them.
    pub findings: Vec<Finding>,
    /// What argon2id costs on this machine, first with the parameters that are set. Empty when it was not to be measured,
    /// or when there is not the memory for it.
    pub hash_costs: Vec<Cost>,
}

impl Report {
    /// On settings that can't be read or understood, for this reason: without them nothing else is looked at.
    #[must_use]
    pub fn unusable_settings(settings_file: Option<PathBuf>, why: &str) -> Self {
        let findings = vec![settings::unusable(why)];
        Self { state: State::Problem, settings_file, findings, hash_costs: Vec::new() }
    }
}

/// What to look at.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The file that they were read from, if there was one.
    pub settings_file: Option<PathBuf>,
    /// The database; or why there is none, in one sentence.
    pub database: Result<&'a Database, String>,
    /// Where the private PostgreSQL keeps its data, if it is that one.
    pub private: Option<&'a Path>,
    /// Whether fingerprints are made with a key that ends with the process.
    pub has_passing_key: bool,
    /// A certificate to look at, with its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether to measure how fast this machine hashes.
    pub measures_hashing: bool,
    /// The time.
    pub clock: &'a Clock,
}

/// Looks at everything. Takes a second or two, most of it for measuring hashes on every core.
pub async fn examine(subject: &Subject<'_>) -> Report {
    let mut findings = match &subject.database {
        Ok(database) => database::examine(database, subject).await,
        Err(why) => vec![database::unreachable(why)],
    };
    if let Some(data_dir) = subject.private {
        findings.push(space::examine(data_dir));
    }
    findings.extend(settings::examine(subject));
    if let Some((certificate, key)) = &subject.certificate {
        findings.extend(certificate::examine(certificate, key, subject.clock.now()));
    }
    let memory = machine::memory(subject.config);
    let fits = memory.state != State::Problem;
    findings.push(memory);
    // Before muster itself makes it busy.
    let load = machine::load(Path::new("/proc"));
    let hash_costs = if fits && subject.measures_hashing { hashing::measure(subject.config).await } else { Vec::new() };
    if subject.measures_hashing {
        findings.push(hashing::judge(subject.config, hash_costs.first(), load));
    }
    let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    Report { state, settings_file: subject.settings_file.clone(), findings, hash_costs }
}
