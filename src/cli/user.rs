//! `muster user …`: users, over HTTP, with an API key.

use std::collections::HashMap;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use muster_client::{
    Client, Collaborator, CollaboratorFilter, CollaboratorSearch, CollaboratorType, OwnerPermission, User,
};
use serde::Serialize;

use super::output::{self, Format, TableRow};
use super::remote::{RemoteArgs, ServerArgs};
use super::user_filter::{MoreFilterArgs, values};
use super::{Exit, batch_create, find, listing, user_apply, user_change, user_convert, user_export, user_link};
use crate::caller::PermissionLevel;
use crate::collaborators::PeopleOrder;
use crate::users::attributes::{PREFIX, to_cell};
use crate::users_file::{TemplateFormat, template};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create the users of a file: all or none. If any row is invalid, reports every error.
    BatchCreate {
        #[command(flatten)]
        args: batch_create::Args,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print an example users file that explains every field.
    Template {
        /// Format of the file.
        #[arg(long, value_enum, default_value = "yaml")]
        format: TemplateFormat,
    },
    /// Convert an export of another system to a users file, on this machine; needs no server.
    #[command(after_help = user_convert::EXAMPLES)]
    Convert(user_convert::Args),
    /// List users.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        more: MoreFilterArgs,
        /// Only users that match this text: a part of their name or e-mail address, an ID, or several e-mail addresses.
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        /// Order: by name, e-mail address, creation or last sign-in; with a `-` before it, backward. `-last` has the latest sign-ins
        /// first [default: created].
        #[arg(long, allow_hyphen_values = true, value_parser = values(PeopleOrder::ALL, PeopleOrder::as_str))]
        order: Option<String>,
        /// Maximum number of users [default: all].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_items: Option<u32>,
        /// Users per page of the server's response.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=50))]
        page_size: u8,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Print all people with the fields that `muster user apply` takes.
    #[command(after_help = user_export::EXAMPLES)]
    Export(user_export::Args),
    /// Make users as a file says: create, change and, on request, suspend them: all or none.
    #[command(after_help = user_apply::EXAMPLES)]
    Apply(user_apply::Args),
    /// Show one user, by e-mail address, name or ID.
    Get {
        /// E-mail address, user ID or full display name; shows all fields.
        #[arg(value_name = "USER", conflicts_with_all = ["id", "email", "name", "collaborator_type", "service_account"])]
        user: Option<String>,
        /// User ID; shows all fields.
        #[arg(long, conflicts_with_all = ["email", "name", "collaborator_type", "service_account"])]
        id: Option<String>,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Search users by a part of their name or e-mail address.
    Search(SearchArgs),
    /// Update a user, or the users of a file: all or none. If any row is invalid, reports every error.
    Update(user_change::UpdateArgs),
    /// Suspend users: their sign-ins and API keys are rejected; nothing is deleted.
    Suspend(user_change::ListArgs),
    /// Reactivate suspended users.
    Reactivate(user_change::ListArgs),
    /// Make links with which people set their passwords: all or none. Prints them, only once.
    ///
    /// A link works once and signs its user in. A new link replaces the earlier one of the same user. muster sends e-mail only
    /// with `--send`.
    #[command(after_help = user_link::EXAMPLES)]
    Link(user_link::Args),
    /// Delete users and all data about them.
    Delete(user_change::DeleteArgs),
    /// Set the permission level of a user.
    SetPermission {
        /// E-mail address, user ID or full display name.
        user: String,
        /// New permission level.
        #[arg(value_enum)]
        level: PermissionLevel,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List all users, their effective permission level, and whether it is their own level or through which group they have it.
    ListPermissions {
        /// Only this user: an e-mail address, ID or full display name.
        #[arg(long = "user-id", visible_alias = "user", value_name = "USER")]
        user: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

/// The filters of `muster user search`.
#[derive(clap::Args, Debug)]
pub(super) struct SearchArgs {
    /// Part of the name or e-mail address; case-insensitive.
    query: String,
    /// Type of account.
    #[arg(long, value_parser = account_type())]
    collaborator_type: Option<CollaboratorType>,
    /// Only service accounts.
    #[arg(long)]
    service_account: bool,
    /// Only users with this permission level.
    #[arg(long, value_enum)]
    permission: Option<PermissionLevel>,
    /// Only users with this status.
    #[arg(long, value_parser = ["active", "suspended"])]
    status: Option<String>,
    /// Maximum number of users.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    max_items: u32,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(clap::Args, Debug)]
pub(super) struct FilterArgs {
    /// E-mail address; case-insensitive.
    #[arg(long)]
    email: Option<String>,
    /// Full display name; exact match.
    #[arg(long)]
    name: Option<String>,
    /// Type of account.
    #[arg(long, value_parser = account_type())]
    collaborator_type: Option<CollaboratorType>,
    /// Service accounts instead of people.
    #[arg(long)]
    service_account: bool,
}

fn account_type() -> impl TypedValueParser<Value = CollaboratorType> {
    let names = PossibleValuesParser::new(CollaboratorType::ALL.map(CollaboratorType::as_str));
    names.try_map(|name| CollaboratorType::parse(&name).ok_or("unknown type"))
}

impl From<FilterArgs> for CollaboratorFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            email: args.email,
            name: args.name,
            collaborator_type: args.collaborator_type,
            is_service_account: args.service_account.then_some(true),
            ..Self::default()
        }
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::BatchCreate { args, server } => batch_create::run(&args, &server).await,
        Command::Convert(args) => user_convert::run(&args),
        Command::Template { format } => output::print(template(format)),
        Command::List { filter, more, query, order, max_items, page_size, remote } => {
            let client = remote.client()?;
            let is_expiring = more.is_expiring();
            let filter = CollaboratorFilter { query, order, ..more.add_to(filter.into(), &client).await? };
            let users = listing::collect_by(page_size, max_items, async |count, token| {
                client.list_collaborators(&filter, count, token.as_deref()).await
            });
            let users = users.await?;
            match remote.output {
                _ if is_expiring => users.map(Expiring).print(remote.output),
                Format::Wide => users.map(WithSignIn).print(remote.output),
                format => users.print(format),
            }
        }
        Command::Export(args) => user_export::run(args).await,
        Command::Apply(args) => user_apply::run(&args).await,
        Command::Get { id: Some(id), remote, .. } => show(remote.output, &remote.client()?.get_user(&id).await?),
        Command::Get { user: Some(user), remote, .. } => {
            let client = remote.client()?;
            let user_id = find::user_id(&client, &user).await?;
            show(remote.output, &client.get_user(&user_id).await?)
        }
        Command::Get { filter, remote, .. } => get(&remote.client()?, &filter.into(), remote.output).await,
        Command::Search(args) => search(&args).await,
        Command::Update(args) => user_change::update(&args).await,
        Command::Suspend(args) => user_change::suspend(&args).await,
        Command::Reactivate(args) => user_change::reactivate(&args).await,
        Command::Link(args) => user_link::run(&args).await,
        Command::Delete(args) => user_change::delete(&args).await,
        Command::SetPermission { user, level, remote } => {
            set_permission(&remote.client()?, &user, level, remote.output).await
        }
        Command::ListPermissions { user, remote } => {
            let client = remote.client()?;
            let user_id = match user {
                Some(user) => Some(find::user_id(&client, &user).await?),
                None => None,
            };
            list_permissions(&client, user_id.as_deref(), remote.output).await
        }
    }
}

/// Prints a user: every field, in a table as well.
fn show(format: Format, user: &User) -> Result<(), Exit> {
    if !format.is_table() {
        return output::print_one(format, user);
    }
    let last_signed_in_at = match user.is_service_account {
        true => None,
        false => Some(user.last_signed_in_at.map_or_else(|| "never".to_owned(), output::time)),
    };
    let fields = [
        ("user_id", Some(user.user_id.clone())),
        ("email", Some(user.email.clone())),
        ("name", Some(user.name.clone())),
        ("lastname", user.lastname.clone()),
        ("title", user.title.clone()),
        ("is_sso_user", Some(user.is_sso_user.to_string())),
        ("is_service_account", Some(user.is_service_account.to_string())),
        ("status", Some(user.status.clone())),
        ("permission_level", Some(user.permission_level.clone())),
        ("created_at", Some(output::time(user.created_at))),
        ("updated_at", Some(output::time(user.updated_at))),
        ("expires_at", user.expires_at.map(output::time)),
        ("credential", user.credential.as_deref().map(credential)),
        ("last_signed_in_at", last_signed_in_at),
    ];
    let fields = fields.into_iter().filter_map(|(field, value)| Some(vec![field.to_owned(), value?]));
    let attributes = user.attributes.iter().map(|(key, value)| vec![format!("{PREFIX}{key}"), to_cell(value)]);
    output::print_table(&["FIELD", "VALUE"], fields.chain(attributes))
}

/// How a person signs in, with what that means for the person.
fn credential(credential: &str) -> String {
    let meaning = match credential {
        "initial_password" => " (must be changed at the next sign-in)",
        "none" => " (`muster user link` makes a link to set a password)",
        _ => "",
    };
    format!("{credential}{meaning}")
}

async fn search(args: &SearchArgs) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let search = CollaboratorSearch {
        collaborator_type: args.collaborator_type,
        permission_level: args.permission.map(Into::into),
        is_service_account: args.service_account.then_some(true),
        status: args.status.clone(),
        ..CollaboratorSearch::new(&args.query)
    };
    let found = listing::collect(Some(args.max_items), async |count, token| {
        client.search_collaborators(&search, count, token.as_deref()).await
    });
    found.await?.print(args.remote.output)
}

async fn set_permission(client: &Client, user: &str, level: PermissionLevel, format: Format) -> Result<(), Exit> {
    let identity_id = client.get_user(&find::user_id(client, user).await?).await?.identity_id;
    let member = client.set_permission_level(&identity_id, level.into(), None).await?;
    output::print_one(format, &member)?;
    if level == PermissionLevel::Collaborator && member.permission_level == PermissionLevel::Owner.as_str() {
        output::say("the user remains an owner through a group; `muster policy get` lists the groups of owners");
    }
    Ok(())
}

async fn get(client: &Client, filter: &CollaboratorFilter, format: Format) -> Result<(), Exit> {
    if filter.email.is_none() && filter.name.is_none() {
        return Err(Exit::usage(
            "missing user; add an e-mail address, an ID or a name, or `--email`, `--name` or `--id`",
        ));
    }
    output::print_one(format, &find::collaborator(client, filter).await?)
}

/// The permission is the user's own, not that of a group.
const OWN_LEVEL: &str = "own level";

async fn list_permissions(client: &Client, user_id: Option<&str>, format: Format) -> Result<(), Exit> {
    let permissions = client.user_permissions(user_id).await?;
    let owners: HashMap<&str, &OwnerPermission> =
        permissions.org_owners.iter().map(|owner| (owner.user.user_id.as_str(), owner)).collect();
    let rows = permissions.users.iter().map(|user| {
        let owner = owners.get(user.user_id.as_str());
        let permission = if owner.is_some() { "owner" } else { "collaborator" };
        let through = owner.map_or_else(|| OWN_LEVEL.to_owned(), |owner| through(owner));
        vec![user.user_email.clone(), user.user_id.clone(), permission.to_owned(), through]
    });
    output::print_rows(format, &permissions, &["EMAIL", "USER ID", "PERMISSION", "THROUGH"], rows)
}

/// Where the permission of an owner comes from.
fn through(owner: &OwnerPermission) -> String {
    let own_level = owner.is_own_level.then(|| OWN_LEVEL.to_owned());
    let groups = owner.groups.iter().map(|group| format!("group {group}"));
    own_level.into_iter().chain(groups).collect::<Vec<_>>().join(", ")
}

/// A user in a list of users whose accounts expire.
#[derive(Serialize)]
#[serde(transparent)]
struct Expiring(Collaborator);

impl TableRow for Expiring {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "PERMISSION", "EXPIRES"];

    fn cells(&self, _: Format) -> Vec<String> {
        let Self(user) = self;
        vec![
            user.email.clone(),
            user.full_name.clone().unwrap_or_else(|| user.name.clone()),
            user.user_id.clone().unwrap_or_default(),
            user.permission_level.clone(),
            user.expires_at.map_or_else(String::new, output::time),
        ]
    }
}

/// A user in a table with all columns.
#[derive(Serialize)]
#[serde(transparent)]
struct WithSignIn(Collaborator);

impl TableRow for WithSignIn {
    const HEADER: &'static [&'static str] =
        &["EMAIL", "NAME", "USER ID", "STATUS", "PERMISSION", "CREATED", "LAST SIGN-IN"];

    fn cells(&self, format: Format) -> Vec<String> {
        let mut cells = self.0.cells(format);
        cells.push(self.0.last_signed_in_at.map_or_else(|| format.placeholder().to_owned(), output::time));
        cells
    }
}

impl TableRow for Collaborator {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "USER ID", "STATUS", "PERMISSION", "CREATED"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.email.clone(),
            self.full_name.clone().unwrap_or_else(|| self.name.clone()),
            self.user_id.clone().unwrap_or_default(),
            self.status.clone().unwrap_or_default(),
            self.permission_level.clone(),
            output::time(self.created_at),
        ]
    }
}
