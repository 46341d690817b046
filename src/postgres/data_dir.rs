//! The data directory of the private PostgreSQL: made, checked and locked.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// The file that muster makes first, and knows its data directory by.
pub(super) const FIRST_FILE: &str = "starting.lock";

/// How long to wait for another muster that is starting or stopping the cluster.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

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
    // As root, folders on the way have to let PostgreSQL's account through.
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    fs::DirBuilder::new().recursive(true).mode(mode).create(data_dir).map_err(failed)?;
    let data_dir = data_dir.canonicalize().map_err(failed)?;
    let found = fs::metadata(&data_dir).map_err(failed)?;
    let me = Uid::effective();
    let refuse = |problem: String| Err(DataDirError { path: data_dir.clone(), problem });
    if found.uid() != me.as_raw() {
        let owner = Uid::from_raw(found.uid());
        let name = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
        return refuse(format!("belongs to user {name}: run muster as {name}, or choose another with `--data-dir`"));
    }
    if found.mode() & 0o022 != 0 {
        return refuse(
            "can be written to by other users: close it (`chmod go-w`), or choose another with `--data-dir`".to_owned(),
        );
    }
    // Nothing is ever removed or overwritten that muster did not put there.
    let is_ours = data_dir.join(FIRST_FILE).exists();
    let stranger = fs::read_dir(&data_dir).map_err(failed)?.flatten().find(|entry| entry.file_name() != "lost+found");
    if let (false, Some(stranger)) = (is_ours, stranger) {
        return refuse(format!(
            "has something in it that is not muster's ({}): choose an empty or a new one with `--data-dir`",
            stranger.file_name().to_string_lossy()
        ));
    }
    if me.is_root() && !is_ours {
        // PostgreSQL's account has to get through it to its own folder.
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    if me.is_root()
        && let Some(closed) = data_dir.ancestors().find(|folder| !is_open_to_others(folder))
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

/// Makes a folder that is `owner`'s and nobody else's, or finds it so.
pub(super) fn make_dir(path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let expected = owner.map_or(Uid::effective(), |(user, _)| user);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match owner {
            Some((user, group)) => chown(path, Some(user.as_raw()), Some(group.as_raw())),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Not somebody else's folder put in our way, as is possible in a shared /tmp.
            let found = fs::symlink_metadata(path)?;
            if found.is_dir() && found.uid() == expected.as_raw() {
                return Ok(());
            }
            Err(io::Error::other(format!("{} belongs to somebody else", path.display())))
        }
        Err(error) => Err(error),
    }
}

/// Opens a lock file, which only its owner can, or others could hold it.
pub(super) fn lock_file(data_dir: &Path, name: &str) -> Result<File, DataDirError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(data_dir.join(name))
        .map_err(|error| unusable(data_dir, &error))
}

/// Waits for the lock, a while.
pub(super) async fn lock(data_dir: &Path, file: &File) -> Result<(), DataDirError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(unusable(data_dir, &error)),
            Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_PATIENCE => {
                return Err(DataDirError {
                    path: data_dir.to_path_buf(),
                    problem: "is being started or stopped by another muster, which does not finish".to_owned(),
                });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
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
