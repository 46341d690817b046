//! `muster group …`: users who get permissions together, over HTTP. All that changes something needs an
//! owner's API key.

use std::path::PathBuf;

use muster_client::{Client, Error, Group, GroupChanged, GroupMember, GroupUser};
use serde::Serialize;
use serde_json::{Value, json};

use super::output::{self, Format};
use super::user::ServerArgs;
use super::{Exit, file_report, listing};
use crate::users_file::{Contents, FileFormat, UsersFile};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Make a group of nobody.
    Create {
        /// What it is called. No two groups have names that differ in case only.
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Give a group another name.
    Rename {
        #[command(flatten)]
        group: GroupArgs,
        /// What it is to be called.
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Delete a group. Its members stay, without what it was bound to.
    Delete {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// List groups.
    List {
        /// The most groups; all of them if it is not given.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_items: Option<u32>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show one group.
    Get {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// List who is in a group.
    Members {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Put users into a group: all of them, or none and a report. Those who are in it already are no error.
    Add(UsersArgs),
    /// Take users out of a group: all of them, or none and a report. Those who are not in it are no error.
    Remove(UsersArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct GroupArgs {
    /// The group's id, as `muster group list` shows it.
    group_id: String,
}

#[derive(clap::Args, Debug)]
pub(super) struct Shown {
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct UsersArgs {
    #[command(flatten)]
    group: GroupArgs,
    /// Their addresses or ids.
    #[arg(value_name = "USER", required_unless_present = "users_file")]
    users: Vec<String>,
    /// Instead: a file with a list under `users`, each with `user`: an address or an id, as for `muster user
    /// suspend`; or of mere addresses and ids.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "users")]
    users_file: Option<PathBuf>,
    /// The file's format [default: by its name (.yaml, .yml, .json, .ndjson, .jsonl, .csv), else yaml].
    #[arg(long, value_enum, requires = "users_file")]
    format: Option<FileFormat>,
    /// Show what it would come to, or what is wrong; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, shown } => {
            let group = shown.server.client()?.create_group(&name).await?;
            show(shown.output, &group)
        }
        Command::Rename { group, name, shown } => {
            let group = shown.server.client()?.rename_group(&group.group_id, &name).await?;
            show(shown.output, &group)
        }
        Command::Delete { group, shown } => delete(&shown.server.client()?, &group.group_id, shown.output).await,
        Command::List { max_items, shown } => list(&shown.server.client()?, max_items, shown.output).await,
        Command::Get { group, shown } => {
            let group = shown.server.client()?.get_group(&group.group_id).await?;
            show(shown.output, &group)
        }
        Command::Members { group, shown } => members(&shown.server.client()?, &group.group_id, shown.output).await,
        Command::Add(args) => change(&args, true).await,
        Command::Remove(args) => change(&args, false).await,
    }
}

const HEADER: [&str; 5] = ["GROUP ID", "NAME", "SOURCE", "MEMBERS ARE", "CREATED"];

fn row(group: &Group) -> Vec<String> {
    let role = group.organization_permissions.as_ref().and_then(|permissions| permissions.base_role.clone());
    vec![
        group.id.clone(),
        group.name.clone(),
        group.source.clone().unwrap_or_default(),
        role.unwrap_or_default(),
        output::time(group.created_at),
    ]
}

fn show(format: Format, group: &Group) -> Result<(), Exit> {
    output::print_list(format, group, &HEADER, [row(group)])
}

async fn delete(client: &Client, group_id: &str, format: Format) -> Result<(), Exit> {
    let group = client.delete_group(group_id).await?;
    if format == Format::Table {
        output::say(&format!("{} ({}) is deleted", output::clean(&group.id), output::clean(&group.name)));
        return Ok(());
    }
    show(format, &group)
}

async fn list(client: &Client, max_items: Option<u32>, format: Format) -> Result<(), Exit> {
    let groups = listing::collect(max_items, async |count, token| client.list_groups(count, token.as_deref()).await);
    groups.await?.print(format, &HEADER, row)
}

async fn members(client: &Client, group_id: &str, format: Format) -> Result<(), Exit> {
    let members =
        listing::collect(None, async |count, token| client.list_group_members(group_id, count, token.as_deref()).await);
    let row = |member: &GroupMember| {
        vec![
            member.user_email.clone(),
            member.user_name.clone(),
            member.user_id.clone(),
            member.added_at.map(output::time).unwrap_or_default(),
        ]
    };
    members.await?.print(format, &["EMAIL", "NAME", "USER ID", "ADDED"], row)
}

/// Puts users in, or takes them out.
async fn change(args: &UsersArgs, puts_in: bool) -> Result<(), Exit> {
    let (done, is_unchanged) = if puts_in { ("added", "in it already") } else { ("removed", "not in it") };
    let client = args.shown.server.client()?;
    let file = match &args.users_file {
        None => None,
        Some(path) => Some(
            UsersFile::read(path, args.format, Contents::MEMBERS).map_err(|error| file_report::refuse(&error, done))?,
        ),
    };
    let changed = match &file {
        None => {
            let users: Vec<_> = args.users.iter().map(GroupUser::new).collect();
            send(&client, args, &users, puts_in).await
        }
        Some(file) => send(&client, args, &file.rows().map(named).collect::<Vec<_>>(), puts_in).await,
    };
    let changed = match (changed, &file) {
        (Ok(changed), _) => changed,
        (Err(error), Some(file)) if !error.rows().is_empty() => {
            return Err(file_report::findings(file, error.rows(), done));
        }
        (Err(error), None) if !error.rows().is_empty() => {
            let users: Vec<&str> = args.users.iter().map(String::as_str).collect();
            return Err(file_report::of_named(&users, error.rows(), done));
        }
        (Err(error), _) => return Err(error.into()),
    };
    let count = if puts_in { changed.added } else { changed.removed };
    match args.shown.output {
        Format::Json => output::print_json(&changed),
        Format::Table => {
            let unchanged = match changed.unchanged {
                0 => String::new(),
                1 => format!("; 1 was {is_unchanged}"),
                more => format!("; {more} were {is_unchanged}"),
            };
            let users = output::users(usize::try_from(count).unwrap_or(usize::MAX));
            output::say(&match args.dry_run {
                true => format!("dry run: {users} would be {done}{unchanged}; nothing was written"),
                false => format!("{users} {done}{unchanged}"),
            });
            Ok(())
        }
        Format::Csv => output::print_csv(
            &["GROUP ID", &done.to_uppercase(), "UNCHANGED"],
            [vec![changed.group_id, count.to_string(), changed.unchanged.to_string()]],
        ),
    }
}

async fn send<R: Serialize>(
    client: &Client,
    args: &UsersArgs,
    rows: &[R],
    puts_in: bool,
) -> Result<GroupChanged, Error> {
    let group_id = &args.group.group_id;
    if puts_in {
        client.add_group_members(group_id, rows, args.dry_run).await
    } else {
        client.remove_group_members(group_id, rows, args.dry_run).await
    }
}

/// A row that is a mere address or id names its user, too. What else it is, the server reports on.
fn named(row: &Value) -> Value {
    if row.is_string() { json!({ "user": row }) } else { row.clone() }
}
