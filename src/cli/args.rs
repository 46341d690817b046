//! Arguments that several commands share: the settings, and the organization of the local operator.

use std::net::SocketAddr;
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
        self.load_listening(None)
    }

    /// The settings with another address to listen on.
    pub(super) fn load_listening(&self, listen: Option<&String>) -> Result<Operator, Exit> {
        let organization = self.organization.clone().filter(|organization| !organization.is_empty());
        Ok(Operator { config: self.config.load_with(listen)?, organization })
    }
}

impl ConfigArgs {
    /// The same options for a shell, each after a blank, without the secrets of a database URL.
    pub(super) fn for_shell(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| output::shell_quote(&path.to_string_lossy()));
        [
            ("config", path(&self.config)),
            ("data-dir", path(&self.data_dir)),
            ("database-url", self.database_url.as_ref().map(|_| "…".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" --{name} {}", value?)))
        .collect()
    }

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

    /// The same options for a command of the local operator in a shell, each after a blank. `address` is the one on which the
    /// server listens.
    pub(super) fn for_shell(&self, address: SocketAddr) -> String {
        let listen = self.listen.as_ref().map_or_else(String::new, |_| format!(" --listen {address}"));
        self.config.for_shell() + &listen
    }
}

/// Where settings come from, for people.
pub(super) fn settings_source(file: Option<&Path>) -> String {
    match file {
        Some(file) => format!("{} and the environment", output::clean(&file.display().to_string())),
        None => "defaults and the environment (neither --config nor MUSTER_CONFIG is set)".to_owned(),
    }
}
