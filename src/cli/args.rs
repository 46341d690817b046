//! Arguments that several commands share: the settings, and the organization of the local operator.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::output::{self, Format};
use crate::config::{Config, Flags};

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ConfigArgs {
    /// Settings file; `muster config check --defaults` prints all settings.
    #[arg(long, value_name = "FILE", env = "MUSTER_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Data directory of the embedded PostgreSQL [default: /var/lib/muster as root, else ~/.local/share/muster].
    #[arg(long, value_name = "DIR", env = "MUSTER_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// External PostgreSQL to use instead: postgres://user:password@host/database. Prefer MUSTER_DATABASE__URL: other
    /// users of this machine can see command lines.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

/// The settings of a server, with its address.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Address to listen on; port 0 selects a free port [default: 127.0.0.1:8080].
    #[arg(long, value_name = "HOST:PORT", env = "MUSTER_LISTEN")]
    listen: Option<String>,
}

/// The settings, and the organization in which the local operator acts.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct OperatorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Organization ID or identifier [default: the only organization].
    #[arg(long, value_name = "ID|IDENTIFIER", env = "MUSTER_ORGANIZATION")]
    organization: Option<String>,
}

/// An output format, and the settings of the local operator.
#[derive(Args, Debug)]
pub(super) struct LocalArgs {
    #[arg(short, long, value_enum, default_value = "table")]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) config: OperatorArgs,
}

/// The loaded settings, and the organization in which the local operator acts; `None` selects the only one.
pub(super) struct Operator {
    pub(super) config: Config,
    pub(super) organization: Option<String>,
}

impl OperatorArgs {
    /// Whether the command line names a database.
    pub(super) const fn names_database(&self) -> bool {
        self.config.database_url.is_some()
    }

    pub(super) fn load(&self) -> Result<Operator, Exit> {
        let organization = self.organization.clone().filter(|organization| !organization.is_empty());
        Ok(Operator { config: self.config.load()?, organization })
    }
}

impl ConfigArgs {
    pub(super) fn load(&self) -> Result<Config, Exit> {
        self.load_with(None)
    }

    fn load_with(&self, listen: Option<&String>) -> Result<Config, Exit> {
        Config::load(&Flags {
            file: self.config.clone(),
            listen: listen.cloned(),
            database_url: self.database_url.clone(),
            data_dir: self.data_dir.clone(),
        })
        .map_err(Exit::usage)
    }
}

impl ServeArgs {
    pub(super) fn load(&self) -> Result<Config, Exit> {
        self.config.load_with(self.listen.as_ref())
    }
}

/// Where settings come from, for people.
pub(super) fn settings_source(file: Option<&Path>) -> String {
    match file {
        Some(file) => format!("{} and the environment", output::clean(&file.display().to_string())),
        None => "defaults and the environment (neither --config nor MUSTER_CONFIG is set)".to_owned(),
    }
}
