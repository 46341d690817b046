//! `muster user batch-create`: a file in, users or a report on the file out.
//!
//! The rows go to the server as they stand in the file, wrong types and unknown keys included, so
//! that one report covers everything; the file then tells where each finding is.
//!
//! # Decisions
//!
//! - The server is asked to answer within [`WAIT`] seconds or else to go on by itself, so that a
//!   long batch shows how far it is and needs no connection. A short one says no more than the
//!   vendor's client does.
//! - A server that restarts meanwhile is waited for, for as long as the client does that on its own
//!   (5 minutes), which is said once. If its process ended before the users were created, the same
//!   rows are sent again: this command has them, the server has not.
//! - With `--hash-locally` a plan and a key of one's own are refused: each run makes new hashes, so
//!   that no plan would hold and the key would be used for other rows. Repeats within a run send
//!   the same hashes.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use muster_client::{
    AdminCreatedUser, Batch, BatchEvent, BatchRequest, Client, CreatedBatch, Error, PlannedBatch, PlannedUser,
};
use serde::Serialize;

use super::local_hash::{self, Hashed};
use super::output::{self, Format};
use super::progress::Progress;
use super::{Exit, file_report};
use crate::users_file::{Contents, FileFormat, UsersFile};

/// How long the server may take for a batch before it answers that it goes on by itself.
const WAIT: Duration = Duration::from_secs(2);

/// How much of a file's name the server remembers, in characters.
const LONGEST_FILE_NAME: usize = 255;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The users: YAML with a list under `create_users`, as the vendor's client reads it, JSON, lines of JSON, or
    /// CSV; `muster user template` shows one. `-` is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: PathBuf,
    /// The file's format [default: by its name (.yaml, .yml, .json, .ndjson, .jsonl, .csv), else yaml].
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Show who would be created, or what is wrong with the file; create nobody.
    #[arg(long, conflicts_with_all = ["plan", "idempotency_key"])]
    dry_run: bool,
    /// Create only if file and outcome are still those of the dry run that printed this digest.
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Hash the passwords on this machine: none of them travels, and the server is spared the work. Each run makes
    /// new hashes, so that it can't be used with --plan or --idempotency-key.
    #[arg(long, conflicts_with_all = ["plan", "idempotency_key"])]
    hash_locally: bool,
    /// The key of an earlier run whose outcome is not known: that run's users are not created
    /// twice. Random if it is not given.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the users who were created.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(super) async fn run(args: &Args, client: &Client) -> Result<(), Exit> {
    let mut progress = Progress::start();
    let file = UsersFile::read(&args.users_file, args.format, Contents::CREATED)
        .map_err(|error| file_report::refuse(&error, "created"))?;
    if args.hash_locally {
        match local_hash::rows(file.rows(), args.dry_run, &mut progress).await? {
            Hashed::Rows(rows) => act(args, client, &file, &rows, progress).await,
            Hashed::Findings(findings) => Err(file_report::show(&file, &findings, "created")),
        }
    } else {
        let rows: Vec<_> = file.rows().collect();
        act(args, client, &file, &rows, progress).await
    }
}

async fn act<R: Serialize>(
    args: &Args,
    client: &Client,
    file: &UsersFile,
    rows: &[R],
    mut progress: Progress,
) -> Result<(), Exit> {
    let mut request = client.batch(rows);
    if let Some(name) = file.name() {
        let name: String = output::clean(name).chars().take(LONGEST_FILE_NAME).collect();
        request = request.file(name, file.sha256());
    }
    if args.dry_run {
        let planned = request.dry_run().await.map_err(|error| refused(args, file, error))?;
        return show_plan(args, file, &planned);
    }
    if let Some(plan) = &args.plan {
        request = request.plan(plan);
    }
    // Known here, to be told should the answer be lost.
    let key = args.idempotency_key.clone().unwrap_or_else(|| hex::encode(rand::random::<[u8; 16]>()));
    let find_out = find_out(args, &key);
    let created = create(request.idempotency_key(key), file.len(), &find_out, &mut progress).await;
    progress.clear();
    let created = match created {
        Ok(created) => created,
        Err(Stopped::Error(error)) => return Err(refused(args, file, *error)),
        Err(Stopped::LostSight(id, error)) => return Err(lost_sight(args, &id, &error)),
        Err(Stopped::Interrupted(sentence)) => return Err(Exit::Refused(Some(sentence))),
    };
    file_report::warnings(file, &created.warnings);
    let again = if created.replayed { ", by an earlier request with the same key" } else { "" };
    progress.say(&format!("{} created{again}.", output::users(created.users.len())));
    match args.output {
        None => Ok(()),
        Some(format) => output::print_list(format, &created.users, &HEADER, created.users.iter().map(row)),
    }
}

/// How to learn what has become of a request whose answer was lost.
fn find_out(args: &Args, key: &str) -> String {
    let unknown = "whether the users were created is not known";
    if args.hash_locally || key.is_empty() {
        return format!("{unknown}: `muster batch list` tells");
    }
    format!("{unknown}: the same command with `--idempotency-key {key}` finds out, and creates nobody twice")
}

/// Why there are no users, other than a refusal of the file.
enum Stopped {
    Error(Box<Error>),
    /// The batch of this id can't be followed any more.
    LostSight(String, Box<Error>),
    Interrupted(String),
}

async fn create<R: Serialize>(
    request: BatchRequest<'_, R>,
    users: usize,
    find_out: &str,
    progress: &mut Progress,
) -> Result<CreatedBatch, Stopped> {
    progress.say("Creating users...");
    progress.spin(output::users(users));
    let mut followed = Followed { users, id: None, in_trouble: false };
    let ended = tokio::select! {
        created = request.wait(WAIT).create(|event| followed.tell(event, progress)) => Some(created),
        _ = tokio::signal::ctrl_c() => None,
    };
    match (ended, followed.id) {
        (Some(Ok(created)), _) => Ok(created),
        (Some(Err(error @ Error::NotCreated(_))), _) | (Some(Err(error)), None) => Err(Stopped::Error(Box::new(error))),
        (Some(Err(error)), Some(id)) => Err(Stopped::LostSight(id, Box::new(error))),
        (None, Some(id)) => Err(Stopped::Interrupted(format!(
            "the batch goes on at the server: `muster batch show {id}` tells how far it is, \
             `muster batch cancel {id}` stops it"
        ))),
        (None, None) => Err(Stopped::Interrupted(format!("interrupted before the server answered; {find_out}"))),
    }
}

/// The batch that is being created, as far as it was told about.
struct Followed {
    users: usize,
    /// Its id, while the server works at it.
    id: Option<String>,
    /// Whether it was said that the server does not answer, or can't.
    in_trouble: bool,
}

impl Followed {
    fn tell(&mut self, event: BatchEvent<'_>, progress: &mut Progress) {
        match event {
            BatchEvent::Running(batch) => {
                self.in_trouble = false;
                if self.id.as_ref() == Some(&batch.batch_id) {
                    progress.follow(batch);
                } else {
                    self.id = Some(batch.batch_id.clone());
                    announce(batch, progress);
                }
            }
            BatchEvent::NoAnswer if !self.in_trouble => {
                self.in_trouble = true;
                progress.say("the server does not answer; trying again");
            }
            BatchEvent::NotReady if !self.in_trouble => {
                self.in_trouble = true;
                progress.say("the server is not ready; trying again");
            }
            BatchEvent::SentAgain(batch) => {
                self.id = None;
                progress.say(&format!("{}; sending them again", why_again(batch)));
                progress.spin(output::users(self.users));
            }
            _ => {}
        }
    }
}

fn why_again(batch: &Batch) -> String {
    match &batch.error {
        Some(failure) if failure.code != "interrupted" => {
            format!("the users were not created: {}", output::clean(&failure.detail))
        }
        _ => "the server's process ended before the users were created".to_owned(),
    }
}

/// What to tell when a batch can't be followed any more.
fn lost_sight(args: &Args, id: &str, error: &Error) -> Exit {
    let id = output::clean(id);
    let goes_on = format!("{error}; the batch may go on at the server: `muster batch show {id}` tells");
    match error.idempotency_key() {
        Some(key) if !args.hash_locally => Exit::Usage(format!("{goes_on}; {}", find_out(args, key))),
        _ => Exit::Usage(goes_on),
    }
}

/// Says that a batch goes on at the server, and shows how far it is.
fn announce(batch: &Batch, progress: &mut Progress) {
    let left = batch.estimated_seconds_left.map(|left| format!(": about {} left", output::seconds(left)));
    let id = output::clean(&batch.batch_id);
    if batch.hash_count == 0 {
        return progress.say(&format!("batch {id} goes on at the server{}", left.unwrap_or_default()));
    }
    progress.say(&format!("batch {id} is being hashed{}", left.unwrap_or_default()));
    progress.count(batch.hash_count, "{bar:30} {pos} of {len} passwords hashed, {msg}");
    progress.follow(batch);
}

/// What to tell about a request that created nobody, or perhaps somebody.
fn refused(args: &Args, file: &UsersFile, error: Error) -> Exit {
    let is_unplanned = error.rejection().is_some_and(|rejection| rejection.code == "plan_changed");
    if !error.rows().is_empty() {
        let exit = file_report::findings(file, error.rows(), "created");
        if is_unplanned {
            output::say("the plan no longer holds: make a new dry run when this is mended");
        }
        return exit;
    }
    let unknown = error.outcome_unknown() && !args.dry_run;
    let find_out = unknown.then(|| format!("; {}", find_out(args, error.idempotency_key().unwrap_or_default())));
    // Some sentences tell themselves what has become of the users.
    let says_all = is_unplanned || matches!(&error, Error::NotCreated(batch) if batch.error.is_none());
    match (Exit::from(error), find_out) {
        (Exit::Refused(Some(sentence)) | Exit::Usage(sentence), Some(find_out)) => {
            Exit::Usage(format!("{sentence}{find_out}"))
        }
        (Exit::Refused(Some(sentence)), None) if !says_all => {
            Exit::Refused(Some(format!("{sentence}; nothing was created")))
        }
        (other, _) => other,
    }
}

fn show_plan(args: &Args, file: &UsersFile, planned: &PlannedBatch) -> Result<(), Exit> {
    let format = args.output.unwrap_or(Format::Table);
    output::print_list(format, &planned.users, &PLANNED_HEADER, planned.users.iter().map(planned_row))?;
    file_report::warnings(file, &planned.warnings);
    output::say(&format!("dry run: {} would be created; nothing was written", output::users(planned.users.len())));
    if args.hash_locally {
        output::say("there is no plan to create exactly these, for with --hash-locally each run makes new hashes");
    } else {
        let path = output::shell_word(&args.users_file.to_string_lossy());
        let format = args.format.and_then(|format| format.to_possible_value());
        let format = format.map_or_else(String::new, |format| format!(" --format {}", format.get_name()));
        output::say(&format!(
            "to create exactly these: muster user batch-create -f {path}{format} --plan {}",
            output::shell_word(&planned.plan)
        ));
    }
    Ok(())
}

const HEADER: [&str; 5] = ["EMAIL", "NAME", "USER ID", "SSO", "CREATED"];

fn row(user: &AdminCreatedUser) -> Vec<String> {
    vec![
        user.email.clone(),
        full_name(&user.name, user.lastname.as_deref()),
        user.user_id.clone(),
        yes_or_no(user.is_sso_user),
        output::time(user.created_at),
    ]
}

const PLANNED_HEADER: [&str; 5] = ["EMAIL", "NAME", "SSO", "PERMISSION", "TITLE"];

fn planned_row(user: &PlannedUser) -> Vec<String> {
    vec![
        user.email.clone(),
        full_name(&user.name, user.lastname.as_deref()),
        yes_or_no(user.is_sso_user),
        user.permission_level.clone(),
        user.title.clone().unwrap_or_default(),
    ]
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// First and last name.
pub(super) fn full_name(name: &str, lastname: Option<&str>) -> String {
    match lastname {
        None | Some("") => name.to_owned(),
        Some(lastname) => format!("{name} {lastname}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    fn args(more: &[&str]) -> Args {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("batch-create"));
        let matches = command.get_matches_from(["batch-create", "-f", "users.csv"].iter().chain(more));
        Args::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn when_a_batch_can_not_be_followed_any_more_it_is_said_how_to_find_out() {
        let error = Error::Unreachable {
            host: "http://h".to_owned(),
            source: "Connection refused".into(),
            idempotency_key: Some("k1".to_owned()),
        };
        let goes_on = "no answer from `http://h`: Connection refused; the batch may go on at the server: `muster batch \
                       show bat_1` tells";
        let Exit::Usage(sentence) = lost_sight(&args(&[]), "bat_1", &error) else { panic!("another exit status") };
        assert_eq!(
            sentence,
            format!(
                "{goes_on}; whether the users were created is not known: the same command with `--idempotency-key k1` \
                 finds out, and creates nobody twice"
            )
        );
        let Exit::Usage(sentence) = lost_sight(&args(&["--hash-locally"]), "bat_1", &error) else {
            panic!("another exit status")
        };
        assert_eq!(sentence, goes_on);
    }
}
