//! Creates, validates and locks the data directory of the embedded PostgreSQL.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User};

/// A data directory that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the data directory {} {why}", path.display())]
pub struct DataDirError {
    path: PathBuf,
    /// The end of the message: what is wrong with the directory, and what to do.
    why: String,
}

/// The file that muster creates first and recognizes its data directory by.
pub(super) const FIRST_FILE: &str = "starting.lock";

/// How long to wait for another process that starts or stops PostgreSQL.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest path of a Unix socket that works on every system, in bytes.
const MAX_SOCKET_PATH: usize = 100;

/// The file that names the directory of the socket, if that is not in the data directory.
const SOCKET_DIR_FILE: &str = "socket-directory";

/// The directory of the socket: in the data directory, or in the system's temporary directory if the path is too long. There,
/// it has a random name, so that no other user can create it first. The caller holds the lock of starting and stopping.
pub(super) fn socket_dir(data_dir: &Path) -> Result<PathBuf, DataDirError> {
    let inside = data_dir.join("run");
    if inside.as_os_str().len() + "/.s.PGSQL.5432".len() <= MAX_SOCKET_PATH {
        return Ok(inside);
    }
    let file = data_dir.join(SOCKET_DIR_FILE);
    if let Some(known) = fs::read_to_string(&file).ok().filter(|known| is_ours(Path::new(known), data_dir)) {
        return Ok(known.into());
    }
    let fresh = std::env::temp_dir().join(format!("muster-{:032x}", rand::random::<u128>()));
    let written = fs::write(&file, fresh.as_os_str().as_encoded_bytes());
    written.map_err(|error| unusable(data_dir, &error))?;
    Ok(fresh)
}

/// Whether the directory of the socket exists, and belongs to the user that PostgreSQL runs as.
fn is_ours(socket_dir: &Path, data_dir: &Path) -> bool {
    let owner = fs::metadata(data_dir.join("postgres")).map_or(Uid::effective().as_raw(), |postgres| postgres.uid());
    fs::symlink_metadata(socket_dir).is_ok_and(|found| found.is_dir() && found.uid() == owner)
}

/// Creates the data directory and checks that it can be used.
pub(super) fn prepare(data_dir: &Path) -> Result<PathBuf, DataDirError> {
    let failed = |error: io::Error| unusable(data_dir, &error);
    // As root, PostgreSQL's unprivileged user must be able to pass through the parent directories.
    let mode = if Uid::effective().is_root() { 0o755 } else { 0o700 };
    fs::DirBuilder::new().recursive(true).mode(mode).create(data_dir).map_err(failed)?;
    let data_dir = data_dir.canonicalize().map_err(failed)?;
    let found = fs::metadata(&data_dir).map_err(failed)?;
    let me = Uid::effective();
    let refuse = |why: String| Err(DataDirError { path: data_dir.clone(), why });
    if found.uid() != me.as_raw() {
        let owner = Uid::from_raw(found.uid());
        let name = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
        return refuse(format!("belongs to user {name}; run muster as {name}, or choose another with `--data-dir`"));
    }
    if found.mode() & 0o022 != 0 {
        return refuse("is writable by other users; run `chmod go-w`, or choose another with `--data-dir`".to_owned());
    }
    // muster never removes or overwrites files that it did not create.
    let is_ours = data_dir.join(FIRST_FILE).exists();
    let foreign = fs::read_dir(&data_dir).map_err(failed)?.flatten().find(|entry| entry.file_name() != "lost+found");
    if let (false, Some(foreign)) = (is_ours, foreign) {
        return refuse(format!(
            "contains files of another program (`{}`); choose an empty or a new one with `--data-dir`",
            foreign.file_name().to_string_lossy()
        ));
    }
    if me.is_root() && !is_ours {
        // PostgreSQL's unprivileged user must be able to reach its subdirectory.
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    if me.is_root()
        && let Some(closed) = data_dir.ancestors().find(|directory| !is_open_to_others(directory))
    {
        return Err(DataDirError {
            why: format!(
                "can't be reached by the unprivileged user that PostgreSQL runs as, because {} is not accessible to \
                 other users; choose another with `--data-dir`",
                closed.display()
            ),
            path: data_dir,
        });
    }
    Ok(data_dir)
}

fn is_open_to_others(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
}

/// Creates a directory that only `owner` can access, unless it exists.
pub(super) fn make_dir(path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let expected = owner.map_or(Uid::effective(), |(user, _)| user);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match owner {
            Some((user, group)) => chown(path, Some(user.as_raw()), Some(group.as_raw())),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // In a shared /tmp, another user may have created it.
            let found = fs::symlink_metadata(path)?;
            if found.is_dir() && found.uid() == expected.as_raw() {
                return Ok(());
            }
            Err(io::Error::other(format!("{} belongs to another user", path.display())))
        }
        Err(error) => Err(error),
    }
}

/// Opens a lock file. Other users can't open it, so they can't lock it.
pub(super) fn lock_file(data_dir: &Path, name: &str) -> Result<File, DataDirError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(data_dir.join(name))
        .map_err(|error| unusable(data_dir, &error))
}

/// Locks the file; waits up to [`LOCK_TIMEOUT`].
pub(super) async fn lock(data_dir: &Path, file: &File) -> Result<(), DataDirError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(unusable(data_dir, &error)),
            Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_TIMEOUT => {
                return Err(DataDirError {
                    path: data_dir.to_path_buf(),
                    why: "is locked by another process that is starting or stopping PostgreSQL".to_owned(),
                });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> DataDirError {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "can't be used by this user (permission denied); choose another with `--data-dir`, or run muster as its owner"
                .to_owned()
        }
        _ => format!("can't be used: {error}"),
    };
    DataDirError { path: path.to_path_buf(), why }
}
