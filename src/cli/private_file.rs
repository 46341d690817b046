//! Files that only their owner can read.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Exit;

/// Replaces a file atomically; other users can't read the new one at any time.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", hex::encode(rand::random::<[u8; 8]>())));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
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
