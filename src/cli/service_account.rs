//! `muster service-account …`: accounts for programs, through a server's HTTP API.

use muster_client::{Client, Collaborator, CollaboratorFilter, ServiceAccount};

use super::api_key::{KeyArgs, show_token};
use super::output::{self, Format, TableRow};
use super::remote::{RemoteArgs, ServerArgs};
use super::{Exit, listing};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create a service account. It has no API key until `create-key` creates one.
    Create {
        /// Account name: letters, digits, `.`, `-` and `_`.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List service accounts.
    List {
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Create an API key for a service account. Prints its token to standard output, only once.
    CreateKey(AccountKeyArgs),
    /// Revoke all API keys of a service account and create a new one. For a rotation without downtime, use
    /// `muster api-key rotate`.
    RotateKeys(AccountKeyArgs),
    /// Delete a service account and all its API keys.
    Delete {
        /// Name of the service account.
        #[arg(long)]
        name: String,
        /// Delete without confirmation.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// A new API key of a service account.
#[derive(clap::Args, Debug)]
pub(super) struct AccountKeyArgs {
    /// Name of the service account.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, remote } => {
            output::print_one(remote.output, &remote.client()?.create_service_account(&name).await?)
        }
        Command::List { remote } => {
            let (client, filter) = (remote.client()?, filter());
            let accounts = listing::collect(None, async |count, token| {
                client.list_collaborators(&filter, count, token.as_deref()).await
            });
            accounts.await?.print(remote.output)
        }
        Command::CreateKey(args) => create_key(&args, false).await,
        Command::RotateKeys(args) => create_key(&args, true).await,
        Command::Delete { name, yes, server } => {
            if !yes {
                output::require_terminal("`--yes`")?;
            }
            let client = server.client()?;
            let account = find(&client, &name).await?;
            let name = output::clean(&name);
            if !yes && !output::confirm(&format!("delete {name} and all its API keys? [y/N] ")) {
                return Err(Exit::rejected("no service account was deleted"));
            }
            client.remove_collaborator(&account.id, None).await?;
            output::say(&format!("deleted {name} and its API keys"));
            Ok(())
        }
    }
}

impl TableRow for ServiceAccount {
    const HEADER: &'static [&'static str] = &["NAME", "USER ID", "EMAIL", "PERMISSION", "CREATED"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.name.clone(),
            self.user_id.clone(),
            self.email.clone(),
            self.permission_level.clone(),
            output::time(self.created_at),
        ]
    }
}

/// Matches all service accounts.
fn filter() -> CollaboratorFilter {
    CollaboratorFilter { is_service_account: Some(true), ..CollaboratorFilter::default() }
}

async fn find(client: &Client, name: &str) -> Result<Collaborator, Exit> {
    let filter = CollaboratorFilter { name: Some(name.to_owned()), ..filter() };
    let found = client.find_collaborator(&filter).await?;
    found.ok_or_else(|| Exit::rejected(format!("no service account named `{}`", output::clean(name))))
}

/// Creates an API key; `rotate` revokes all others first.
async fn create_key(args: &AccountKeyArgs, rotate: bool) -> Result<(), Exit> {
    let client = args.remote.client()?;
    let user_id = find(&client, &args.name).await?.user_id;
    let user_id =
        user_id.ok_or_else(|| Exit::usage("the server's response lacks the user ID of the service account"))?;
    if rotate {
        let revoked = client.rotate_api_keys_for_user(&user_id).await?;
        output::say(&format!("revoked {}", output::count(revoked, "API key")));
    }
    let key = args.key.new_key("api key").for_user(user_id);
    show_token(args.remote.output, &client.create_api_key(&key).await?)
}
