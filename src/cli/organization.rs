//! `muster organization …`: organizations, directly in the database, as the local operator.

use serde_json::json;

use super::Exit;
use super::args::{ConfigArgs, Operator};
use super::local::{with_database, with_operator};
use super::output::{self, Format, TableRow};
use crate::keys::NewKey;
use crate::organizations::{self, Identifier, Summary};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create an organization, its first owner and an API key for that owner. Prints the key's token to standard output,
    /// only once, and the address at which the organization's people sign in.
    Create {
        /// Display name.
        name: String,
        /// Unique short name: lower-case letters, digits and `-` [default: derived from the name].
        #[arg(long, value_name = "IDENTIFIER")]
        identifier: Option<Identifier>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List all organizations.
    List {
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Rename an organization. Its ID and identifier do not change.
    Rename {
        /// Organization ID or identifier.
        #[arg(value_name = "ID|IDENTIFIER")]
        organization: String,
        /// New display name.
        name: String,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, identifier, output, config } => create(&config, &name, identifier, output).await,
        Command::List { output, config } => list(&config, output).await,
        Command::Rename { organization, name, output, config } => {
            let operator = Operator { config: config.load()?, organization: Some(organization) };
            let renamed =
                with_operator(operator, async |app, caller| Ok(organizations::rename(app, caller, &name).await?));
            output::print_one(output, &renamed.await?)
        }
    }
}

async fn create(config: &ConfigArgs, name: &str, identifier: Option<Identifier>, format: Format) -> Result<(), Exit> {
    let identifier = identifier.or_else(|| Identifier::of_name(name)).ok_or_else(|| {
        Exit::usage("can't derive an identifier from the name: it has no letters (a-z) or digits; add `--identifier`")
    })?;
    let config = config.load()?;
    let public_url = config.server.public_url.trim_end_matches('/').to_owned();
    let (organization, NewKey { key, token }) = with_database(config, async |app| {
        let caller = organizations::operator(app).await?;
        Ok(organizations::create(app, &caller, name, &identifier).await?)
    })
    .await?;
    let (id, token) = (organization.organization_id, token.expose());
    match format {
        Format::Json => {
            let mut shown = serde_json::to_value(&organization).map_err(Exit::usage)?;
            if let Some(fields) = shown.as_object_mut() {
                let key = json!({ "key_id": key.key_id, "token": token, "expires_at": key.expires_at });
                fields.insert("key".to_owned(), key);
            }
            output::print_json(&shown)
        }
        Format::Table | Format::Wide => {
            output::say(&format!(
                "created {id} ({identifier}); its owner key {} expires at {}; the token, shown only once:",
                key.key_id,
                output::time(key.expires_at)
            ));
            output::print(token)?;
            output::say(&format!(
                "people of the organization sign in at {public_url}/sign-in?organization={identifier}"
            ));
            Ok(())
        }
        Format::Csv => {
            let (id, identifier, key_id) = (id.to_string(), identifier.to_string(), key.key_id.to_string());
            let row = vec![id, organization.name, identifier, key_id, token.to_owned()];
            output::print_csv(&["ORGANIZATION ID", "NAME", "IDENTIFIER", "KEY ID", "TOKEN"], [row])
        }
    }
}

async fn list(config: &ConfigArgs, format: Format) -> Result<(), Exit> {
    let organizations = with_database(config.load()?, async |app| {
        let caller = organizations::operator(app).await?;
        Ok(organizations::list(app, &caller).await?)
    })
    .await?;
    output::print_list(format, &organizations)
}

impl TableRow for Summary {
    const HEADER: &'static [&'static str] = &["ORGANIZATION ID", "NAME", "IDENTIFIER", "CREATED"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![
            self.organization_id.to_string(),
            self.name.clone(),
            self.public_identifier.clone(),
            output::time(self.created_at),
        ]
    }
}
