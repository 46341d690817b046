//! `muster service-account …`: accounts of programs, through a server's HTTP API.

use muster_client::{Client, Collaborator, CollaboratorFilter};

use super::api_key::{RightsArgs, show_token};
use super::output::{self, Format};
use super::user::{self, ServerArgs};
use super::{Exit, listing};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Make a service account. It opens nothing until `create-key` has made a key for it.
    Create {
        /// What it is called: letters, digits, `.`, `-` and `_`.
        #[arg(long)]
        name: String,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List service accounts.
    List {
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Make an API key for a service account. Its token goes to standard output, once.
    CreateKey {
        /// The service account's name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        rights: RightsArgs,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke all API keys of a service account and make a new one. For a change without an interruption there is
    /// `muster api-key rotate`.
    RotateKeys {
        /// The service account's name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        rights: RightsArgs,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Delete a service account, with all its API keys.
    Delete {
        /// The service account's name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, output, server } => create(&server.client()?, &name, output).await,
        Command::List { output, server } => list(&server.client()?, output).await,
        Command::CreateKey { name, rights, output, server } => {
            let client = server.client()?;
            let user_id = user_id(find(&client, &name).await?)?;
            make_key(&client, user_id, &rights, output).await
        }
        Command::RotateKeys { name, rights, output, server } => {
            let client = server.client()?;
            let user_id = user_id(find(&client, &name).await?)?;
            let keys = client.rotate_api_keys_for_user(&user_id).await?;
            output::say(&format!("{keys} {} revoked", if keys == 1 { "key is" } else { "keys are" }));
            make_key(&client, user_id, &rights, output).await
        }
        Command::Delete { name, server } => {
            let client = server.client()?;
            client.remove_collaborator(&find(&client, &name).await?.id, None).await?;
            output::say(&format!("{} is deleted, with its API keys", output::clean(&name)));
            Ok(())
        }
    }
}

async fn create(client: &Client, name: &str, format: Format) -> Result<(), Exit> {
    let account = client.create_service_account(name).await?;
    let row = vec![
        account.name.clone(),
        account.user_id.clone(),
        account.email.clone(),
        account.permission_level.clone(),
        output::time(account.created_at),
    ];
    output::print_list(format, &account, &["NAME", "USER ID", "EMAIL", "PERMISSION", "CREATED"], [row])
}

/// Which are service accounts.
fn filter() -> CollaboratorFilter {
    CollaboratorFilter { is_service_account: Some(true), ..CollaboratorFilter::default() }
}

async fn list(client: &Client, format: Format) -> Result<(), Exit> {
    let filter = filter();
    let accounts =
        listing::collect(None, async |count, token| client.list_collaborators(&filter, count, token.as_deref()).await);
    accounts.await?.print(format, &user::HEADER, user::row)
}

/// A service account by its name.
async fn find(client: &Client, name: &str) -> Result<Collaborator, Exit> {
    let filter = CollaboratorFilter { name: Some(name.to_owned()), ..filter() };
    let found = client.find_collaborator(&filter).await?;
    found.ok_or_else(|| Exit::Refused(Some("no such service account".to_owned())))
}

fn user_id(account: Collaborator) -> Result<String, Exit> {
    account.user_id.ok_or_else(|| Exit::Usage("the server does not tell the account's user id".to_owned()))
}

async fn make_key(client: &Client, user_id: String, rights: &RightsArgs, format: Format) -> Result<(), Exit> {
    let key = rights.new_key("api key").for_user(user_id);
    show_token(format, &client.create_api_key(&key).await?)
}
