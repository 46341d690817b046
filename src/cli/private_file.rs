//! Files that only their owner can read.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Exit;

/// A file to be written. It exists before the command does anything else, so that a path that can't be written is reported while
/// nothing has happened, and is removed again unless it is kept.
pub(super) struct NewFile {
    path: PathBuf,
    /// Where it is until it replaces the file at `path`.
    temporary: Option<PathBuf>,
    file: File,
    is_kept: bool,
}

impl NewFile {
    /// Creates an empty file at a path where nothing is yet; `otherwise` is what to do if there is something.
    pub(super) fn create(path: &Path, otherwise: &str) -> Result<Self, Exit> {
        let file = create_new(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => cant_write(path, &format!("the file exists; {otherwise}")),
            _ => cant_write(path, &error),
        })?;
        Ok(Self { path: path.to_owned(), temporary: None, file, is_kept: false })
    }

    /// Creates a file that replaces the one at a path when it is written.
    pub(super) fn replacing(path: &Path) -> Result<Self, Exit> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => Err(cant_write(path, &"not a regular file")),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cant_write(path, &error)),
            _ => Self::beside(path).map_err(|error| cant_write(path, &error)),
        }
    }

    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", hex::encode(rand::random::<[u8; 8]>())));
        let temporary = path.with_file_name(name);
        let file = create_new(&temporary)?;
        Ok(Self { path: path.to_owned(), temporary: Some(temporary), file, is_kept: false })
    }

    /// Writes the content to the disk. The file is still removed unless it is [kept](Self::keep).
    pub(super) fn write(&mut self, content: &[u8]) -> Result<(), Exit> {
        self.try_write(content).map_err(|error| cant_write(&self.path, &error))
    }

    fn try_write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path)?;
            self.temporary = None;
        }
        // Without it, the entry of a new file may be lost with the power.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Keeps the file.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(self.temporary.as_ref().unwrap_or(&self.path));
        }
    }
}

/// Creates a file that only its owner can read, unless something has this name.
fn create_new(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Replaces a file atomically; other users can't read the new one at any time.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.try_write(content)?;
    file.keep();
    Ok(())
}

/// Checks that [`write()`] replaces nothing but a regular file, and not the file that the command reads.
pub(super) fn check(path: &Path, source: &Path) -> Result<(), Exit> {
    let unusable = |why: &dyn std::fmt::Display| Err(cant_write(path, why));
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return unusable(&error),
    };
    if !found.is_file() {
        return unusable(&"not a regular file");
    }
    let source = if source == Path::new("-") { Path::new("/dev/stdin") } else { source };
    if fs::metadata(source).is_ok_and(|source| (source.dev(), source.ino()) == (found.dev(), found.ino())) {
        return unusable(&"this is the file to read");
    }
    Ok(())
}

/// As [`replace`], with the error of a command.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), Exit> {
    replace(path, content).map_err(|error| cant_write(path, &error))
}

fn cant_write(path: &Path, why: &dyn std::fmt::Display) -> Exit {
    Exit::Usage(format!("can't write `{}`: {why}", path.display().to_string().escape_debug()))
}
