//! `muster quickstart`: starts a server and creates two users through its HTTP API.

use chrono::Duration;
use muster_client::{AdminCreateUser, Client, CollaboratorFilter};

use super::Exit;
use super::args::ServeArgs;
use super::output::{self, Format};
use super::serve::Server;
use crate::caller::PermissionLevel;
use crate::config::Config;
use crate::keys::{self, KeySpec, Lifetime, NewKey, Whose};
use crate::organizations;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
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
    let server = Server::start(config).await?;
    server.announce()?;
    let handle = server.handle();
    let (app, url, first) = (server.local.app.clone(), server.url(), server.first_key.is_some());
    let exit = args.exit;
    // The option that selects this database, if it is not the default one.
    let data_dir =
        args.serve.config.data_dir.as_ref().map_or_else(String::new, |dir| format!(" --data-dir {}", dir.display()));
    let demonstration = tokio::spawn(async move {
        let caller = organizations::operator(&app).await?;
        let name = "quickstart demonstration";
        let lifetime = Lifetime::Exactly(Duration::minutes(10));
        let spec = KeySpec { lifetime, ..KeySpec::new(name, PermissionLevel::Owner) };
        let key = keys::create(&app, &caller, spec).await?;
        let shown = demonstrate(&url, &key).await;
        keys::revoke(&app, &caller, key.key.key_id, Whose::Visible).await?;
        if shown.is_ok() && !exit {
            print_next_steps(&url, &data_dir, first)?;
        }
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

async fn demonstrate(url: &str, key: &NewKey) -> Result<(), Exit> {
    let client = Client::new(url, key.token.expose())?;
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

fn print_next_steps(url: &str, data_dir: &str, first: bool) -> Result<(), Exit> {
    let key = match first {
        true => "the owner key above".to_owned(),
        false => format!("your key; to create one: muster key create --name me --role owner{data_dir}"),
    };
    output::print(&format!(
        "\nserving; press Ctrl-C to stop. In another terminal:\n  \
         export MUSTER_HOST={url}\n  \
         export MUSTER_TOKEN=…            # {key}\n  \
         muster user batch-create -f users.yaml\n  \
         muster audit list"
    ))
}
