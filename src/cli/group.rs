//! `muster group …`: user groups, over HTTP. Changes require an owner's API key.

use std::path::PathBuf;

use muster_client::{Client, Group, GroupMember};
use serde_json::{Value, json};

use super::file_args::FileArgs;
use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use super::user_list::UserList;
use super::{Exit, find, listing};
use crate::users_file::Contents;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create a group without members.
    Create {
        /// Group name; unique regardless of case.
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Rename a group.
    Rename {
        #[command(flatten)]
        group: GroupArgs,
        /// New name.
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Delete a group. Its members keep their accounts and lose the role of the group.
    Delete {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List groups.
    List {
        /// Maximum number of groups [default: all].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_items: Option<u32>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Show one group.
    Get {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List the members of a group.
    Members {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Add users to a group: all or none. Users who are members already are skipped.
    Add(UsersArgs),
    /// Remove users from a group: all or none. Users who are not members are skipped.
    Remove(UsersArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct GroupArgs {
    /// Name or ID of the group, as `muster group list` shows them.
    #[arg(value_name = "GROUP")]
    group: String,
}

impl GroupArgs {
    async fn id(&self, client: &Client) -> Result<String, Exit> {
        find::group_id(client, &self.group).await
    }
}

#[derive(clap::Args, Debug)]
pub(super) struct UsersArgs {
    #[command(flatten)]
    group: GroupArgs,
    /// E-mail addresses, user IDs or full display names.
    #[arg(value_name = "USER", required_unless_present = "users_file", conflicts_with = "format")]
    users: Vec<String>,
    /// Users file with a list under `users`. Each row has `user`, as for `muster user suspend`, or is an e-mail address
    /// or user ID. The output of `muster user list` or `muster user export` is such a file, too.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "users")]
    users_file: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// Show the result or the errors; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, remote } => {
            output::print_one(remote.output, &remote.client()?.create_group(&name).await?)
        }
        Command::Rename { group, name, remote } => {
            let client = remote.client()?;
            output::print_one(remote.output, &client.rename_group(&group.id(&client).await?, &name).await?)
        }
        Command::Delete { group, remote } => {
            let client = remote.client()?;
            let group = client.delete_group(&group.id(&client).await?).await?;
            let message = format!("deleted {} ({})", output::clean(&group.id), output::clean(&group.name));
            output::say_or_print(remote.output, &message, &group)
        }
        Command::List { max_items, remote } => {
            let client = remote.client()?;
            let groups =
                listing::collect(max_items, async |count, token| client.list_groups(count, token.as_deref()).await);
            groups.await?.print(remote.output)
        }
        Command::Get { group, remote } => {
            let client = remote.client()?;
            output::print_one(remote.output, &client.get_group(&group.id(&client).await?).await?)
        }
        Command::Members { group, remote } => {
            let client = remote.client()?;
            let group_id = group.id(&client).await?;
            let members = listing::collect(None, async |count, token| {
                client.list_group_members(&group_id, count, token.as_deref()).await
            });
            members.await?.print(remote.output)
        }
        Command::Add(args) => change(&args, true).await,
        Command::Remove(args) => change(&args, false).await,
    }
}

impl TableRow for Group {
    const HEADER: &'static [&'static str] = &["GROUP ID", "NAME", "SOURCE", "ROLE", "CREATED"];

    fn cells(&self, _: Format) -> Vec<String> {
        let role = self.organization_permissions.as_ref().and_then(|permissions| permissions.base_role.clone());
        vec![
            self.id.clone(),
            self.name.clone(),
            self.source.clone().unwrap_or_default(),
            role.unwrap_or_default(),
            output::time(self.created_at),
        ]
    }
}

impl TableRow for GroupMember {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "ADDED"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.user_email.clone(),
            self.user_name.clone(),
            self.user_id.clone(),
            self.added_at.map(output::time).unwrap_or_default(),
        ]
    }
}

async fn change(args: &UsersArgs, is_add: bool) -> Result<(), Exit> {
    let (done, unchanged) = if is_add { ("added", "already in the group") } else { ("removed", "not in the group") };
    let (client, output) = (args.remote.client()?, args.remote.output);
    let list = match &args.users_file {
        Some(path) => {
            let (file, report) = args.file.read(path, Contents::MEMBERS, output, done)?;
            UserList::File(file, report)
        }
        None => {
            args.file.check_unused()?;
            UserList::of(&args.users).with_ids(&client).await?
        }
    };
    let group_id = &args.group.id(&client).await?;
    let rows: Vec<Value> = list.rows().into_iter().map(row).collect();
    let changed = if is_add {
        client.add_group_members(group_id, &rows, args.dry_run).await
    } else {
        client.remove_group_members(group_id, &rows, args.dry_run).await
    };
    let changed = changed.map_err(|error| list.rejected(error, done))?;
    let count = if is_add { changed.added } else { changed.removed };
    match output {
        Format::Json => output::print_json(&changed),
        Format::Table | Format::Wide => {
            let unchanged = match changed.unchanged {
                0 => String::new(),
                count => format!("; {count} {unchanged}"),
            };
            output::say(&match args.dry_run {
                true => format!("dry run: {} would be {done}{unchanged}; nothing was written", users(count)),
                false => format!("{} {done}{unchanged}", users(count)),
            });
            Ok(())
        }
        Format::Csv => output::print_csv(
            &["GROUP ID", &done.to_uppercase(), "UNCHANGED"],
            [vec![changed.group_id, count.to_string(), changed.unchanged.to_string()]],
        ),
    }
}

fn users(count: u64) -> String {
    output::users(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Turns a row that is only an e-mail address or ID into an object; leaves other rows to the server's validation.
fn row(row: &Value) -> Value {
    if row.is_string() { json!({ "user": row }) } else { row.clone() }
}
