//! The data directory of the private PostgreSQL: made, checked and locked.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};

/// A data directory that can't be used.
#[derive(Debug)]
pub struct DataDirError {
    path: PathBuf,
    /// What is wrong with it, and what to do.
    problem: String,
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the data directory {} {}", self.path.display(), self.problem)
    }
}

/// The longest path of a Unix socket that every system takes.
const LONGEST_SOCKET_PATH: usize = 100;

/// The socket's folder: in the data directory, unless that makes its path too long.
pub(super) fn socket_dir(data_dir: &Path) -> PathBuf {
    let inside = data_dir.join("run");
    if inside.as_os_str().len() + "/.s.PGSQL.5432".len() <= LONGEST_SOCKET_PATH {
        return inside;
    }
    let mark = crc32fast::hash(data_dir.as_os_str().as_encoded_bytes());
    let owner = fs::metadata(data_dir).map(|data_dir| data_dir.uid()).unwrap_or_default();
    std::env::temp_dir().join(format!("muster-{owner}-{mark:08x}"))
}

/// Makes the data directory, and finds out early whether it can be used.
pub(super) fn prepare(data_dir: &Path) -> Result<PathBuf, DataDirError> {
    let failed = |error: io::Error| unusable(data_dir, &error);
    let mut builder = fs::DirBuilder::new();
    // Open to others as root, because the account of PostgreSQL has to get through it.
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    builder.recursive(true).mode(mode).create(data_dir).map_err(failed)?;
    let data_dir = data_dir.canonicalize().map_err(failed)?;
    let owner = fs::metadata(&data_dir).map_err(failed)?.uid();
    let me = Uid::effective();
    if owner != me.as_raw() && !me.is_root() {
        let name = User::from_uid(Uid::from_raw(owner)).ok().flatten().map_or(owner.to_string(), |user| user.name);
        return Err(DataDirError {
            path: data_dir,
            problem: format!("belongs to user {name}: run muster as {name}, or choose another with `--data-dir`"),
        });
    }
    if me.is_root()
        && let Some(closed) = data_dir.ancestors().skip(1).find(|folder| !is_open_to_others(folder))
    {
        return Err(DataDirError {
            problem: format!(
                "can't be reached by the unprivileged user that PostgreSQL runs as, because {} is closed to \
                 others: choose another with `--data-dir`",
                closed.display()
            ),
            path: data_dir,
        });
    }
    Ok(data_dir)
}

fn is_open_to_others(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o001 != 0)
}

pub(super) fn make_dir(path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Not somebody else's folder put in our way, as is possible in a shared /tmp.
            let found = fs::symlink_metadata(path)?;
            let expected = owner.map_or(Uid::effective(), |(user, _)| user).as_raw();
            if !found.is_dir() || (found.uid() != expected && found.uid() != Uid::effective().as_raw()) {
                return Err(io::Error::other(format!("{} belongs to somebody else", path.display())));
            }
        }
        other => other?,
    }
    if let Some((user, group)) = owner {
        chown(path, Some(user.as_raw()), Some(group.as_raw()))?;
    }
    Ok(())
}

pub(super) fn lock_file(data_dir: &Path, name: &str) -> Result<File, DataDirError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data_dir.join(name))
        .map_err(|error| unusable(data_dir, &error))
}

/// Waits for the lock without holding up the runtime.
pub(super) async fn lock(data_dir: &Path, file: io::Result<File>) -> Result<(), DataDirError> {
    let waited = tokio::task::spawn_blocking(move || file?.lock()).await;
    match waited {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(unusable(data_dir, &error)),
        Err(error) => Err(unusable(data_dir, &io::Error::other(error))),
    }
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> DataDirError {
    let problem = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "can't be used by this user (permission denied): choose another with `--data-dir`, or run muster as \
             its owner"
                .to_owned()
        }
        _ => format!("can't be used: {error}"),
    };
    DataDirError { path: path.to_path_buf(), problem }
}
