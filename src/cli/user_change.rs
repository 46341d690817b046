//! `muster user update`, `suspend`, `reactivate` and `delete`: changes to the users on the command line or in a file,
//! all or none. A single user is sent as a list of one.
//!
//! # Decisions
//!
//! An empty `--lastname`, `--title` or `--expires-at` removes the value: an empty string is of no use, and a shell has no other way to
//! write null. In a CSV file, an empty cell leaves the value unchanged, as it does when users are created; with
//! `--clear-empty`, it removes the value.

use std::collections::HashMap;
use std::path::PathBuf;

use muster_client::{ChangeOptions, ChangedUsers, Client, Error, User};
use serde_json::{Map, Value, json};

use super::Exit;
use super::file_args::FileArgs;
use super::output::{self, Format, TableRow, confirm, full_name};
use super::remote::RemoteArgs;
use super::user_filter::parse_attribute;
use super::user_list::UserList;
use crate::users_file::Contents;

/// The arguments of `suspend` and `reactivate`.
#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// E-mail addresses, user IDs or full display names.
    #[arg(value_name = "USER", required_unless_present = "users_file", conflicts_with_all = ["users_file", "format"])]
    users: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Delete without confirmation.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct UpdateArgs {
    /// E-mail address, user ID or full display name.
    #[arg(value_name = "USER", required_unless_present = "users_file", conflicts_with_all = ["users_file", "format"])]
    user: Option<String>,
    /// New first name or full name.
    #[arg(long, conflicts_with = "users_file")]
    name: Option<String>,
    /// New last name; an empty value removes it.
    #[arg(long, conflicts_with = "users_file")]
    lastname: Option<String>,
    /// New title; an empty value removes it.
    #[arg(long, conflicts_with = "users_file")]
    title: Option<String>,
    /// New e-mail address.
    #[arg(long, conflicts_with = "users_file")]
    email: Option<String>,
    /// Whether the user signs in through SSO. `true` deletes the password; after `false`, the user needs a new one.
    #[arg(long, value_name = "true|false", conflicts_with = "users_file")]
    sso: Option<bool>,
    /// Custom attribute; an empty value removes it. A number or boolean that is written as in JSON is one; in quotes, it is
    /// text. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_attribute, conflicts_with = "users_file")]
    attribute: Vec<(String, Value)>,
    /// When the account expires: the last day of access (in UTC), such as 2027-12-31, or a time with its zone, such as
    /// 2027-12-31T18:00:00+01:00; an empty value removes the expiry.
    #[arg(long, value_name = "DATE|TIME", conflicts_with = "users_file")]
    expires_at: Option<String>,
    /// Remove the last name, title or expiry of a user whose cell in a table is empty. Without it, empty cells change nothing.
    #[arg(long, requires = "users_file")]
    clear_empty: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(clap::Args, Debug)]
struct CommonArgs {
    /// Users file: YAML with a list under `users`, JSON, JSON lines, CSV or an Excel workbook (.xlsx). Each row has `user`
    /// (an e-mail address or user ID), the new values for `update` and, optionally, `if_match` (the expected revision). `-`
    /// reads standard input. Except for `update`, the output of `muster user list` or `muster user export` is such a file, too.
    #[arg(short = 'f', long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
    /// Show the result or the errors; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave out the users who can't be changed, and say why; without it, one of them rejects the list.
    #[arg(long)]
    skip_blocked: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Clone, Copy)]
enum Operation {
    Update,
    Suspend,
    Reactivate,
    Delete,
}

impl Operation {
    const fn done(self) -> &'static str {
        match self {
            Self::Update => "changed",
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Delete => "deleted",
        }
    }

    /// What users are who need no change.
    const fn already(self) -> &'static str {
        match self {
            Self::Suspend => "already suspended",
            Self::Reactivate => "already active",
            Self::Update | Self::Delete => "unchanged",
        }
    }

    /// "2 users suspended, 1 already suspended", or what would be.
    fn summary(self, changed: &ChangedUsers, dry_run: bool) -> String {
        let (count, done) = (output::users(changed.metadata.changed), self.done());
        let others = match changed.metadata.unchanged {
            0 => String::new(),
            unchanged => format!(", {unchanged} {}", self.already()),
        };
        let others = match changed.metadata.skipped {
            0 => others,
            skipped => format!("{others}, {skipped} left out"),
        };
        match dry_run {
            true => format!("dry run: {count} would be {done}{others}; nothing was written"),
            false => format!("{count} {done}{others}"),
        }
    }

    async fn send(self, client: &Client, rows: &[&Value], options: ChangeOptions) -> Result<ChangedUsers, Error> {
        match self {
            Self::Update => client.update_users(rows, options).await,
            Self::Suspend => client.suspend_users(rows, options).await,
            Self::Reactivate => client.reactivate_users(rows, options).await,
            Self::Delete => client.delete_users(rows, options).await,
        }
    }

    async fn run(self, client: &Client, list: &UserList, options: ChangeOptions) -> Result<ChangedUsers, Exit> {
        let changed = self.send(client, &list.rows(), options).await.map_err(|error| {
            if error.outcome_unknown() && !options.dry_run {
                Exit::usage(format!("{error}; the outcome is unknown: check with `muster user list`"))
            } else {
                list.rejected(error, self.done())
            }
        })?;
        list.skipped(&changed.metadata.skipped_rows);
        Ok(changed)
    }
}

impl CommonArgs {
    /// The users of the file, else those of the command line.
    fn list(&self, operation: Operation, arguments: impl FnOnce() -> UserList) -> Result<UserList, Exit> {
        let Some(path) = &self.users_file else {
            self.file.check_unused()?;
            return Ok(arguments());
        };
        let contents = if matches!(operation, Operation::Update) { Contents::CHANGED } else { Contents::NAMED };
        let (file, report) = self.file.read(path, contents, self.remote.output, operation.done())?;
        Ok(UserList::File(file, report))
    }

    const fn options(&self, dry_run: bool) -> ChangeOptions {
        ChangeOptions { dry_run, skip_blocked: self.skip_blocked }
    }

    /// Runs the operation, or plans it in a dry run, and prints the users.
    async fn run(&self, operation: Operation, list: UserList) -> Result<(), Exit> {
        let client = self.remote.client()?;
        let changed = operation.run(&client, &list.with_ids(&client).await?, self.options(self.dry_run)).await?;
        if self.dry_run && matches!(operation, Operation::Update) {
            print_changes(self.remote.output, &changed)?;
        } else {
            output::print_list(self.remote.output, &changed.results)?;
        }
        output::say(&operation.summary(&changed, self.dry_run));
        Ok(())
    }
}

/// Prints each changed field with its value before and after.
fn print_changes(format: Format, changed: &ChangedUsers) -> Result<(), Exit> {
    let emails: HashMap<&str, &str> =
        changed.results.iter().map(|user| (user.user_id.as_str(), user.email.as_str())).collect();
    let changes = &changed.metadata.changes;
    let rows = changes.iter().map(|change| {
        let email = emails.get(change.user_id.as_str()).copied().unwrap_or_default();
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![email.to_owned(), change.field.clone(), value(&change.before), value(&change.after)]
    });
    output::print_rows(format, changes, &["EMAIL", "FIELD", "BEFORE", "AFTER"], rows)
}

pub(super) async fn update(args: &UpdateArgs) -> Result<(), Exit> {
    let change = args.change();
    if args.common.users_file.is_none() && change.is_empty() {
        return Err(Exit::usage(
            "nothing to change; add `--name`, `--lastname`, `--title`, `--email`, `--sso`, `--expires-at` or `--attribute`",
        ));
    }
    let mut list = args.common.list(Operation::Update, || {
        let mut row = change;
        row.insert("user".to_owned(), json!(args.user));
        UserList::Arguments(vec![Value::Object(row)])
    })?;
    if let (UserList::File(file, _), true) = (&mut list, args.clear_empty) {
        file.clear_empty();
    }
    args.common.run(Operation::Update, list).await
}

impl UpdateArgs {
    /// The fields to change, with their new values.
    fn change(&self) -> Map<String, Value> {
        let attributes: Map<String, Value> = self.attribute.iter().cloned().collect();
        let cleared = |text: &Option<String>| {
            text.as_ref().map(|text| if text.is_empty() { Value::Null } else { Value::from(text.as_str()) })
        };
        [
            ("name", self.name.as_deref().map(Value::from)),
            ("email", self.email.as_deref().map(Value::from)),
            ("lastname", cleared(&self.lastname)),
            ("title", cleared(&self.title)),
            ("is_sso_user", self.sso.map(Value::from)),
            ("expires_at", cleared(&self.expires_at)),
            ("attributes", (!attributes.is_empty()).then_some(Value::Object(attributes))),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?)))
        .collect()
    }
}

pub(super) async fn suspend(args: &ListArgs) -> Result<(), Exit> {
    args.common.run(Operation::Suspend, args.list(Operation::Suspend)?).await
}

pub(super) async fn reactivate(args: &ListArgs) -> Result<(), Exit> {
    args.common.run(Operation::Reactivate, args.list(Operation::Reactivate)?).await
}

impl ListArgs {
    fn list(&self, operation: Operation) -> Result<UserList, Exit> {
        self.common.list(operation, || UserList::of(&self.users))
    }
}

pub(super) async fn delete(args: &DeleteArgs) -> Result<(), Exit> {
    let common = &args.list.common;
    if !common.dry_run && !args.yes {
        output::require_terminal("`--yes` or `--dry-run`")?;
    }
    let list = args.list.list(Operation::Delete)?;
    if args.yes || common.dry_run {
        return common.run(Operation::Delete, list).await;
    }
    let client = common.remote.client()?;
    let list = list.with_ids(&client).await?;
    let planned = Operation::Delete.run(&client, &list, common.options(true)).await?.results;
    output::print_list(common.remote.output, &planned)?;
    if !confirm(&format!("delete {}? [y/N] ", output::these_users(planned.len()))) {
        return Err(Exit::rejected("no user was deleted"));
    }
    let deleted = Operation::Delete.run(&client, &list, common.options(false)).await?;
    output::say(&Operation::Delete.summary(&deleted, false));
    Ok(())
}

impl TableRow for User {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "STATUS", "PERMISSION", "TITLE"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.email.clone(),
            full_name(&self.name, self.lastname.as_deref()),
            self.user_id.clone(),
            self.status.clone(),
            self.permission_level.clone(),
            self.title.clone().unwrap_or_default(),
        ]
    }
}
