//! `muster user …`: over HTTP, with an API key.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_client::{
    Client, ClientBuilder, Collaborator, CollaboratorFilter, CollaboratorSearch, CollaboratorType,
    PermissionLevel as Level, Trouble,
};

use super::credentials::Credentials;
use super::output::{self, Format};
use super::{Exit, batch_create, listing, user_change};
use crate::caller::PermissionLevel;
use crate::config::environment;
use crate::users_file::{TemplateFormat, template};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create the users of a file: all of them, or none and a report on every row.
    BatchCreate {
        #[command(flatten)]
        args: batch_create::Args,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Print an example of a users file, with every field explained.
    Template {
        /// How it is written.
        #[arg(long, value_enum, default_value = "yaml")]
        format: TemplateFormat,
    },
    /// List users.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// The most users; all of them if it is not given.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_items: Option<u32>,
        /// Users asked for at a time.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=50))]
        page_size: u8,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one user, by address, name or id.
    Get {
        /// The id: everything about the user.
        #[arg(long, conflicts_with_all = ["email", "name", "collaborator_type", "service_account"])]
        id: Option<String>,
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Search users by a piece of their name or address.
    Search(SearchArgs),
    /// Change a user, or the users of a file: all of them, or none and a report on every row.
    Update(user_change::UpdateArgs),
    /// Keep users out, with everything that is theirs kept: their API keys open nothing.
    Suspend(user_change::ListArgs),
    /// Let suspended users in again.
    Reactivate(user_change::ListArgs),
    /// Delete users, with everything that names them.
    Delete(user_change::DeleteArgs),
    /// Make a user an owner, or a collaborator again.
    SetPermission {
        /// Who: an address, or an id.
        user: String,
        /// What they may do: everything, or reading who is there.
        #[arg(value_enum)]
        level: PermissionLevel,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List who is there, and who of them is an owner, by their own level or through a group.
    ListPermissions {
        /// Only this user.
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Whom to search for.
#[derive(clap::Args, Debug)]
pub(super) struct SearchArgs {
    /// A piece of the name or of the address, in any case.
    query: String,
    /// The kind of account.
    #[arg(long, value_enum)]
    collaborator_type: Option<AccountType>,
    /// Only service accounts.
    #[arg(long)]
    service_account: bool,
    /// Only those who may do this.
    #[arg(long, value_enum)]
    permission: Option<PermissionLevel>,
    /// Only those in this state: active or suspended.
    #[arg(long, value_parser = ["active", "suspended"])]
    status: Option<String>,
    /// The most users.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    max_items: u32,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which server, and who asks.
#[derive(clap::Args, Debug)]
pub(super) struct ServerArgs {
    /// The server [default: ANYSCALE_HOST, else http://127.0.0.1:8080]. The API key comes from MUSTER_TOKEN, else
    /// ANYSCALE_CLI_TOKEN, else `muster login`: never from the command line, which other users of this machine can see.
    #[arg(long, value_name = "URL", env = "MUSTER_HOST")]
    host: Option<String>,
}

#[derive(clap::Args, Debug)]
pub(super) struct FilterArgs {
    /// The address, in any spelling.
    #[arg(long)]
    email: Option<String>,
    /// The display name, exactly.
    #[arg(long)]
    name: Option<String>,
    /// The kind of account.
    #[arg(long, value_enum)]
    collaborator_type: Option<AccountType>,
    /// Service accounts instead of people.
    #[arg(long)]
    service_account: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AccountType {
    #[value(name = "all_accounts")]
    All,
    #[value(name = "only_service_accounts")]
    OnlyService,
    #[value(name = "only_user_accounts")]
    OnlyUser,
}

impl From<AccountType> for CollaboratorType {
    fn from(kind: AccountType) -> Self {
        match kind {
            AccountType::All => Self::AllAccounts,
            AccountType::OnlyService => Self::OnlyServiceAccounts,
            AccountType::OnlyUser => Self::OnlyUserAccounts,
        }
    }
}

impl From<FilterArgs> for CollaboratorFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            email: args.email,
            name: args.name,
            collaborator_type: args.collaborator_type.map(CollaboratorType::from),
            is_service_account: args.service_account.then_some(true),
        }
    }
}

impl ServerArgs {
    fn host(&self) -> String {
        let host = self.host.clone().or_else(|| environment("ANYSCALE_HOST"));
        host.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned())
    }

    /// A client with the API key that there is for the server.
    pub(super) fn client(&self) -> Result<Client, Exit> {
        let host = self.host();
        if let Some(token) = environment("MUSTER_TOKEN").or_else(|| environment("ANYSCALE_CLI_TOKEN")) {
            return Ok(builder(host).token(token).build()?);
        }
        let host = self.client_without_token()?.host();
        let token = Credentials::load()?.find(&host).ok_or_else(|| {
            Exit::Usage(
                "no API key: `muster login` gets one, or set MUSTER_TOKEN (or ANYSCALE_CLI_TOKEN); on the server's \
                 machine, `muster key create --name NAME --role owner` makes one"
                    .to_owned(),
            )
        })?;
        Ok(builder(host).token(token.expose()).build()?)
    }

    /// A client that shows no API key.
    pub(super) fn client_without_token(&self) -> Result<Client, Exit> {
        Ok(builder(self.host()).build_without_token()?)
    }
}

/// A client that says, once, that it tries again.
pub(super) fn builder(host: String) -> ClientBuilder {
    let is_said = AtomicBool::new(false);
    Client::builder(host).on_trouble(move |trouble| {
        if !is_said.swap(true, Ordering::Relaxed) {
            output::say(match trouble {
                Trouble::NoAnswer => "the server does not answer; trying again",
                _ => "the server is not ready; trying again",
            });
        }
    })
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::BatchCreate { args, server } => batch_create::run(&args, &server.client()?).await,
        Command::Template { format } => output::print(template(format)),
        Command::List { filter, max_items, page_size, output, server } => {
            list(&server.client()?, &filter.into(), max_items, page_size, output).await
        }
        Command::Get { id: Some(id), output, server, .. } => {
            let user = server.client()?.get_user(&id).await?;
            output::print_list(output, &user, &user_change::HEADER, [user_change::row(&user)])
        }
        Command::Get { id: None, filter, output, server } => get(&server.client()?, &filter.into(), output).await,
        Command::Search(args) => search(&args).await,
        Command::Update(args) => user_change::update(&args).await,
        Command::Suspend(args) => user_change::suspend(&args).await,
        Command::Reactivate(args) => user_change::reactivate(&args).await,
        Command::Delete(args) => user_change::delete(&args).await,
        Command::SetPermission { user, level, output, server } => {
            set_permission(&server.client()?, &user, level, output).await
        }
        Command::ListPermissions { user_id, output, server } => {
            list_permissions(&server.client()?, user_id.as_deref(), output).await
        }
    }
}

async fn search(args: &SearchArgs) -> Result<(), Exit> {
    let client = args.server.client()?;
    let search = CollaboratorSearch {
        collaborator_type: args.collaborator_type.map(CollaboratorType::from),
        permission_level: args.permission.map(on_the_wire),
        is_service_account: args.service_account.then_some(true),
        status: args.status.clone(),
        ..CollaboratorSearch::new(&args.query)
    };
    let found = listing::collect(Some(args.max_items), async |count, token| {
        client.search_collaborators(&search, count, token.as_deref()).await
    });
    found.await?.print(args.output, &HEADER, row)
}

const fn on_the_wire(level: PermissionLevel) -> Level {
    match level {
        PermissionLevel::Owner => Level::Owner,
        PermissionLevel::Collaborator => Level::Collaborator,
    }
}

async fn set_permission(client: &Client, user: &str, level: PermissionLevel, format: Format) -> Result<(), Exit> {
    let identity_id = if user.contains('@') {
        let found = client.find_collaborator(&CollaboratorFilter::by_email(user)).await?;
        found.ok_or_else(|| Exit::Refused(Some("no such user".to_owned())))?.id
    } else {
        client.get_user(user).await?.identity_id
    };
    let member = client.set_permission_level(&identity_id, on_the_wire(level), None).await?;
    output::print_list(format, &member, &HEADER, [row(&member)])?;
    if level == PermissionLevel::Collaborator && member.permission_level == PermissionLevel::Owner.as_str() {
        output::say("still an owner, through a group: `muster policy get` names the groups whose members are");
    }
    Ok(())
}

async fn list(
    client: &Client,
    filter: &CollaboratorFilter,
    max_items: Option<u32>,
    page_size: u8,
    format: Format,
) -> Result<(), Exit> {
    let users = listing::collect_by(page_size, max_items, async |count, token| {
        client.list_collaborators(filter, count, token.as_deref()).await
    });
    users.await?.print(format, &HEADER, row)
}

async fn get(client: &Client, filter: &CollaboratorFilter, format: Format) -> Result<(), Exit> {
    if filter.email.is_none() && filter.name.is_none() {
        return Err(Exit::Usage("give `--email`, `--name` or `--id`".to_owned()));
    }
    match client.find_collaborator(filter).await? {
        Some(user) => output::print_list(format, &user, &HEADER, [row(&user)]),
        None => Err(Exit::Refused(Some("no such user".to_owned()))),
    }
}

async fn list_permissions(client: &Client, user_id: Option<&str>, format: Format) -> Result<(), Exit> {
    let permissions = client.user_permissions(user_id).await?;
    let owners: HashSet<&str> = permissions.org_owners.iter().map(|owner| owner.user_id.as_str()).collect();
    let rows = permissions.users.iter().map(|user| {
        let permission = if owners.contains(user.user_id.as_str()) { "owner" } else { "collaborator" };
        vec![user.user_email.clone(), user.user_id.clone(), permission.to_owned()]
    });
    output::print_list(format, &permissions, &["EMAIL", "USER ID", "PERMISSION"], rows)
}

pub(super) const HEADER: [&str; 6] = ["EMAIL", "NAME", "USER ID", "STATUS", "PERMISSION", "CREATED"];

/// A user as a row of a table.
pub(super) fn row(user: &Collaborator) -> Vec<String> {
    vec![
        user.email.clone(),
        user.full_name.clone().unwrap_or_else(|| user.name.clone()),
        user.user_id.clone().unwrap_or_default(),
        user.status.clone().unwrap_or_default(),
        user.permission_level.clone(),
        output::time(user.created_at),
    ]
}
