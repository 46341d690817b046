//! Finds the server programs of PostgreSQL on this machine.

use std::path::{Path, PathBuf};

/// A directory with `postgres` and `initdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
    /// The major version, such as 17.
    pub major: u32,
}

/// The server programs are not installed, or not in the version that a data directory needs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramsNotFound {
    /// No version is installed.
    #[error(
        "the PostgreSQL server programs are not installed; install them (Debian/Ubuntu: `apt-get install postgresql`; \
         Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set the address of a running \
         server with `--database-url`"
    )]
    NotInstalled,
    /// Only other versions are installed.
    #[error(
        "the data directory was created by PostgreSQL {needed}, and only PostgreSQL {} is installed; install version {needed}, or \
         upgrade the data with pg_upgrade",
        list(found)
    )]
    WrongVersion {
        /// The major version of the data directory.
        needed: u32,
        /// The installed major versions, newest first.
        found: Vec<u32>,
    },
}

fn list(versions: &[u32]) -> String {
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl Programs {
    /// Finds the programs on `search_path` (the value of `PATH`) or where Debian, Fedora and Homebrew install them: version
    /// `needed`, or else the newest.
    ///
    /// # Errors
    /// [`ProgramsNotFound`], whose message says what to install.
    pub fn find(search_path: &str, needed: Option<u32>) -> Result<Self, ProgramsNotFound> {
        let mut all: Vec<Self> = candidates(search_path).into_iter().filter_map(Self::at).collect();
        all.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        all.dedup();
        let found: Vec<u32> = all.iter().map(|programs| programs.major).collect();
        let chosen = all.into_iter().find(|programs| needed.is_none_or(|needed| needed == programs.major));
        chosen.ok_or(match needed {
            Some(needed) if !found.is_empty() => ProgramsNotFound::WrongVersion { needed, found },
            _ => ProgramsNotFound::NotInstalled,
        })
    }

    /// The path of a program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn at(directory: PathBuf) -> Option<Self> {
        if !directory.join("postgres").is_file() || !directory.join("initdb").is_file() {
            return None;
        }
        let output = std::process::Command::new(directory.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory, major })
    }
}

/// Reads `postgres (PostgreSQL) 17.2 (Debian …)`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn candidates(search_path: &str) -> Vec<PathBuf> {
    // A link on PATH (`/usr/local/bin/initdb`) leads to the directory with the other programs.
    let on_path = std::env::split_paths(search_path)
        .filter_map(|directory| directory.join("initdb").canonicalize().ok())
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

/// The directories in `parent` that are named like a PostgreSQL version: `17`, `pgsql-17`, `postgresql@17`.
fn children(parent: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return false };
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
    fn the_message_says_what_to_install() {
        assert_eq!(
            ProgramsNotFound::NotInstalled.to_string(),
            "the PostgreSQL server programs are not installed; install them (Debian/Ubuntu: `apt-get install \
             postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set the \
             address of a running server with `--database-url`"
        );
    }

    #[test]
    fn a_missing_version_is_named() {
        let error = ProgramsNotFound::WrongVersion { needed: 13, found: vec![17, 15] };
        assert_eq!(
            error.to_string(),
            "the data directory was created by PostgreSQL 13, and only PostgreSQL 17, 15 is installed; install version 13, or \
             upgrade the data with pg_upgrade"
        );
    }
}
