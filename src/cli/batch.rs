//! `muster batch …`: list, show, wait for, cancel and undo batches, over HTTP, with an owner's API key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use muster_client::{Batch, BatchFilter, BatchState, Client, RowFinding};
use sha2::{Digest, Sha256};

use super::output::{self, Format, TableRow};
use super::remote::{RemoteArgs, ServerArgs};
use super::{Exit, batch_undo, batch_wait, listing};

/// Maximum number of places of equal findings that are shown.
const MAX_PLACES: usize = 5;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List batches, newest first.
    List(ListArgs),
    /// Show one batch and, if it failed, the error.
    Show {
        /// Batch ID, as `muster batch list` shows it.
        batch_id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Wait until a batch has ended. The exit status is 1 unless its users were created.
    Wait {
        /// Batch ID, as `muster batch list` shows it.
        batch_id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print the users that a batch created, as `muster user batch-create -o` does.
    Results {
        /// Batch ID, as `muster batch list` shows it.
        batch_id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Cancel a running batch; no user is created.
    Cancel {
        /// Batch ID, as `muster batch list` shows it.
        batch_id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Undo a batch: delete its users. Deletes none if any of them has been used since.
    Undo(batch_undo::Args),
}

#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only batches in this state.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<BatchState>,
    /// Only batches created from this file, matched by its SHA-256.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// Maximum number of batches.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    max_items: u32,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Show { batch_id, remote } => show(&remote.client()?, &batch_id, remote.output).await,
        Command::Wait { batch_id, server } => batch_wait::wait(&server.client()?, &batch_id).await,
        Command::Results { batch_id, remote } => batch_wait::results(&remote.client()?, &batch_id, remote.output).await,
        Command::Cancel { batch_id, remote } => cancel(&remote.client()?, &batch_id, remote.output).await,
        Command::Undo(args) => batch_undo::run(&args).await,
    }
}

fn parse_state(text: &str) -> Result<BatchState, String> {
    BatchState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| format!("expected one of {}", BatchState::ALL.each_ref().map(BatchState::as_str).join(", ")))
}

/// The SHA-256 of a file, which identifies it to the server, in lower-case hex digits.
fn sha256(path: &Path) -> Result<String, Exit> {
    let contents = std::fs::read(path)
        .map_err(|error| Exit::Usage(format!("can't read `{}`: {error}", path.display().to_string().escape_debug())))?;
    Ok(hex::encode(Sha256::digest(contents)))
}

async fn list(args: &ListArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let file_sha256 = args.users_file.as_deref().map(sha256).transpose()?;
    let filter = BatchFilter { state: args.state.clone(), file_sha256 };
    let batches = listing::collect(Some(args.max_items), async |count, token| {
        client.list_batches(&filter, count, token.as_deref()).await
    });
    batches.await?.print(args.remote.output)
}

impl TableRow for Batch {
    const HEADER: &'static [&'static str] = &["BATCH ID", "CREATED", "STATE", "USERS", "BY", "FINISHED", "FILE"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.batch_id.clone(),
            output::time(self.created_at),
            self.state.to_string(),
            self.user_count.to_string(),
            requested_by(self),
            self.finished_at.map(output::time).unwrap_or_default(),
            self.file_name.clone().unwrap_or_default(),
        ]
    }
}

/// The name of the API key, else its ID, else the kind of caller.
fn requested_by(batch: &Batch) -> String {
    let names = [&batch.requested_by_name, &batch.requested_by_id];
    names.into_iter().flatten().next().unwrap_or(&batch.requested_by_kind).clone()
}

async fn show(client: &Client, batch_id: &str, format: Format) -> Result<(), Exit> {
    let batch = client.get_batch(batch_id).await?;
    if !format.is_table() {
        return output::print_one(format, &batch);
    }
    let lines = details(&batch).into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    output::print_table(&["BATCH", &batch.batch_id], lines)?;
    let Some(error) = &batch.error else { return Ok(()) };
    if error.rows.is_empty() {
        Ok(())
    } else {
        output::print_table(&["FINDING", "CODE", "USERS"], findings(&error.rows))
    }
}

/// One row for equal findings, in the order of the first ones, with the number of users and the first places.
fn findings(all: &[RowFinding]) -> Vec<Vec<String>> {
    let mut groups: Vec<(String, &str, Vec<usize>)> = Vec::new();
    let mut numbers = HashMap::new();
    for finding in all {
        let field = finding.field.as_ref().map_or_else(String::new, |field| format!("{field}: "));
        let title = format!("{field}{}", finding.shared_message());
        let number = *numbers.entry((finding.code.as_str(), title.clone())).or_insert(groups.len());
        match groups.get_mut(number) {
            Some((.., places)) => places.push(finding.index),
            None => groups.push((title, &finding.code, vec![finding.index])),
        }
    }
    let row = |(title, code, places): (String, &str, Vec<usize>)| {
        let mut shown: Vec<String> = places.iter().take(MAX_PLACES).map(|index| format!("users[{index}]")).collect();
        let more = places.len().saturating_sub(MAX_PLACES);
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        vec![title, code.to_owned(), shown.join(", ")]
    };
    groups.into_iter().map(row).collect()
}

/// The fields of a batch that have a value, with their labels.
fn details(batch: &Batch) -> Vec<(&'static str, String)> {
    let hashed = (batch.hash_count > 0).then(|| format!("{} of {}", batch.hashed, batch.hash_count));
    let weak = (batch.weak_hash_count > 0).then(|| batch.weak_hash_count.to_string());
    [
        ("state", Some(batch.state.to_string())),
        ("time left", batch.estimated_seconds_left.map(|left| format!("about {}", output::seconds(left)))),
        ("error", batch.error.as_ref().map(|error| format!("{} [{}]", error.detail, error.code))),
        ("users", Some(batch.user_count.to_string())),
        ("hashed", hashed),
        ("weak hashes", weak),
        ("created", Some(output::time(batch.created_at))),
        ("finished", batch.finished_at.map(output::time)),
        ("undone", batch.undone_at.map(output::time)),
        ("by", Some(requested_by(batch))),
        ("file", batch.file_name.clone()),
        ("file digest", batch.file_digest.clone()),
        ("source", Some(batch.source.clone())),
        ("request", batch.request_id.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

async fn cancel(client: &Client, batch_id: &str, format: Format) -> Result<(), Exit> {
    let batch = client.cancel_batch(batch_id).await?;
    let message = format!("{} is {}; no user was created", output::clean(&batch.batch_id), batch.state);
    output::say_or_print(format, &message, &batch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn batch(more: &serde_json::Value) -> Batch {
        let mut batch = json!({
            "batch_id": "bat_1", "state": "running", "requested_by_kind": "api_key", "requested_by_id": "key_1",
            "requested_by_name": "ci", "request_id": "req_1", "source": "muster_client", "file_name": "users.yaml",
            "created_at": "2026-11-23T10:00:00Z", "user_count": 3, "hash_count": 2, "hashed": 1, "weak_hash_count": 0,
            "estimated_seconds_left": 300,
        });
        batch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(batch).unwrap()
    }

    #[test]
    fn a_batch_names_the_caller_by_key_name_then_id_then_kind() {
        assert_eq!(
            batch(&json!({})).cells(Format::Table),
            ["bat_1", "2026-11-23T10:00:00Z", "running", "3", "ci", "", "users.yaml"]
        );
        assert_eq!(requested_by(&batch(&json!({"requested_by_name": null}))), "key_1");
        assert_eq!(requested_by(&batch(&json!({"requested_by_name": null, "requested_by_id": null}))), "api_key");
    }

    #[test]
    fn equal_findings_of_a_batch_are_one_line_with_the_first_places() {
        let finding = |index: usize, field: Option<&str>, message: &str, other_index| RowFinding {
            index,
            field: field.map(str::to_owned),
            code: "c".to_owned(),
            message: message.to_owned(),
            other_index,
        };
        let mut all: Vec<RowFinding> =
            (0..10_000).map(|index| finding(index, Some("email"), "already exists", None)).collect();
        all.push(finding(3, None, "the same address as users[1]", Some(1)));
        all.push(finding(4, None, "the same address as users[2]", Some(2)));
        let shown = findings(&all);
        let places = "users[0], users[1], users[2], users[3], users[4], and 9995 more";
        assert_eq!(
            shown,
            [["email: already exists", "c", places], ["the same address as another row", "c", "users[3], users[4]"]]
        );
    }

    #[test]
    fn details_omit_fields_without_a_value() {
        let lines = details(&batch(&json!({})));
        assert_eq!(
            lines[..4],
            [
                ("state", "running".to_owned()),
                ("time left", "about 5 min".to_owned()),
                ("users", "3".to_owned()),
                ("hashed", "1 of 2".to_owned()),
            ]
        );
        let failed = batch(&json!({
            "state": "failed", "estimated_seconds_left": null, "weak_hash_count": 1, "finished_at": "2026-11-23T10:00:09Z",
            "error": {"code": "email_taken", "detail": "1 of 3 users can't be created"},
        }));
        let lines = details(&failed);
        assert_eq!(lines[1], ("error", "1 of 3 users can't be created [email_taken]".to_owned()));
        assert!(lines.contains(&("weak hashes", "1".to_owned())), "{lines:?}");
        assert!(lines.contains(&("finished", "2026-11-23T10:00:09Z".to_owned())), "{lines:?}");
    }
}
