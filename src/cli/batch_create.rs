//! `muster user batch-create`: creates the users of a file, or reports all errors at their places in the file.
//!
//! The rows are sent to the server unchanged, wrong types and unknown fields included, so that one report covers
//! everything; the file maps each finding to its place.
//!
//! # Decisions
//!
//! - A file that an earlier run has created completely ends with status 0: an administrator who repeats an interrupted run
//!   wants to know that these users exist, not that they are in the way.
//! - The request asks for an asynchronous response after [`WAIT`] (RFC 7240), so that a long batch shows its progress
//!   and survives a lost connection. A short batch prints no more than Anyscale's client does.
//! - If the server restarts, the client retries for its usual 5 minutes and reports that once. If the server's process
//!   ended before the users were created, the command sends the rows again, since the server does not store them.
//! - **The default idempotency key is derived from the rows, the plan and the API key**, so that the same command, run
//!   again after its terminal was closed, follows the batch in progress or reports the users it created. It is an HMAC
//!   under the API key, because the server stores idempotency keys: from a plain digest, passwords could be guessed.
//! - A list that another API key created from the same file is recognized when all of its addresses exist.
//! - `--hash-locally` excludes `--plan` and `--idempotency-key`: each run creates new hashes, so that a plan would never
//!   apply and the key would belong to different rows. Retries within a run send the same hashes. An earlier run is found by
//!   the digest of the file, before the passwords are hashed.
//! - `--generate-passwords` excludes them for the same reason: a second run must not generate other passwords for users who
//!   exist. It reports the batch of the first run, whose file is right, and writes none. If the first run created nothing and was
//!   killed before it removed its file, the second one stops at that file, because nobody else can know what it is worth.
//! - `--links-out` makes the links in a second request, because the server stores no link: a retry of the batch could not return
//!   them. The same command, run again, makes and sends none: they would replace those that people have been given, and may have used.
//!   It names the command that does.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use hmac::{Hmac, KeyInit, Mac};
use muster_client::{
    AdminCreatedUser, Batch, BatchEvent, BatchFilter, BatchRequest, BatchState, Client, CreatedBatch, Error,
    PlannedBatch, PlannedUser,
};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;

use super::file_args::FileArgs;
use super::file_report::{self, FileReport};
use super::generated_passwords::{self, PasswordFile};
use super::local_hash::{self, Hashed};
use super::output::{self, Format, TableRow, full_name};
use super::private_file::NewFile;
use super::progress::Progress;
use super::remote::ServerArgs;
use super::user_link::{self, BatchLinks};
use super::{Exit, batch_wait, plan_summary};
use crate::secret::Secret;
use crate::users::EmailAddress;
use crate::users_file::{Contents, UsersFile};

/// How long the server may process a batch before it responds with 202 and continues in the background.
const WAIT: Duration = Duration::from_secs(2);

/// The newest batches of the same file among which the earlier run is searched.
const SEARCHED_BATCHES: u8 = 50;

/// The number of users of a dry run that are printed on a terminal.
const SHOWN_USERS: usize = 20;

/// Maximum length of a file name in characters, as the server stores it.
const MAX_FILE_NAME: usize = 255;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Users file: YAML with a list under `create_users`, JSON, JSON lines, CSV or an Excel workbook (.xlsx);
    /// `muster user template` prints an example. `-` reads standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: PathBuf,
    #[command(flatten)]
    file: FileArgs,
    /// Show the users that would be created, or the errors in the file; create none.
    #[arg(long, conflicts_with_all = ["plan", "idempotency_key"])]
    dry_run: bool,
    /// Create only if the file and the result are unchanged since the dry run that printed this digest.
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Hash the passwords on this machine: they are not sent, and the server hashes none of them. Each run
    /// creates new hashes, so --plan and --idempotency-key can't be used.
    #[arg(long, conflicts_with_all = ["plan", "idempotency_key"])]
    hash_locally: bool,
    /// Generate a password for each user without SSO, password and hash, and write them to this new CSV file, which only you can
    /// read: email, name, password. Each run generates others, so --plan and --idempotency-key can't be used.
    #[arg(
        long,
        value_name = "FILE.csv",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["plan", "idempotency_key", "links_out", "send"]
    )]
    generate_passwords: Option<PathBuf>,
    /// Make links with which the users set their passwords, as `muster user link`, and write them to this new CSV file, which
    /// only you can read: email, name, user_id, link, expires_at.
    #[arg(long, value_name = "FILE.csv", value_hint = ValueHint::FilePath)]
    links_out: Option<PathBuf>,
    /// Send each user such a link by mail; the server must have mail (`mail.url`).
    #[arg(long)]
    send: bool,
    /// Idempotency key: the users of one key are created once [default: derived from the users, the plan and the API key, so
    /// that the same command continues where an earlier one was interrupted].
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Create the users even if an earlier run has created a batch from this file (and its users were removed since).
    #[arg(long, conflicts_with_all = ["dry_run", "idempotency_key"])]
    again: bool,
    /// Create nothing if there is any warning.
    #[arg(long)]
    strict: bool,
    /// Print the created users in this format; in JSON or CSV, the errors of a rejected file, too.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

pub(super) async fn run(args: &Args, server: &ServerArgs) -> Result<(), Exit> {
    let access = server.access()?;
    let (client, token) = (&access.client()?, &access.token);
    let mut progress = Progress::start();
    let format = args.output.unwrap_or(Format::Table);
    let (file, report) = args.file.read(&args.users_file, Contents::CREATED, format, "created")?;
    let links = links(args, client).await?;
    let source = Source { file, report };
    if args.has_secrets_of_its_own()
        && !args.dry_run
        && !args.again
        && let Some(batch) = earlier_batch(client, &source.file).await
        && let Some(created) = follow_earlier(args, client, &source.file, &batch, &mut progress).await?
    {
        if args.generate_passwords.is_some() {
            progress.say("no password was generated; if that run generated passwords, they are in its file.");
        }
        return finish(args, client, &created, links, &progress).await;
    }
    let mut secrets = Secrets { passwords: None, links };
    let filled = args.generate_passwords.as_ref().map(|path| (path, generated_passwords::fill(source.file.rows())));
    if let Some((path, filled)) = &filled {
        match args.dry_run {
            true => filled.say_planned(),
            false => secrets.passwords = filled.write(path, &args.users_file, &progress)?,
        }
    }
    let rows: Vec<&Value> = match &filled {
        Some((_, filled)) => filled.rows.iter().collect(),
        None => source.file.rows().collect(),
    };
    if args.hash_locally {
        return match local_hash::rows(rows.into_iter(), args.dry_run, &mut progress).await? {
            Hashed::Rows(rows) => send(args, client, &source, &rows, None, secrets, progress).await,
            Hashed::Findings(findings) => Err(source.report.rejected(&source.file, &findings, 0, "created")),
        };
    }
    let key = match filled {
        Some(_) => None,
        None => Some(derived_key(token, &rows, args.plan.as_deref())?),
    };
    send(args, client, &source, &rows, key, secrets, progress).await
}

/// Where the links of the users are to go, if there are any. A file that can't be written, or a server without mail, is an error before
/// the users are created.
async fn links<'a>(args: &'a Args, client: &Client) -> Result<Option<BatchLinks<'a>>, Exit> {
    if args.dry_run || (args.links_out.is_none() && !args.send) {
        return Ok(None);
    }
    if args.send {
        user_link::check_mail(client).await.map_err(|exit| exit.with("no user was created"))?;
    }
    let file = match &args.links_out {
        Some(path) => Some((NewFile::create(path, "choose another name")?, path.as_path())),
        None => None,
    };
    Ok(Some(BatchLinks { file, send: args.send }))
}

impl Args {
    /// Whether each run sends other hashes or passwords for the same file.
    const fn has_secrets_of_its_own(&self) -> bool {
        self.hash_locally || self.generate_passwords.is_some()
    }
}

/// The files with secrets of the users. They are removed unless the users are created.
#[derive(Default)]
struct Secrets<'a> {
    passwords: Option<PasswordFile>,
    links: Option<BatchLinks<'a>>,
}

/// The users file, and where its errors are reported.
struct Source {
    file: UsersFile,
    report: FileReport,
}

async fn send<R: Serialize>(
    args: &Args,
    client: &Client,
    source: &Source,
    rows: &[R],
    key: Option<String>,
    secrets: Secrets<'_>,
    mut progress: Progress,
) -> Result<(), Exit> {
    let file = &source.file;
    let mut request = client.batch(rows).strict(args.strict);
    if let Some(name) = file.name() {
        let name: String = output::clean(name).chars().take(MAX_FILE_NAME).collect();
        request = request.file(name, file.sha256());
    }
    if args.dry_run {
        let planned = request.dry_run().await.map_err(|error| rejected(args, source, error))?;
        return show_plan(args, file, &planned);
    }
    if let Some(plan) = &args.plan {
        request = request.plan(plan);
    }
    if let Some(key) = args.idempotency_key.clone().or(key.filter(|_| !args.again)) {
        request = request.idempotency_key(key);
    }
    let created = create(request, file.len(), &mut progress).await;
    progress.clear();
    let Secrets { passwords, links } = secrets;
    match (&created, passwords) {
        (_, None) => (),
        (Ok(_), Some(file)) => file.keep(&progress),
        (Err(Stopped::Error(error)), Some(file)) if !error.outcome_unknown() => drop(file),
        (Err(_), Some(file)) => file.keep_in_doubt(),
    }
    let created = match created {
        Ok(created) => created,
        Err(Stopped::Error(error)) => {
            let before = match args.again {
                true => None,
                false => created_before(args, client, file, &error, &mut progress).await?,
            };
            before.ok_or_else(|| rejected(args, source, *error))?
        }
        Err(Stopped::Lost(id, error)) => return Err(lost(args, &id, &error)),
        Err(Stopped::Interrupted(Some(id))) => return Err(batch_wait::interrupted(&id, args.output)),
        Err(Stopped::Interrupted(None)) => {
            let path = output::shell_quote(&args.users_file.to_string_lossy());
            let list = file.name().map(|_| format!("; `muster batch list -f {path}` shows its batch"));
            let unknown = unknown_outcome(args);
            let list = list.unwrap_or_default();
            return Err(Exit::rejected(format!("interrupted before the server responded; {unknown}{list}")));
        }
    };
    file_report::warnings(file, &created.warnings);
    finish(args, client, &created, links, &progress).await
}

/// Reports the users of a batch, created by this run or an earlier one, and makes their links.
async fn finish(
    args: &Args,
    client: &Client,
    created: &CreatedBatch,
    links: Option<BatchLinks<'_>>,
    progress: &Progress,
) -> Result<(), Exit> {
    let users = output::users(created.users.len());
    match (created.replayed, &created.batch_id, created.users.first()) {
        (true, Some(batch_id), Some(first)) => {
            let (batch_id, at) = (output::clean(batch_id), output::time(first.created_at));
            progress.say(&format!(
                "{users} created by an earlier run, at {at} as batch {batch_id}; nothing is left to do."
            ));
        }
        _ => progress.say(&format!("{users} created.")),
    }
    if let Some(format) = args.output {
        output::print_list(format, &created.users)?;
    }
    match (links, &created.batch_id) {
        (Some(links), Some(batch_id)) => user_link::of_batch(client, batch_id, links, created.replayed).await,
        (Some(_), None) => Err(Exit::usage("no links: the server does not send the ID of the batch")),
        (None, _) => Ok(()),
    }
}

/// The newest batch of the same file and size that is running or created.
async fn earlier_batch(client: &Client, file: &UsersFile) -> Option<Batch> {
    let filter = BatchFilter { state: None, file_sha256: Some(file.sha256().to_owned()) };
    // Without the permission to list batches, there is no earlier run to be found.
    let from_file = client.list_batches(&filter, SEARCHED_BATCHES, None).await.ok()?;
    let mut from_file = from_file.results.into_iter();
    from_file.find(|batch| {
        matches!(batch.state, BatchState::Running | BatchState::Created)
            && usize::try_from(batch.user_count) == Ok(file.len())
    })
}

/// Waits for the batch of an earlier run; `None` if it has other users.
async fn follow_earlier(
    args: &Args,
    client: &Client,
    file: &UsersFile,
    batch: &Batch,
    progress: &mut Progress,
) -> Result<Option<CreatedBatch>, Exit> {
    if batch.state == BatchState::Running {
        announce(batch, progress);
    }
    let ended = tokio::select! {
        ended = client.wait_for_batch(&batch.batch_id, |batch| progress.follow(batch)) => ended,
        _ = tokio::signal::ctrl_c() => return Err(batch_wait::interrupted(&batch.batch_id, args.output)),
    };
    progress.clear();
    Ok(Some(CreatedBatch { replayed: true, ..ended? }).filter(|created| has_users_of(created, file)))
}

/// Whether a batch has the users of the file: with another sheet or mapping, the same file has other users.
fn has_users_of(created: &CreatedBatch, file: &UsersFile) -> bool {
    let key = |email: &str| EmailAddress::parse(email).ok().map(|address| address.key().to_owned());
    let is_same = |(user, row): (&AdminCreatedUser, &Value)| {
        let email = row.get("email").and_then(Value::as_str);
        email.is_some_and(|email| key(email) == key(&user.email))
    };
    created.users.len() == file.len() && created.users.iter().zip(file.rows()).all(is_same)
}

/// The users of a rejected list, if an earlier run created them from the same file: then nothing is left to do. The list was
/// rejected because all of its users exist, or because the batch of its key is undone or cancelled and a later run, with
/// `--again`, created another one.
async fn created_before(
    args: &Args,
    client: &Client,
    file: &UsersFile,
    error: &Error,
    progress: &mut Progress,
) -> Result<Option<CreatedBatch>, Exit> {
    let all_exist = error.rows().len() + error.more_findings() == file.len()
        && error.rows().iter().all(|finding| finding.code == "email_taken");
    let has_ended = args.idempotency_key.is_none() && error.api_error().is_some_and(|error| error.code == "conflict");
    if !all_exist && !has_ended {
        return Ok(None);
    }
    match earlier_batch(client, file).await {
        Some(batch) => follow_earlier(args, client, file, &batch, progress).await,
        None => Ok(None),
    }
}

/// The idempotency key of a command that is not given one.
fn derived_key<R: Serialize>(token: &Secret, rows: &[R], plan: Option<&str>) -> Result<String, Exit> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).map_err(Exit::usage)?;
    mac.update(plan.unwrap_or_default().as_bytes());
    mac.update(b"\0");
    let mut mac = MacWriter(mac);
    serde_json::to_writer(&mut mac, rows).map_err(Exit::usage)?;
    Ok(hex::encode(mac.0.finalize().into_bytes()))
}

/// Authenticates what is written.
struct MacWriter(Hmac<Sha256>);

impl Write for MacWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How to find out the outcome of a request whose response was lost.
const fn unknown_outcome(args: &Args) -> &'static str {
    if args.has_secrets_of_its_own() || args.again {
        "the outcome is unknown: check with `muster batch list`"
    } else {
        "the outcome is unknown: repeat the same command, which creates no user twice"
    }
}

/// Why a batch was not followed to the end.
enum Stopped {
    Error(Box<Error>),
    /// The running batch with this ID can no longer be followed.
    Lost(String, Box<Error>),
    /// Interrupted by the user, while the batch with this ID was running.
    Interrupted(Option<String>),
}

async fn create<R: Serialize>(
    request: BatchRequest<'_, R>,
    users: usize,
    progress: &mut Progress,
) -> Result<CreatedBatch, Stopped> {
    progress.say("Creating users...");
    progress.spin(output::users(users));
    let mut followed = Followed { users, id: None, is_retrying: false, has_retried: false };
    let ended = tokio::select! {
        created = request.wait(WAIT).create(|event| followed.report(event, progress)) => Some(created),
        _ = tokio::signal::ctrl_c() => None,
    };
    match (ended, followed.id) {
        // A retry of this run can have found the batch of its first attempt.
        (Some(Ok(created)), _) => Ok(CreatedBatch { replayed: created.replayed && !followed.has_retried, ..created }),
        (Some(Err(error @ Error::NotCreated(_))), _) | (Some(Err(error)), None) => Err(Stopped::Error(Box::new(error))),
        (Some(Err(error)), Some(id)) => Err(Stopped::Lost(id, Box::new(error))),
        (None, id) => Err(Stopped::Interrupted(id)),
    }
}

/// The state of the batch being created, as reported so far.
struct Followed {
    users: usize,
    /// The batch ID while the batch is running.
    id: Option<String>,
    /// Whether the current outage of the server has been reported.
    is_retrying: bool,
    /// Whether any request was repeated.
    has_retried: bool,
}

impl Followed {
    fn report(&mut self, event: BatchEvent<'_>, progress: &mut Progress) {
        self.has_retried |= !matches!(event, BatchEvent::Running(_));
        match event {
            BatchEvent::Running(batch) => {
                self.is_retrying = false;
                if self.id.as_ref() == Some(&batch.batch_id) {
                    progress.follow(batch);
                } else {
                    self.id = Some(batch.batch_id.clone());
                    announce(batch, progress);
                }
            }
            BatchEvent::NoResponse if !self.is_retrying => {
                self.is_retrying = true;
                progress.say("no response from the server; retrying");
            }
            BatchEvent::NotReady if !self.is_retrying => {
                self.is_retrying = true;
                progress.say("the server is not ready; retrying");
            }
            BatchEvent::Resubmitted(batch) => {
                self.id = None;
                progress.say(&format!("{}; sending the users again", retry_reason(batch)));
                progress.spin(output::users(self.users));
            }
            _ => {}
        }
    }
}

fn retry_reason(batch: &Batch) -> String {
    match &batch.error {
        Some(error) if error.code != "interrupted" => {
            format!("the users were not created: {}", output::clean(&error.detail))
        }
        _ => "the server exited before the users were created".to_owned(),
    }
}

/// Reports a batch that can no longer be followed.
fn lost(args: &Args, id: &str, error: &Error) -> Exit {
    let id = output::clean(id);
    let continues = format!("{error}; the batch may continue on the server: check with `muster batch show {id}`");
    if args.has_secrets_of_its_own() || args.again {
        return Exit::Usage(continues);
    }
    Exit::usage(format!("{continues}; {}", unknown_outcome(args)))
}

/// Reports that a batch continues in the background, and shows its progress.
pub(super) fn announce(batch: &Batch, progress: &mut Progress) {
    let left =
        batch.estimated_seconds_left.map_or_else(String::new, |left| format!(": about {} left", output::seconds(left)));
    let id = output::clean(&batch.batch_id);
    if batch.hash_count == 0 {
        return progress.say(&format!("batch {id} is in progress on the server{left}"));
    }
    progress.say(&format!("hashing the passwords of batch {id}{left}"));
    progress.count(batch.hash_count, "{bar:30} {pos} of {len} passwords hashed, {msg}");
    progress.follow(batch);
}

/// Reports a request that was rejected, or whose outcome is unknown.
fn rejected(args: &Args, Source { file, report }: &Source, error: Error) -> Exit {
    let plan_changed = error.api_error().is_some_and(|rejection| rejection.code == "plan_changed");
    if !error.rows().is_empty() {
        let exit = report.rejected(file, error.rows(), error.more_findings(), "created");
        if args.strict {
            output::say("with `--strict`, warnings are errors");
        }
        if plan_changed {
            output::say("the plan no longer applies; fix the errors and repeat the dry run");
        }
        return exit;
    }
    if error.outcome_unknown() && !args.dry_run {
        return Exit::usage(format!("{error}; {}", unknown_outcome(args)));
    }
    let is_of_key =
        error.api_error().is_some_and(|error| matches!(error.code.as_str(), "conflict" | "idempotency_key_reused"));
    if is_of_key && args.idempotency_key.is_none() {
        output::say("hint: the idempotency key is derived from the users; `--again` uses a new one");
    }
    // These messages include the outcome.
    let is_complete = plan_changed || matches!(&error, Error::NotCreated(batch) if batch.error.is_none());
    match Exit::from(error) {
        Exit::Rejected(Some(message)) if !is_complete => Exit::rejected(format!("{message}; nothing was created")),
        exit => exit,
    }
}

fn show_plan(args: &Args, file: &UsersFile, planned: &PlannedBatch) -> Result<(), Exit> {
    output::say(&plan_summary::summary(&planned.users, planned.warnings.len()));
    let is_shortened = args.output.is_none() && std::io::stdout().is_terminal();
    let users = if is_shortened { planned.users.get(..SHOWN_USERS) } else { None };
    output::print_list(args.output.unwrap_or(Format::Table), users.unwrap_or(&planned.users))?;
    if let Some(more) = users.map(|users| planned.users.len() - users.len()).filter(|more| *more > 0) {
        output::say(&format!("and {more} more; `-o table` prints all"));
    }
    file_report::warnings(file, &planned.warnings);
    output::say(&format!("dry run: {} would be created; nothing was written", output::users(planned.users.len())));
    if args.hash_locally {
        output::say("no plan is available with `--hash-locally`, because each run creates new hashes");
    } else if args.generate_passwords.is_some() {
        output::say("no plan is available with `--generate-passwords`, because each run generates others");
    } else {
        let path = output::shell_quote(&args.users_file.to_string_lossy());
        let format = args.file.format.and_then(|format| format.to_possible_value());
        let format = format.map_or_else(String::new, |format| format!(" --format {}", format.get_name()));
        output::say(&format!(
            "to create exactly these users: muster user batch-create -f {path}{format}{}{} --plan {}",
            args.file.columns.for_shell(),
            if args.strict { " --strict" } else { "" },
            output::shell_quote(&planned.plan)
        ));
    }
    Ok(())
}

impl TableRow for AdminCreatedUser {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "SSO", "CREATED"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.email.clone(),
            full_name(&self.name, self.lastname.as_deref()),
            self.user_id.clone(),
            yes_or_no(self.is_sso_user),
            output::time(self.created_at),
        ]
    }
}

impl TableRow for PlannedUser {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "SSO", "PERMISSION", "TITLE"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.email.clone(),
            full_name(&self.name, self.lastname.as_deref()),
            yes_or_no(self.is_sso_user),
            self.permission_level.clone(),
            self.title.clone().unwrap_or_default(),
        ]
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
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
    fn a_lost_batch_is_reported_with_a_way_to_find_out_the_outcome() {
        let error = Error::Unreachable {
            host: "http://h".to_owned(),
            source: "Connection refused".into(),
            idempotency_key: Some("k1".to_owned()),
        };
        let continues = "no response from `http://h`: Connection refused; the batch may continue on the server: check with \
                         `muster batch show bat_1`";
        let Exit::Usage(message) = lost(&args(&[]), "bat_1", &error) else { panic!("another exit status") };
        assert_eq!(
            message,
            format!("{continues}; the outcome is unknown: repeat the same command, which creates no user twice")
        );
        let Exit::Usage(message) = lost(&args(&["--hash-locally"]), "bat_1", &error) else {
            panic!("another exit status")
        };
        assert_eq!(message, continues);
    }
}
