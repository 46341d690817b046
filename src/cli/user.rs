//! `muster user …`: over HTTP, with an API key.

use muster_client::{Client, Collaborator, CollaboratorFilter, CollaboratorType};

use super::credentials::Credentials;
use super::output::{self, Format};
use super::{Exit, batch_create};
use crate::batches::file::{TemplateFormat, template};
use crate::config::environment;

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
    /// Show one user, by address or name.
    Get {
        #[command(flatten)]
        filter: FilterArgs,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
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

impl From<FilterArgs> for CollaboratorFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            email: args.email,
            name: args.name,
            collaborator_type: args.collaborator_type.map(|kind| match kind {
                AccountType::All => CollaboratorType::AllAccounts,
                AccountType::OnlyService => CollaboratorType::OnlyServiceAccounts,
                AccountType::OnlyUser => CollaboratorType::OnlyUserAccounts,
            }),
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
            return Ok(Client::new(&host, token)?);
        }
        let host = self.client_without_token()?.host();
        let token = Credentials::load()?.find(&host).ok_or_else(|| {
            Exit::Usage(
                "no API key: `muster login` gets one, or set MUSTER_TOKEN (or ANYSCALE_CLI_TOKEN); on the server's \
                 machine, `muster key create --name NAME --role owner` makes one"
                    .to_owned(),
            )
        })?;
        Ok(Client::new(&host, token.expose())?)
    }

    /// A client that shows no API key.
    pub(super) fn client_without_token(&self) -> Result<Client, Exit> {
        Ok(Client::builder(self.host()).build_without_token()?)
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::BatchCreate { args, server } => batch_create::run(&args, &server.client()?).await,
        Command::Template { format } => output::print(template(format)),
        Command::List { filter, max_items, page_size, output, server } => {
            list(&server.client()?, &filter.into(), max_items, page_size, output).await
        }
        Command::Get { filter, output, server } => get(&server.client()?, &filter.into(), output).await,
    }
}

async fn list(
    client: &Client,
    filter: &CollaboratorFilter,
    max_items: Option<u32>,
    page_size: u8,
    format: Format,
) -> Result<(), Exit> {
    let most = max_items.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let mut users: Vec<Collaborator> = Vec::new();
    let mut token: Option<String> = None;
    while users.len() < most {
        let count = u8::try_from(most - users.len()).unwrap_or(page_size).min(page_size);
        let page = client.list_collaborators(filter, count, token.as_deref()).await?;
        users.extend(page.results);
        token = page.metadata.next_paging_token;
        if token.is_none() {
            break;
        }
    }
    output::print_list(format, &users, &HEADER, users.iter().map(row))
}

async fn get(client: &Client, filter: &CollaboratorFilter, format: Format) -> Result<(), Exit> {
    if filter.email.is_none() && filter.name.is_none() {
        return Err(Exit::Usage("give `--email` or `--name`".to_owned()));
    }
    match client.find_collaborator(filter).await? {
        Some(user) => output::print_list(format, &user, &HEADER, [row(&user)]),
        None => Err(Exit::Refused(Some("no such user".to_owned()))),
    }
}

pub(super) const HEADER: [&str; 5] = ["EMAIL", "NAME", "USER ID", "PERMISSION", "CREATED"];

/// A user as a row of a table.
pub(super) fn row(user: &Collaborator) -> Vec<String> {
    vec![
        user.email.clone(),
        user.full_name.clone().unwrap_or_else(|| user.name.clone()),
        user.user_id.clone().unwrap_or_default(),
        user.permission_level.clone(),
        output::time(user.created_at),
    ]
}
