//! `muster quickstart`: starts a server, creates two users through its HTTP API, and makes a link for its first owner.
//!
//! # Decisions
//!
//! *The link is one of `muster user link`, not of `--recover`*: a person who tries muster sees what the people they onboard will see, and
//! nothing about recovery in the log.

use chrono::Duration;
use muster_client::{AdminCreateUser, Client, Collaborator, CollaboratorFilter, ExposeSecret, LinksFor};
use serde_json::json;

use super::Exit;
use super::args::ServeArgs;
use super::output::{self, Format};
use super::serve::Server;
use crate::caller::PermissionLevel;
use crate::config::Config;
use crate::keys::{self, KeySpec, Lifetime, Whose};
use crate::organizations;
use crate::users::ADMINISTRATOR;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
    /// Your e-mail address, with which you sign in; without it, administrator@muster.invalid. It can be changed later with
    /// `muster user update`.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Stop the server after the demonstration.
    #[arg(long)]
    exit: bool,
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    let mut config = args.serve.load()?;
    // Log lines would hide the demonstration, unless a log level is set.
    if config.log.level == Config::built_in().map_err(Exit::usage)?.log.level {
        config.log.level = "warn".to_owned();
    }
    if !config.server.tls_certificate_file.is_empty() {
        return Err(Exit::usage(
            "quickstart does not support TLS; unset `server.tls_certificate_file`, or use `muster serve`",
        ));
    }
    let server = Server::start(config, &args.serve).await?;
    // A link is made below.
    server.announce(false)?;
    let handle = server.handle();
    let (app, url, first) = (server.local.app.clone(), server.url(), server.first_key.is_some());
    let (exit, email) = (args.exit, args.email.clone());
    let options = Options { database: args.serve.config.for_shell(), server: server.options.clone() };
    let demonstration = tokio::spawn(async move {
        let caller = organizations::operator(&app).await?;
        let name = "quickstart demonstration";
        let lifetime = Lifetime::Exactly(Duration::minutes(10));
        let spec = KeySpec { lifetime, ..KeySpec::new(name, PermissionLevel::Owner) };
        let key = keys::create(&app, &caller, spec).await?;
        let client = Client::new(&url, key.token.expose())?;
        let mut shown = demonstrate(&client, &url, email.as_deref()).await;
        if shown.is_ok() && !exit {
            shown = print_next_steps(&client, &url, &options, first, email.as_deref()).await;
        }
        keys::revoke(&app, &caller, key.key.key_id, Whose::Visible).await?;
        if exit || shown.is_err() {
            handle.stop(true).await;
        }
        shown
    });
    let served = server.run().await;
    match demonstration.await {
        Ok(shown) => shown.and(served),
        Err(error) => Err(Exit::usage(error)),
    }
}

/// The two users of Anyscale's documentation.
fn example() -> [AdminCreateUser; 2] {
    ["1", "2"].map(|n| {
        AdminCreateUser::new(format!("name{n}"), format!("test{n}@anyscale.com"))
            .lastname(format!("lastname{n}"))
            .title(format!("title{n}"))
    })
}

async fn demonstrate(client: &Client, url: &str, email: Option<&str>) -> Result<(), Exit> {
    if let Some(email) = email
        && client.find_collaborator(&CollaboratorFilter::by_email(ADMINISTRATOR)).await?.is_some()
    {
        client.update_users(&[json!({ "user": ADMINISTRATOR, "email": email })], false).await?;
    }
    output::print(&format!("\ncreating two users with POST {url}/api/v2/users/admin_batch_create"))?;
    match client.admin_batch_create(&example()).await {
        Ok(created) => output::print(&format!("created {} users:", created.len()))?,
        Err(muster_client::Error::Rejected(rejection)) if rejection.status == 409 => {
            output::print(&format!("rejected, nothing was written: {}", rejection.detail))?;
            output::print("the users exist already, from an earlier run:")?;
        }
        Err(error) => return Err(error.into()),
    }
    let mut users = Vec::new();
    for user in example() {
        let filter = CollaboratorFilter { email: Some(user.email), ..CollaboratorFilter::default() };
        if let Some(found) = client.find_collaborator(&filter).await? {
            users.push(found);
        }
    }
    output::print_list(Format::Table, &users)
}

/// Options of further commands, each after a blank.
struct Options {
    /// Those that select the database.
    database: String,
    /// Those of the server, too.
    server: String,
}

async fn print_next_steps(
    client: &Client,
    url: &str,
    options: &Options,
    first: bool,
    email: Option<&str>,
) -> Result<(), Exit> {
    let Options { database, server } = options;
    let key = match first {
        true => "the owner key above".to_owned(),
        false => format!("your key; to create one: muster key create --name me --role owner{database}"),
    };
    output::print(&format!(
        "\nserving; press Ctrl-C to stop. In another terminal:\n  \
         export MUSTER_HOST={url}\n  \
         export MUSTER_TOKEN=…            # {key}\n  \
         muster user batch-create -f users.yaml\n  \
         muster audit list"
    ))?;
    let email = email.unwrap_or(ADMINISTRATOR);
    let without_password = CollaboratorFilter { without_password: Some(true), ..CollaboratorFilter::by_email(email) };
    match client.find_collaborator(&without_password).await? {
        Some(owner) => print_link(client, &owner).await,
        None => output::print(&format!(
            "\nsign in with a browser at {url}/sign-in; if nobody can, in another terminal:\n  \
             muster user link ADDRESS --recover{server}"
        )),
    }
}

/// Prints a link with which the owner signs in.
async fn print_link(client: &Client, owner: &Collaborator) -> Result<(), Exit> {
    let email = &owner.email;
    let made = client.create_password_links(LinksFor::Users(std::slice::from_ref(email)), None).await?;
    let Some(link) = made.results.first() else { return Err(Exit::usage("the server made no link")) };
    let own_address = match email == ADMINISTRATOR {
        true => format!("\nthen, to sign in with your own address: muster user update {email} --email ADDRESS"),
        false => String::new(),
    };
    output::print(&format!(
        "\nto sign in with a browser as {email}, open this link and choose a password (once, until {}):\n  {}{own_address}",
        output::time(link.expires_at),
        link.link.expose_secret(),
    ))
}
