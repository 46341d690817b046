//! `muster key …`.

use chrono::Duration;
use serde_json::json;

use super::local::with_operator;
use super::output::{self, Format};
use super::{Exit, OperatorArgs};
use crate::caller::PermissionLevel;
use crate::id::{ApiKey, Id};
use crate::keys;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Make an API key. Its token goes to standard output, once.
    Create {
        /// What it is for, such as `ci` or a person's name.
        #[arg(long)]
        name: String,
        /// How long it works: 90d, 12h [default: setting keys.default_days].
        #[arg(long, value_name = "SPAN", value_parser = output::parse_span)]
        expires_in: Option<Duration>,
        /// What it allows: everything, or reading who is there.
        #[arg(long, value_enum, default_value = "collaborator")]
        role: PermissionLevel,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// List API keys: names, permissions, expiry, latest use. Tokens are not kept.
    List {
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// Revoke an API key: from now on it opens nothing.
    Revoke {
        /// Its id, as `muster key list` shows it.
        key_id: Id<ApiKey>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, expires_in, role, output, config } => {
            create(&config, &name, role, expires_in, output).await
        }
        Command::List { output, config } => list(&config, output).await,
        Command::Revoke { key_id, output, config } => revoke(&config, key_id, output).await,
    }
}

async fn create(
    config: &OperatorArgs,
    name: &str,
    role: PermissionLevel,
    lifetime: Option<Duration>,
    format: Format,
) -> Result<(), Exit> {
    let key =
        with_operator(config.load()?, async |app, caller| Ok(keys::create(app, caller, name, role, lifetime).await?))
            .await?;
    match format {
        Format::Json => output::print_json(&json!({
            "key_id": key.key_id,
            "token": key.token.expose(),
            "name": key.name,
            "role": key.permission_level.as_str(),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        })),
        Format::Table => {
            output::say(&format!(
                "{} ({}, {}) works until {}; its token, shown this once:",
                key.key_id,
                output::clean(&key.name),
                key.permission_level.as_str(),
                output::time(key.expires_at)
            ));
            output::print(key.token.expose())
        }
        Format::Csv => output::print_csv(
            &["KEY ID", "TOKEN", "NAME", "ROLE", "CREATED", "EXPIRES"],
            [vec![
                key.key_id.to_string(),
                key.token.expose().to_owned(),
                key.name,
                key.permission_level.as_str().to_owned(),
                output::time(key.created_at),
                output::time(key.expires_at),
            ]],
        ),
    }
}

async fn list(config: &OperatorArgs, format: Format) -> Result<(), Exit> {
    let (keys, now) =
        with_operator(config.load()?, async |app, caller| Ok((keys::list(app, caller).await?, app.clock.now())))
            .await?;
    let shown: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "key_id": key.key_id,
                "name": key.name,
                "role": key.permission_level,
                "status": key.status(now),
                "created_at": key.created_at,
                "expires_at": key.expires_at,
                "last_used_at": key.last_used_at,
                "revoked_at": key.revoked_at,
            })
        })
        .collect();
    let rows = keys.iter().map(|key| {
        vec![
            key.key_id.to_string(),
            key.name.clone(),
            key.permission_level.clone(),
            key.status(now).to_owned(),
            output::time(key.expires_at),
            key.last_used_at.map_or_else(|| "never".to_owned(), output::time),
        ]
    });
    output::print_list(format, &shown, &["KEY ID", "NAME", "ROLE", "STATUS", "EXPIRES", "LAST USED"], rows)
}

async fn revoke(config: &OperatorArgs, key_id: Id<ApiKey>, format: Format) -> Result<(), Exit> {
    with_operator(config.load()?, async |app, caller| Ok(keys::revoke(app, caller, key_id).await?)).await?;
    match format {
        Format::Json => output::print_json(&json!({ "key_id": key_id, "status": "revoked" })),
        Format::Table => {
            output::say(&format!("{key_id} is revoked"));
            Ok(())
        }
        Format::Csv => output::print_csv(&["KEY ID", "STATUS"], [vec![key_id.to_string(), "revoked".to_owned()]]),
    }
}
