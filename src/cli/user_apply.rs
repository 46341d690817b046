//! `muster user apply`: makes users as a file says: shows the differences, asks, and applies them, all or none.
//!
//! # Decisions
//!
//! - The differences come from a dry run, and the request that follows is bound to its plan: if the file or one of its users
//!   has changed in between, nothing is written.
//! - An empty cell of a CSV file removes the last name or title: the file is the wished state. A field without a column stays.

use std::path::PathBuf;

use muster_client::{AppliedUser, AppliedUsers, AppliedUsersMetadata, ApplyOptions, Client, Error};

use super::Exit;
use super::file_args::FileArgs;
use super::file_report::{self, FileReport};
use super::output::{self, Format};
use super::remote::RemoteArgs;
use crate::users_file::{Contents, UsersFile};

pub(super) const EXAMPLES: &str = "\
Examples:
  Export everybody, edit the file in a spreadsheet, and apply the changes:
    muster user export >people.csv
    muster user apply -f people.csv
  Show what would change if the file were complete, and nobody else had an account:
    muster user apply -f people.csv --suspend-missing --dry-run";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Users file: YAML with a list under `users`, JSON, JSON lines, CSV or an Excel workbook (.xlsx); `muster user export`
    /// prints one. A row with the `user` (ID or e-mail address) or `email` of an existing user changes the fields that it
    /// has; any other row is a new user. `-` reads standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: PathBuf,
    #[command(flatten)]
    file: FileArgs,
    /// Suspend active people who are not in the file. Owners and service accounts stay active.
    #[arg(long)]
    suspend_missing: bool,
    /// Show the differences or the errors; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Apply without confirmation.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    if !args.dry_run && !args.yes {
        output::require_terminal("`--yes` or `--dry-run`")?;
    }
    let format = args.remote.output;
    let (mut file, report) = args.file.read(&args.users_file, Contents::APPLIED, format, "applied")?;
    file.clear_empty();
    let source = Source { client: args.remote.client()?, file, report };
    let options = ApplyOptions { dry_run: true, suspend_missing: args.suspend_missing, plan: None };
    let planned = source.send(&options).await?;
    file_report::warnings(&source.file, &planned.metadata.warnings);
    if args.dry_run || !args.yes {
        print(format, &planned.results)?;
    }
    if args.dry_run {
        output::say(&format!("dry run: {}; nothing was written", summary(&planned.metadata, "would be ")));
        return Ok(());
    }
    if planned.results.is_empty() {
        if args.yes && !format.is_table() {
            print(format, &planned.results)?;
        }
        output::say(&format!("nothing to change: {} unchanged", output::users(planned.metadata.unchanged)));
        return Ok(());
    }
    if !args.yes && !output::confirm(&format!("apply to {}? [y/N] ", output::these_users(planned.results.len()))) {
        return Err(Exit::rejected("nothing was applied"));
    }
    let applied = source.send(&ApplyOptions { dry_run: false, plan: planned.plan, ..options }).await?;
    if args.yes {
        print(format, &applied.results)?;
    }
    output::say(&summary(&applied.metadata, ""));
    Ok(())
}

/// The file, where its errors are reported, and the server.
struct Source {
    client: Client,
    file: UsersFile,
    report: FileReport,
}

impl Source {
    async fn send(&self, options: &ApplyOptions) -> Result<AppliedUsers, Exit> {
        let rows: Vec<_> = self.file.rows().collect();
        self.client.apply_users(&rows, options).await.map_err(|error| self.rejected(error, options))
    }

    fn rejected(&self, error: Error, options: &ApplyOptions) -> Exit {
        if !error.rows().is_empty() {
            return self.report.rejected(&self.file, error.rows(), error.more_findings(), "applied");
        }
        if error.outcome_unknown() && !options.dry_run {
            return Exit::usage(format!(
                "{error}; the outcome is unknown: apply the file again, which changes nothing if it was applied"
            ));
        }
        error.into()
    }
}

/// "1 user created, 2 changed, 3 unchanged"; with `would`, "1 user would be created" and so on.
fn summary(metadata: &AppliedUsersMetadata, would: &str) -> String {
    let AppliedUsersMetadata { created, changed, suspended, unchanged, .. } = metadata;
    let suspended = if *suspended == 0 { String::new() } else { format!(", {suspended} missing suspended") };
    format!("{} {would}created, {changed} changed{suspended}, {unchanged} unchanged", output::users(*created))
}

/// Prints a row for each changed field, and one for each new user.
fn print(format: Format, users: &[AppliedUser]) -> Result<(), Exit> {
    let header = ["ACTION", "EMAIL", "FIELD", "BEFORE", "AFTER"];
    output::print_rows(format, &users, &header, users.iter().flat_map(rows))
}

fn rows(user: &AppliedUser) -> Vec<Vec<String>> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let row = |field: String, before: String, after: String| {
        vec![user.action.clone(), user.email.clone(), field, before, after]
    };
    if user.action == "create" {
        let fields = user.changes.iter().filter(|change| change.field != "email");
        let fields: Vec<String> = fields.map(|change| format!("{}: {}", change.field, text(&change.after))).collect();
        return vec![row(String::new(), String::new(), fields.join("; "))];
    }
    let changes = user.changes.iter();
    changes.map(|change| row(change.field.clone(), text(&change.before), text(&change.after))).collect()
}
