//! Finding PostgreSQL's server programs on this machine.

use std::fmt;
use std::path::{Path, PathBuf};

/// A folder that has `postgres` and `initdb`, of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    /// The major version, such as 17.
    pub major: u32,
}

/// No server programs here, or not of the version that a data directory needs.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramsNotFound {
    needed: Option<u32>,
    found: Vec<u32>,
}

impl fmt::Display for ProgramsNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed {
            Some(needed) if !self.found.is_empty() => {
                let found: Vec<String> = self.found.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "the data was written by PostgreSQL {needed}, and this machine has only PostgreSQL {}: \
                     install version {needed}, or move the data with pg_upgrade",
                    found.join(", ")
                )
            }
            _ => f.write_str(
                "PostgreSQL's server programs were not found: install them (Debian/Ubuntu: `apt-get install \
                 postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or \
                 give the address of a running server with `--database-url`",
            ),
        }
    }
}

impl std::error::Error for ProgramsNotFound {}

impl Programs {
    /// Finds the programs: on `search_path` (the value of `PATH`), where Debian, Fedora and
    /// Homebrew put them; of version `needed`, or else the newest.
    ///
    /// # Errors
    /// [`ProgramsNotFound`], whose text says what to install.
    pub fn find(search_path: &str, needed: Option<u32>) -> Result<Self, ProgramsNotFound> {
        let mut all: Vec<Self> = candidates(search_path).into_iter().filter_map(Self::at).collect();
        all.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        all.dedup();
        let found = all.iter().map(|programs| programs.major).collect();
        all.into_iter()
            .find(|programs| needed.is_none_or(|needed| needed == programs.major))
            .ok_or(ProgramsNotFound { needed, found })
    }

    /// One of the programs, by its name.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn at(folder: PathBuf) -> Option<Self> {
        if !folder.join("postgres").is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = std::process::Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, major })
    }
}

/// Reads `postgres (PostgreSQL) 17.2 (Debian …)`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn candidates(search_path: &str) -> Vec<PathBuf> {
    // A link on PATH (`/usr/local/bin/initdb`) leads to the folder that has the rest.
    let on_path = std::env::split_paths(search_path)
        .filter_map(|folder| folder.join("initdb").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_path_buf));
    let installed = [
        ("/usr/lib/postgresql", "bin"),
        ("/usr", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ]
    .into_iter()
    .flat_map(|(parent, bin)| children(Path::new(parent)).map(move |child| child.join(bin)));
    on_path.chain(installed).collect()
}

/// The folders in `parent` that are named like a PostgreSQL version: `17`, `pgsql-17`, `postgresql@17`.
fn children(parent: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ["", "pgsql-", "postgresql@", "postgresql"].iter().any(|prefix| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn nothing_installed_is_told_with_what_to_install() {
        let error = ProgramsNotFound { needed: None, found: Vec::new() };
        assert_eq!(
            error.to_string(),
            "PostgreSQL's server programs were not found: install them (Debian/Ubuntu: `apt-get install postgresql`; \
             Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or give the address of a \
             running server with `--database-url`"
        );
    }

    #[test]
    fn a_missing_version_is_named() {
        let error = ProgramsNotFound { needed: Some(13), found: vec![17, 15] };
        assert_eq!(
            error.to_string(),
            "the data was written by PostgreSQL 13, and this machine has only PostgreSQL 17, 15: install version \
             13, or move the data with pg_upgrade"
        );
    }
}
