//! `muster api-key …`: API keys through a server's HTTP API; and how keys are shown.

use chrono::Duration;
use muster_client::{ApiKey, ApiKeyWithToken, Client, NewApiKey};
use serde_json::json;

use super::output::{self, Format};
use super::user::ServerArgs;
use super::{Exit, listing};
use crate::caller::{PermissionLevel, Scope};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Make an API key of one's own, or as an owner for a service account. Its token goes to standard output, once.
    Create {
        /// What it is for, such as `ci`.
        #[arg(long)]
        name: String,
        /// The service account whose it will be, by its `usr_…` id; one's own if it is not given.
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        #[command(flatten)]
        rights: RightsArgs,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List API keys: one's own, as an owner all of them.
    List {
        /// Only those of this user, by the `usr_…` id.
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one API key.
    Get {
        /// Its id, as `muster api-key list` shows it.
        key_id: String,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Give an API key a new secret. Its token goes to standard output, once.
    Rotate {
        /// Its id, as `muster api-key list` shows it.
        key_id: String,
        /// How long the old secret opens as well: 1h, 0s for not at all, 7d at most [default: the server's setting
        /// keys.rotation_overlap_hours].
        #[arg(long, value_name = "SPAN", value_parser = output::parse_span)]
        overlap: Option<Duration>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke an API key: it opens nothing any longer.
    Revoke {
        /// Its id, as `muster api-key list` shows it.
        key_id: String,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a key that is made may, and for how long.
#[derive(clap::Args, Debug)]
pub(super) struct RightsArgs {
    /// How long it works: 90d, 12h [default: the server's setting keys.default_days].
    #[arg(long, value_name = "SPAN", value_parser = output::parse_span)]
    expires_in: Option<Duration>,
    /// What it allows: everything, or reading who is there. Never more than its user may [default: what your own key
    /// allows].
    #[arg(long, value_enum)]
    role: Option<PermissionLevel>,
    /// What of that it may be used for, such as users:read; can be given several times [default: what your own key
    /// may be used for].
    #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
    scopes: Vec<Scope>,
}

impl RightsArgs {
    /// A key with this name and these rights.
    pub(super) fn new_key(&self, name: &str) -> NewApiKey {
        let names = || self.scopes.iter().map(ToString::to_string).collect();
        NewApiKey {
            permission_level: self.role.map(|role| match role {
                PermissionLevel::Owner => muster_client::PermissionLevel::Owner,
                PermissionLevel::Collaborator => muster_client::PermissionLevel::Collaborator,
            }),
            scopes: (!self.scopes.is_empty()).then(names),
            expires_in_seconds: self.expires_in.map(|span| span.num_seconds().unsigned_abs()),
            ..NewApiKey::new(name)
        }
    }
}

/// A scope by its name.
pub(super) fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("has to be one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, user_id, rights, output, server } => {
            let key = NewApiKey { user_id, ..rights.new_key(&name) };
            show_token(output, &server.client()?.create_api_key(&key).await?)
        }
        Command::List { user_id, output, server } => {
            show_list(output, &list(&server.client()?, user_id.as_deref()).await?)
        }
        Command::Get { key_id, output, server } => show_key(output, &server.client()?.get_api_key(&key_id).await?),
        Command::Rotate { key_id, overlap, output, server } => {
            let overlap = overlap.map(|span| std::time::Duration::from_secs(span.num_seconds().unsigned_abs()));
            show_token(output, &server.client()?.rotate_api_key(&key_id, overlap).await?)
        }
        Command::Revoke { key_id, output, server } => {
            server.client()?.revoke_api_key(&key_id).await?;
            show_revoked(output, &key_id)
        }
    }
}

async fn list(client: &Client, user_id: Option<&str>) -> Result<Vec<ApiKey>, Exit> {
    let keys =
        listing::collect(None, async |count, token| client.list_api_keys(user_id, count, token.as_deref()).await);
    Ok(keys.await?.rows)
}

/// A key with its token: the token alone goes to standard output, the words do not.
pub(super) fn show_token(format: Format, made: &ApiKeyWithToken) -> Result<(), Exit> {
    let key = &made.key;
    match format {
        Format::Json => {
            let mut shown = serde_json::to_value(key).map_err(Exit::usage)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("token".to_owned(), json!(made.expose_token()));
            }
            output::print_json(&shown)
        }
        Format::Table => {
            let both = key.previous_expires_at.map_or_else(String::new, |until| {
                format!("; the old token works until {} as well", output::time(until))
            });
            output::say(&format!(
                "{} ({}, {}) works until {}{both}; its token, shown this once:",
                output::clean(&key.key_id),
                output::clean(&key.name),
                output::clean(&key.permission_level),
                output::time(key.expires_at)
            ));
            output::print(made.expose_token())
        }
        Format::Csv => output::print_csv(
            &["KEY ID", "TOKEN", "NAME", "ROLE", "CREATED", "EXPIRES"],
            [vec![
                key.key_id.clone(),
                made.expose_token().to_owned(),
                key.name.clone(),
                key.permission_level.clone(),
                output::time(key.created_at),
                output::time(key.expires_at),
            ]],
        ),
    }
}

const HEADER: [&str; 9] =
    ["KEY ID", "NAME", "USER ID", "ROLE", "SCOPES", "STATUS", "EXPIRES", "LAST USED", "CREATED BY"];

/// What a key opens: nothing while its user is suspended.
fn status(key: &ApiKey) -> String {
    match key.user_status.as_deref() {
        Some("suspended") if key.status == "active" => "active (user suspended)".to_owned(),
        _ => key.status.clone(),
    }
}

fn row(key: &ApiKey, format: Format) -> Vec<String> {
    vec![
        key.key_id.clone(),
        key.name.clone(),
        key.user_id.clone().unwrap_or_else(|| format.nothing().to_owned()),
        key.permission_level.clone(),
        key.scopes.as_ref().map_or_else(|| "all".to_owned(), |scopes| scopes.join(" ")),
        status(key),
        output::time(key.expires_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), output::time),
        key.created_by.clone().unwrap_or_else(|| "operator".to_owned()),
    ]
}

pub(super) fn show_list(format: Format, keys: &[ApiKey]) -> Result<(), Exit> {
    output::print_list(format, &keys, &HEADER, keys.iter().map(|key| row(key, format)))
}

pub(super) fn show_key(format: Format, key: &ApiKey) -> Result<(), Exit> {
    output::print_list(format, key, &HEADER, [row(key, format)])
}

pub(super) fn show_revoked(format: Format, key_id: &str) -> Result<(), Exit> {
    match format {
        Format::Json => output::print_json(&json!({ "key_id": key_id, "status": "revoked" })),
        Format::Table => {
            output::say(&format!("{key_id} is revoked"));
            Ok(())
        }
        Format::Csv => output::print_csv(&["KEY ID", "STATUS"], [vec![key_id.to_owned(), "revoked".to_owned()]]),
    }
}
