//! The file in which `muster login` stores API keys, one per server, and the server of the last login; readable by its owner
//! only.
//!
//! `$XDG_CONFIG_HOME/muster/credentials.json` (`~/.config/muster/credentials.json`):
//! `{"hosts": {"https://muster.example.org": {"token": "amk_…"}}, "default_host": "https://muster.example.org"}`.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Exit, output, private_file};
use crate::config::environment;
use crate::secret::Secret;

/// The API keys by server URL. Unknown fields of the file are preserved.
pub(super) struct Credentials {
    path: PathBuf,
    content: Content,
}

#[derive(Default, Deserialize, Serialize)]
struct Content {
    #[serde(default)]
    hosts: BTreeMap<String, Entry>,
    /// The server of the last login, until the logout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_host: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    token: String,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Credentials {
    /// Reads the file; a missing file is empty. Warns if other users can read it.
    pub(super) fn load() -> Result<Self, Exit> {
        let path = path()?;
        let unusable =
            |why: &dyn std::fmt::Display| Exit::Usage(format!("can't read the API keys in {}: {why}", path.display()));
        let content = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| unusable(&format!("malformed JSON in line {}", error.line())))?,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Content::default(),
            Err(error) => return Err(unusable(&error)),
        };
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
            output::say(&format!("warning: other users can read {0}; run `chmod 600 {0}`", path.display()));
        }
        Ok(Self { path, content })
    }

    /// The stored API key for a server.
    pub(super) fn find(&self, host: &str) -> Option<Secret> {
        self.content.hosts.get(host).map(|entry| Secret::new(&entry.token))
    }

    /// The server of the last login.
    pub(super) fn default_host(&self) -> Option<&str> {
        self.content.default_host.as_deref()
    }

    /// Stores the API key for a server, replacing the previous one, and makes the server the default.
    pub(super) fn store(&mut self, host: &str, token: &str) -> Result<(), Exit> {
        let entry = Entry { token: token.to_owned(), others: BTreeMap::new() };
        self.content.hosts.insert(host.to_owned(), entry);
        self.content.default_host = Some(host.to_owned());
        self.write()
    }

    /// Removes the API key for a server.
    pub(super) fn remove(&mut self, host: &str) -> Result<(), Exit> {
        self.content.hosts.remove(host);
        self.content.default_host.take_if(|default| default == host);
        self.write()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file atomically; other users can't read it at any time.
    fn write(&self) -> Result<(), Exit> {
        let write = || -> std::io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            private_file::replace(&self.path, &serde_json::to_vec_pretty(&self.content)?)
        };
        write().map_err(|error| Exit::Usage(format!("can't write {}: {error}", self.path.display())))
    }
}

fn path() -> Result<PathBuf, Exit> {
    environment("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".config")))
        .map(|folder| folder.join("muster/credentials.json"))
        .ok_or_else(|| Exit::usage("no directory for API keys; set HOME or XDG_CONFIG_HOME"))
}
