//! `muster user update`, `suspend`, `reactivate` and `delete`: users on the command line or in a file, all of them or
//! none. One user is a list of one.
//!
//! # Decisions
//!
//! An empty `--lastname` or `--title` takes it away: nobody wants an empty one, and there is no other word for it in
//! a shell. In a CSV file an empty cell leaves it as it is, as for users who are created.

use std::io::IsTerminal;
use std::path::PathBuf;

use muster_client::{Client, Error, User};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::batch_create::full_name;
use super::batch_undo::confirm;
use super::output::{self, Format};
use super::user::ServerArgs;
use super::{Exit, file_report};
use crate::users_file::{Contents, FileFormat, UsersFile};

/// The users of `suspend` and `reactivate`.
#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Who: addresses, or ids.
    #[arg(value_name = "USER", required_unless_present = "users_file", conflicts_with = "users_file")]
    users: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What `delete` takes besides.
#[derive(clap::Args, Debug)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Delete them without asking.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

/// The user of `update`, and what is to be different about them.
#[derive(clap::Args, Debug)]
pub(super) struct UpdateArgs {
    /// Who: an address, or an id.
    #[arg(value_name = "USER", required_unless_present = "users_file", conflicts_with = "users_file")]
    user: Option<String>,
    /// The new first name, or the whole of it.
    #[arg(long, conflicts_with = "users_file")]
    name: Option<String>,
    /// The new last name; an empty one takes it away.
    #[arg(long, conflicts_with = "users_file")]
    lastname: Option<String>,
    /// The new title; an empty one takes it away.
    #[arg(long, conflicts_with = "users_file")]
    title: Option<String>,
    /// The new address.
    #[arg(long, conflicts_with = "users_file")]
    email: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(clap::Args, Debug)]
struct CommonArgs {
    /// A file of users: YAML with a list under `users`, JSON, lines of JSON, or CSV. Each has `user` (an address or an
    /// id), for `update` also what is to be different, and `if_match` (a revision) if it must not have changed.
    /// `-` is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// The file's format [default: by its name (.yaml, .yml, .json, .ndjson, .jsonl, .csv), else yaml].
    #[arg(long, value_enum, requires = "users_file")]
    format: Option<FileFormat>,
    /// Show what it would come to, or what is wrong; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is done.
#[derive(Clone, Copy)]
enum What {
    Update,
    Suspend,
    Reactivate,
    Delete,
}

impl What {
    const fn done(self) -> &'static str {
        match self {
            Self::Update => "changed",
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Delete => "deleted",
        }
    }

    async fn ask<R: Serialize>(self, client: &Client, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        match self {
            Self::Update => client.update_users(rows, dry_run).await,
            Self::Suspend => client.suspend_users(rows, dry_run).await,
            Self::Reactivate => client.reactivate_users(rows, dry_run).await,
            Self::Delete => client.delete_users(rows, dry_run).await,
        }
    }
}

/// Where the rows come from.
enum Rows {
    Words(Vec<Value>),
    File(UsersFile),
}

impl Rows {
    fn read(args: &CommonArgs, what: What, words: impl FnOnce() -> Vec<Value>) -> Result<Self, Exit> {
        let Some(path) = &args.users_file else { return Ok(Self::Words(words())) };
        let contents = if matches!(what, What::Update) { Contents::CHANGED } else { Contents::NAMED };
        let file = UsersFile::read(path, args.format, contents);
        file.map(Self::File).map_err(|error| file_report::refuse(&error, what.done()))
    }

    async fn ask(&self, client: &Client, what: What, dry_run: bool) -> Result<Vec<User>, Exit> {
        let asked = match self {
            Self::Words(rows) => what.ask(client, rows, dry_run).await,
            Self::File(file) => what.ask(client, &file.rows().collect::<Vec<_>>(), dry_run).await,
        };
        asked.map_err(|error| match self {
            Self::File(file) if !error.rows().is_empty() => file_report::findings(file, error.rows(), what.done()),
            // The server's own sentence says what to do about that.
            _ if error.rejection().is_some_and(|rejection| rejection.code == "last_owner") => error.into(),
            Self::Words(rows) if !error.rows().is_empty() => {
                let users: Vec<&str> = rows.iter().map(|row| row["user"].as_str().unwrap_or_default()).collect();
                file_report::of_named(&users, error.rows(), what.done())
            }
            _ if error.outcome_unknown() && !dry_run => {
                let done = what.done();
                Exit::Usage(format!("{error}; whether the users were {done} is not known: `muster user list` tells"))
            }
            _ => error.into(),
        })
    }
}

pub(super) async fn update(args: &UpdateArgs) -> Result<(), Exit> {
    let rows = Rows::read(&args.common, What::Update, || vec![args.row()])?;
    if args.common.users_file.is_none() && args.change().is_empty() {
        return Err(Exit::Usage("give `--name`, `--lastname`, `--title` or `--email`".to_owned()));
    }
    change(&args.common, What::Update, &rows).await
}

impl UpdateArgs {
    fn change(&self) -> Map<String, Value> {
        let cleared = |text: &Option<String>| {
            text.as_ref().map(|text| if text.is_empty() { Value::Null } else { Value::from(text.as_str()) })
        };
        [
            ("name", self.name.as_deref().map(Value::from)),
            ("email", self.email.as_deref().map(Value::from)),
            ("lastname", cleared(&self.lastname)),
            ("title", cleared(&self.title)),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?)))
        .collect()
    }

    fn row(&self) -> Value {
        let mut row = self.change();
        row.insert("user".to_owned(), json!(self.user));
        Value::Object(row)
    }
}

pub(super) async fn suspend(args: &ListArgs) -> Result<(), Exit> {
    change(&args.common, What::Suspend, &args.rows(What::Suspend)?).await
}

pub(super) async fn reactivate(args: &ListArgs) -> Result<(), Exit> {
    change(&args.common, What::Reactivate, &args.rows(What::Reactivate)?).await
}

impl ListArgs {
    fn rows(&self, what: What) -> Result<Rows, Exit> {
        Rows::read(&self.common, what, || self.users.iter().map(|user| json!({ "user": user })).collect())
    }
}

pub(super) async fn delete(args: &DeleteArgs) -> Result<(), Exit> {
    let common = &args.list.common;
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !common.dry_run && !args.yes && !can_ask {
        let sentence =
            "there is no terminal to ask on: add `--yes` to delete the users, or `--dry-run` to see who it is";
        return Err(Exit::Usage(sentence.to_owned()));
    }
    let rows = args.list.rows(What::Delete)?;
    if args.yes || common.dry_run {
        return change(common, What::Delete, &rows).await;
    }
    let client = common.server.client()?;
    let planned = rows.ask(&client, What::Delete, true).await?;
    show(common.output, &planned)?;
    if !confirm(&format!("delete {}? [y/N] ", output::these_users(planned.len()))) {
        return Err(Exit::Refused(Some("nothing was deleted".to_owned())));
    }
    let deleted = rows.ask(&client, What::Delete, false).await?;
    output::say(&format!("{} deleted", output::users(deleted.len())));
    Ok(())
}

/// Does it, or finds out what it would come to, and shows whom it is about.
async fn change(args: &CommonArgs, what: What, rows: &Rows) -> Result<(), Exit> {
    let users = rows.ask(&args.server.client()?, what, args.dry_run).await?;
    show(args.output, &users)?;
    let (count, done) = (output::users(users.len()), what.done());
    output::say(&match args.dry_run {
        true => format!("dry run: {count} would be {done}; nothing was written"),
        false => format!("{count} {done}"),
    });
    Ok(())
}

pub(super) fn show(format: Format, users: &[User]) -> Result<(), Exit> {
    output::print_list(format, &users, &HEADER, users.iter().map(row))
}

pub(super) const HEADER: [&str; 6] = ["EMAIL", "NAME", "USER ID", "STATUS", "PERMISSION", "TITLE"];

pub(super) fn row(user: &User) -> Vec<String> {
    vec![
        user.email.clone(),
        full_name(&user.name, user.lastname.as_deref()),
        user.user_id.clone(),
        user.status.clone(),
        user.permission_level.clone(),
        user.title.clone().unwrap_or_default(),
    ]
}
