//! `muster batch undo`: shows the users that would be deleted, asks for confirmation, and deletes them.

use muster_client::{BatchUser, Client, Error, KeptUser, UndoneBatch};
use serde::Serialize;

use super::Exit;
use super::output::{self, Format, confirm, full_name};
use super::remote::RemoteArgs;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Batch ID, as `muster batch list` shows it.
    batch_id: String,
    /// Show the users that would be deleted; delete none.
    #[arg(long)]
    dry_run: bool,
    /// Keep users that have signed in, were changed or are in use, and delete the others.
    #[arg(long)]
    keep_used: bool,
    /// Delete without confirmation.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    if !args.dry_run && !args.yes {
        output::require_terminal("`--yes` or `--dry-run`")?;
    }
    let client = args.remote.client()?;
    if args.yes {
        return delete(&client, args, true).await;
    }
    let planned = undo(&client, args, true).await?;
    show_undone(args.remote.output, &planned)?;
    let count = output::users(planned.users.len());
    if args.dry_run {
        output::say(&format!("dry run: {count} would be deleted; nothing was written"));
        return Ok(());
    }
    if planned.users.is_empty() {
        return Err(Exit::rejected("this batch has no user to delete"));
    }
    if !confirm(&format!("delete {}? [y/N] ", output::these_users(planned.users.len()))) {
        return Err(Exit::rejected("no user was deleted"));
    }
    delete(&client, args, false).await
}

async fn delete(client: &Client, args: &Args, show: bool) -> Result<(), Exit> {
    let undone = undo(client, args, false).await?;
    if show {
        show_undone(args.remote.output, &undone)?;
    }
    let kept = if undone.kept.is_empty() { String::new() } else { format!(", {} kept", undone.kept.len()) };
    output::say(&format!("{} deleted{kept}", output::users(undone.users.len())));
    Ok(())
}

/// Undoes the batch, or plans to in a dry run. If users of the batch are in use, prints them.
async fn undo(client: &Client, args: &Args, dry_run: bool) -> Result<UndoneBatch, Exit> {
    let error = match client.undo_batch(&args.batch_id, dry_run, args.keep_used).await {
        Ok(undone) => return Ok(undone),
        Err(error) => error,
    };
    let in_use = matches!(&error, Error::Rejected(rejection) if rejection.code == "batch_in_use");
    if in_use && let Ok(plan) = client.undo_batch(&args.batch_id, true, true).await {
        output::say(&output::table(&UNDO_HEADER, plan.kept.iter().map(kept_row)));
        return Err(Exit::rejected(format!(
            "{} of this batch {} been used since; no user was deleted. `--keep-used` keeps them and deletes the \
             other {}",
            output::users(plan.kept.len()),
            if plan.kept.len() == 1 { "has" } else { "have" },
            plan.users.len()
        )));
    }
    if error.outcome_unknown() && !dry_run {
        let id = &args.batch_id;
        return Err(Exit::Usage(format!("{error}; the outcome is unknown: check with `muster batch show {id}`")));
    }
    Err(error.into())
}

const UNDO_HEADER: [&str; 4] = ["EMAIL", "NAME", "USER ID", "KEPT BECAUSE"];

/// Prints the deleted and the kept users.
fn show_undone(format: Format, undone: &UndoneBatch) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        removed: &'a [BatchUser],
        kept: &'a [KeptUser],
    }
    let shown = Shown { removed: &undone.users, kept: &undone.kept };
    let deleted = undone.users.iter().map(user_row);
    if undone.kept.is_empty() {
        return output::print_rows(format, &shown, &UNDO_HEADER[..3], deleted);
    }
    let rows = deleted.map(|row| [row, vec![String::new()]].concat()).chain(undone.kept.iter().map(kept_row));
    output::print_rows(format, &shown, &UNDO_HEADER, rows)
}

fn user_row(user: &BatchUser) -> Vec<String> {
    vec![user.email.clone(), full_name(&user.name, user.lastname.as_deref()), user.user_id.clone()]
}

fn kept_row(kept: &KeptUser) -> Vec<String> {
    let reason = match kept.reason.as_str() {
        "signed_in" => "has signed in",
        "changed" => "was changed",
        "in_use" => "is in use",
        other => other,
    };
    [user_row(&kept.user), vec![reason.to_owned()]].concat()
}
