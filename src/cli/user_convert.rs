//! `muster user convert`: converts an export of another system to a users file, without a server.
//!
//! Standard output gets the whole list or nothing, standard error a line for each person who does not arrive as
//! expected. The list of people to suspend is written before the list of users: without the former, disabled people could
//! sign in.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Exit, file_report, output};
use crate::users_file::{ConvertError, ConvertOptions, Source, convert};

pub(super) const EXAMPLES: &str = "\
Examples:
  muster user convert --from keycloak realm.json --suspend suspend.ndjson >people.ndjson
  muster user convert --from entra users.csv >people.ndjson
  muster user batch-create -f people.ndjson --dry-run

How to get each export: docs/how-to/move-from-keycloak.md, move-from-kratos.md and move-from-directories.md";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The export; `-` reads standard input.
    file: PathBuf,
    /// System that wrote the export.
    #[arg(long, value_enum, value_name = "SYSTEM")]
    from: Source,
    /// Include disabled people, and write the list for `muster user suspend -f FILE` [default: leave them out].
    #[arg(long, value_name = "FILE")]
    suspend: Option<PathBuf>,
    /// Whether people sign in through SSO, where the export does not say so [default: true for okta, entra and google,
    /// false for ldif].
    #[arg(long, value_name = "true|false")]
    sso: Option<bool>,
}

pub(super) fn run(args: &Args) -> Result<(), Exit> {
    if args.sso.is_some() && args.from.default_sso().is_none() {
        return Err(Exit::usage(
            "`--sso` is only for okta, entra, google and ldif; the other exports say who uses SSO",
        ));
    }
    let options = ConvertOptions { source: args.from, sso: args.sso, disabled: args.suspend.is_some() };
    let converted = convert(&args.file, &options).map_err(|error| match error {
        ConvertError::File(error) => file_report::unusable(&error, "converted"),
        ConvertError::Broken { .. } => Exit::rejected(format!("{error}; nothing was converted")),
    })?;
    if let Some(path) = &args.suspend {
        write_private(path, &converted.suspended)
            .map_err(|error| Exit::Usage(format!("can't write `{}`: {error}", path.display())))?;
    }
    output::print_ndjson(&converted.list)?;
    for note in &converted.notes {
        output::say(&output::clean(note));
    }
    let left_out = match converted.left_out {
        0 => String::new(),
        count => format!("; {count} left out"),
    };
    output::say(&format!("{} converted{left_out}", output::users(converted.users)));
    Ok(())
}

/// Replaces a file atomically; other users can't read it at any time.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // Renaming would replace a device.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("not a regular file"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", hex::encode(rand::random::<[u8; 8]>())));
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}
