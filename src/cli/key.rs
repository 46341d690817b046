//! `muster key …`: API keys in the database itself, as the local operator.

use chrono::{DateTime, Duration, Utc};
use muster_client::{ApiKey, ApiKeyWithToken};

use super::api_key::{parse_scope, show_key, show_list, show_revoked, show_token};
use super::local::{user_of, with_operator};
use super::output::{self, Format};
use super::{Exit, OperatorArgs};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel, Scope, Scopes};
use crate::id::{ApiKey as Key, Id};
use crate::keys::{self, Filter, Lifetime, NewKey, Summary, Wanted};
use crate::page::{MAX_COUNT, PageRequest};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Make an API key. Its token goes to standard output, once.
    Create {
        /// What it is for, such as `ci` or a person's name.
        #[arg(long)]
        name: String,
        /// Who acts when it is used; nobody but the key itself if it is not given.
        #[arg(long, value_name = "EMAIL|ID")]
        user: Option<String>,
        /// How long it works: 90d, 12h [default: setting keys.default_days].
        #[arg(long, value_name = "SPAN", value_parser = output::parse_span)]
        expires_in: Option<Duration>,
        /// What it allows: everything, or reading who is there. Never more than its user may.
        #[arg(long, value_enum, default_value = "collaborator")]
        role: PermissionLevel,
        /// What of that it may be used for, such as users:read; can be given several times [default: all].
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<Scope>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// List API keys: names, permissions, expiry, latest use. Tokens are not kept.
    List {
        /// Only those of this user.
        #[arg(long, value_name = "EMAIL|ID")]
        user: Option<String>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// Show one API key.
    Show {
        /// Its id, as `muster key list` shows it.
        key_id: Id<Key>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// Give an API key a new secret. Its token goes to standard output, once.
    Rotate {
        /// Its id, as `muster key list` shows it.
        key_id: Id<Key>,
        /// How long the old secret opens as well: 1h, 0s for not at all, 7d at most [default: setting
        /// keys.rotation_overlap_hours].
        #[arg(long, value_name = "SPAN", value_parser = output::parse_span)]
        overlap: Option<Duration>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
    /// Revoke an API key: it opens nothing any longer, within a second.
    Revoke {
        /// Its id, as `muster key list` shows it.
        key_id: Id<Key>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, user, expires_in, role, scopes, output, config } => {
            let wanted = Wanted {
                lifetime: expires_in.map_or(Lifetime::Usual, Lifetime::Exactly),
                scopes: (!scopes.is_empty()).then(|| Scopes::only(scopes)),
                ..Wanted::new(name, role)
            };
            create(&config, wanted, user.as_deref(), output).await
        }
        Command::List { user, output, config } => {
            let keys = with_operator(config.load()?, async |app, caller| list(app, caller, user.as_deref()).await);
            show_list(output, &keys.await?)
        }
        Command::Show { key_id, output, config } => {
            let key = with_operator(config.load()?, async |app, caller| {
                Ok(show(keys::get(app, caller, key_id).await?, app.clock.now()))
            });
            show_key(output, &key.await?)
        }
        Command::Rotate { key_id, overlap, output, config } => {
            let rotated = with_operator(config.load()?, async |app, caller| {
                let rotated = keys::rotate(app, caller, key_id, overlap).await?;
                let token = rotated.token.expose().into();
                Ok(ApiKeyWithToken { key: show(rotated.key, app.clock.now()), token })
            });
            show_token(output, &rotated.await?)
        }
        Command::Revoke { key_id, output, config } => {
            with_operator(config.load()?, async |app, caller| Ok(keys::revoke(app, caller, key_id).await?)).await?;
            show_revoked(output, &key_id.to_string())
        }
    }
}

async fn create(config: &OperatorArgs, wanted: Wanted, user: Option<&str>, format: Format) -> Result<(), Exit> {
    let key = with_operator(config.load()?, async |app, caller| {
        let user_id = match user {
            Some(user) => Some(user_of(app, caller, user).await?),
            None => None,
        };
        Ok(keys::create(app, caller, Wanted { user_id, ..wanted }).await?)
    });
    show_token(format, &show_new(key.await?))
}

async fn list(app: &App, caller: &Caller, user: Option<&str>) -> Result<Vec<ApiKey>, Exit> {
    let user_id = match user {
        Some(user) => Some(user_of(app, caller, user).await?),
        None => None,
    };
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = keys::list(app, caller, Filter { user_id }, &PageRequest { count: MAX_COUNT, after }).await?;
        after = page.rows.last().map(|key| key.key_id);
        listed.extend(page.rows.into_iter().map(|key| show(key, app.clock.now())));
        if page.next.is_none() {
            return Ok(listed);
        }
    }
}

/// A key as the API shows it.
fn show(key: Summary, now: DateTime<Utc>) -> ApiKey {
    ApiKey {
        status: key.status(now).to_owned(),
        key_id: key.key_id.to_string(),
        user_id: key.user_id.map(|user_id| user_id.to_string()),
        user_status: key.user_status,
        name: key.name,
        permission_level: key.permission_level,
        scopes: key.scopes,
        created_at: key.created_at,
        created_by: key.created_by.map(|key_id| key_id.to_string()),
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        rotated_at: key.rotated_at,
        previous_expires_at: key.previous_expires_at.filter(|until| *until > now),
        revoked_at: key.revoked_at,
    }
}

fn show_new(key: NewKey) -> ApiKeyWithToken {
    let shown = ApiKey {
        key_id: key.key_id.to_string(),
        user_id: key.user_id.map(|user_id| user_id.to_string()),
        user_status: None,
        name: key.name,
        permission_level: key.permission_level.as_str().to_owned(),
        scopes: key.scopes.to_database(),
        status: "active".to_owned(),
        created_at: key.created_at,
        created_by: key.created_by.map(|key_id| key_id.to_string()),
        expires_at: key.expires_at,
        last_used_at: None,
        rotated_at: None,
        previous_expires_at: None,
        revoked_at: None,
    };
    ApiKeyWithToken { key: shown, token: key.token.expose().into() }
}
