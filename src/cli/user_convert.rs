//! `muster user convert`: converts an export of another system to a users file, without a server.
//!
//! Standard output gets the whole list or nothing, standard error a line for each person who does not arrive as
//! expected. The list of people to suspend is written before the list of users: without the former, disabled people could
//! sign in.

use std::path::PathBuf;

use super::file_report::FileReport;
use super::{Exit, output, private_file};
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
        ConvertError::File(error) => FileReport::on_terminal().unusable(&error, "converted"),
        ConvertError::Broken { .. } => Exit::rejected(format!("{error}; nothing was converted")),
    })?;
    if let Some(path) = &args.suspend {
        private_file::check(path, &args.file)?;
        private_file::write(path, converted.suspended.as_bytes())?;
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
