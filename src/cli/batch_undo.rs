//! `muster batch undo`: shows who would be removed, asks, and removes them.

use std::io::{BufRead, IsTerminal, Write};

use muster_client::{BatchUser, Client, Error, KeptUser, Undone};
use serde::Serialize;

use super::Exit;
use super::batch_create::full_name;
use super::output::{self, Format};
use super::user::ServerArgs;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The batch's id, as `muster batch list` shows it.
    batch_id: String,
    /// Only show who would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Let users stay who have signed in, were changed or are needed by something else, instead of
    /// refusing because of them.
    #[arg(long)]
    keep_used: bool,
    /// Remove them without asking.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.dry_run && !args.yes && !can_ask {
        let sentence =
            "there is no terminal to ask on: add `--yes` to remove the users, or `--dry-run` to see who it is";
        return Err(Exit::Usage(sentence.to_owned()));
    }
    let client = args.server.client()?;
    if args.yes {
        return remove(&client, args, true).await;
    }
    let planned = ask_to_undo(&client, args, true).await?;
    show_undone(args.output, &planned)?;
    let count = output::users(planned.users.len());
    if args.dry_run {
        output::say(&format!("dry run: {count} would be removed; nothing was changed"));
        return Ok(());
    }
    if planned.users.is_empty() {
        return Err(Exit::Refused(Some("there is nobody to remove".to_owned())));
    }
    if !confirm(&format!("remove {}? [y/N] ", output::these_users(planned.users.len()))) {
        return Err(Exit::Refused(Some("nothing was removed".to_owned())));
    }
    remove(&client, args, false).await
}

async fn remove(client: &Client, args: &Args, show: bool) -> Result<(), Exit> {
    let undone = ask_to_undo(client, args, false).await?;
    if show {
        show_undone(args.output, &undone)?;
    }
    let kept = if undone.kept.is_empty() { String::new() } else { format!(", {} kept", undone.kept.len()) };
    output::say(&format!("{} removed{kept}", output::users(undone.users.len())));
    Ok(())
}

/// Undoes the batch, or finds out who that would remove. Says who is in the way, if somebody is.
async fn ask_to_undo(client: &Client, args: &Args, dry_run: bool) -> Result<Undone, Exit> {
    let error = match client.undo_batch(&args.batch_id, dry_run, args.keep_used).await {
        Ok(undone) => return Ok(undone),
        Err(error) => error,
    };
    let in_use = matches!(&error, Error::Rejected(rejection) if rejection.code == "batch_in_use");
    if in_use && let Ok(who) = client.undo_batch(&args.batch_id, true, true).await {
        output::say(&output::table(&UNDO_HEADER, who.kept.iter().map(kept_row)));
        return Err(Exit::Refused(Some(format!(
            "{} of this batch {} used since, so that nothing was removed: `--keep-used` lets them stay and removes the \
             other {}",
            output::users(who.kept.len()),
            if who.kept.len() == 1 { "was" } else { "were" },
            who.users.len()
        ))));
    }
    if error.outcome_unknown() && !dry_run {
        let id = &args.batch_id;
        return Err(Exit::Usage(format!(
            "{error}; whether the users were removed is not known: `muster batch show {id}` tells"
        )));
    }
    Err(error.into())
}

const UNDO_HEADER: [&str; 4] = ["EMAIL", "NAME", "USER ID", "STAYS BECAUSE"];

/// Who goes and who stays, to standard output.
fn show_undone(format: Format, undone: &Undone) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        removed: &'a [BatchUser],
        kept: &'a [KeptUser],
    }
    let shown = Shown { removed: &undone.users, kept: &undone.kept };
    let gone = undone.users.iter().map(user_row);
    if undone.kept.is_empty() {
        return output::print_list(format, &shown, &UNDO_HEADER[..3], gone);
    }
    let rows = gone.map(|row| [row, vec![String::new()]].concat()).chain(undone.kept.iter().map(kept_row));
    output::print_list(format, &shown, &UNDO_HEADER, rows)
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

/// Asks on the terminal. What is not a yes is a no.
pub(super) fn confirm(question: &str) -> bool {
    let mut err = std::io::stderr();
    let mut answer = String::new();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
