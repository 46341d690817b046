//! `muster api-key …`: API keys, through a server's HTTP API; and the output of API keys for both `api-key` and `key`.

use chrono::Duration;
use muster_client::{ApiKey, ApiKeyWithToken, NewApiKey};
use serde_json::json;

use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use super::{Exit, listing};
use crate::caller::{PermissionLevel, Scope};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create an API key for yourself or, as an owner, for a service account. Prints its token to standard output,
    /// only once.
    Create {
        /// Purpose of the key, such as `ci`.
        #[arg(long)]
        name: String,
        /// User ID (`usr_…`) of the service account that the key belongs to [default: your own].
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        #[command(flatten)]
        key: KeyArgs,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List API keys: your own or, as an owner, all.
    List {
        /// Only keys of this user (`usr_…`).
        #[arg(long, value_name = "ID")]
        user_id: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Show one API key.
    Get {
        /// Key ID, as `muster api-key list` shows it.
        key_id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Rotate an API key: it gets a new secret. Prints the new token to standard output, only once.
    Rotate {
        /// Key ID, as `muster api-key list` shows it.
        key_id: String,
        /// How long the old secret stays valid: 1h; 0s revokes it immediately; at most 7d [default: the server's
        /// setting keys.rotation_overlap_hours].
        #[arg(long, value_name = "DURATION", value_parser = output::parse_duration)]
        overlap: Option<Duration>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Revoke an API key, effective immediately.
    Revoke {
        /// Key ID, as `muster api-key list` shows it.
        key_id: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

/// Lifetime, permission level and scopes of a new API key.
#[derive(clap::Args, Debug)]
pub(super) struct KeyArgs {
    /// Lifetime of the key: 90d, 12h [default: the server's setting keys.default_days].
    #[arg(long, value_name = "DURATION", value_parser = output::parse_duration)]
    expires_in: Option<Duration>,
    /// Permission level of the key; never higher than that of its user [default: the level of your own key].
    #[arg(long, value_enum)]
    role: Option<PermissionLevel>,
    /// Restrict the key to this scope, such as users:read; repeatable [default: the scopes of your own key].
    #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
    scopes: Vec<Scope>,
}

impl KeyArgs {
    pub(super) fn new_key(&self, name: &str) -> NewApiKey {
        let names = || self.scopes.iter().map(ToString::to_string).collect();
        NewApiKey {
            permission_level: self.role.map(Into::into),
            scopes: (!self.scopes.is_empty()).then(names),
            expires_in_seconds: self.expires_in.map(|lifetime| lifetime.num_seconds().unsigned_abs()),
            ..NewApiKey::new(name)
        }
    }
}

pub(super) fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("expected one of {}", Scope::list()))
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, user_id, key, remote } => {
            let key = NewApiKey { user_id, ..key.new_key(&name) };
            show_token(remote.output, &remote.client()?.create_api_key(&key).await?)
        }
        Command::List { user_id, remote } => {
            let (client, user_id) = (remote.client()?, user_id.as_deref());
            let keys = listing::collect(None, async |count, token| {
                client.list_api_keys(user_id, count, token.as_deref()).await
            });
            keys.await?.print(remote.output)
        }
        Command::Get { key_id, remote } => {
            output::print_one(remote.output, &remote.client()?.get_api_key(&key_id).await?)
        }
        Command::Rotate { key_id, overlap, remote } => {
            let overlap = overlap.map(|overlap| std::time::Duration::from_secs(overlap.num_seconds().unsigned_abs()));
            show_token(remote.output, &remote.client()?.rotate_api_key(&key_id, overlap).await?)
        }
        Command::Revoke { key_id, remote } => {
            remote.client()?.revoke_api_key(&key_id).await?;
            show_revoked(remote.output, &key_id)
        }
    }
}

/// Prints a new API key. As a table, only the token goes to standard output.
pub(super) fn show_token(format: Format, created: &ApiKeyWithToken) -> Result<(), Exit> {
    let key = &created.key;
    match format {
        Format::Json => {
            let mut shown = serde_json::to_value(key).map_err(Exit::usage)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("token".to_owned(), json!(created.expose_token()));
            }
            output::print_json(&shown)
        }
        Format::Table | Format::Wide => {
            let overlap = key
                .previous_expires_at
                .map_or_else(String::new, |until| format!("; the old token stays valid until {}", output::time(until)));
            output::say(&format!(
                "{} ({}, {}) expires at {}{overlap}; its token, shown only once:",
                output::clean(&key.key_id),
                output::clean(&key.name),
                output::clean(&key.permission_level),
                output::time(key.expires_at)
            ));
            output::print(created.expose_token())
        }
        Format::Csv => output::print_csv(
            &["KEY ID", "TOKEN", "NAME", "ROLE", "CREATED", "EXPIRES"],
            [vec![
                key.key_id.clone(),
                created.expose_token().to_owned(),
                key.name.clone(),
                key.permission_level.clone(),
                output::time(key.created_at),
                output::time(key.expires_at),
            ]],
        ),
    }
}

impl TableRow for ApiKey {
    const HEADER: &'static [&'static str] =
        &["KEY ID", "NAME", "USER ID", "ROLE", "SCOPES", "STATUS", "EXPIRES", "LAST USED", "CREATED BY"];

    fn cells(&self, format: Format) -> Vec<String> {
        // The key of a suspended user is valid, but rejected.
        let is_suspended = self.status == "active" && self.user_status.as_deref() == Some("suspended");
        vec![
            self.key_id.clone(),
            self.name.clone(),
            self.user_id.clone().unwrap_or_else(|| format.placeholder().to_owned()),
            self.permission_level.clone(),
            self.scopes.as_ref().map_or_else(|| "all".to_owned(), |scopes| scopes.join(" ")),
            if is_suspended { "active (user suspended)".to_owned() } else { self.status.clone() },
            output::time(self.expires_at),
            self.last_used_at.map_or_else(|| "never".to_owned(), output::time),
            self.created_by.clone().unwrap_or_else(|| "operator".to_owned()),
        ]
    }
}

pub(super) fn show_revoked(format: Format, key_id: &str) -> Result<(), Exit> {
    match format {
        Format::Json => output::print_json(&json!({ "key_id": key_id, "status": "revoked" })),
        Format::Table | Format::Wide => {
            output::say(&format!("revoked {key_id}"));
            Ok(())
        }
        Format::Csv => output::print_csv(&["KEY ID", "STATUS"], [vec![key_id.to_owned(), "revoked".to_owned()]]),
    }
}
