//! `muster key …`: API keys, directly in the database, as the local operator.

use chrono::Duration;

use super::api_key::{parse_scope, show_revoked, show_token};
use super::args::LocalArgs;
use super::local::{user_of, with_operator};
use super::{Exit, listing, output};
use crate::app::App;
use crate::caller::{Caller, PermissionLevel, Scope, Scopes};
use crate::error::Error;
use crate::id::{ApiKey, Id, User};
use crate::keys::{self, Filter, KeySpec, LatestRotation, Lifetime, Whose};
use crate::page::PageRequest;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Create an API key. Prints its token to standard output, only once.
    Create {
        /// Purpose of the key, such as `ci` or a person's name.
        #[arg(long)]
        name: String,
        /// User that the key acts as [default: no user; the key acts as itself].
        #[arg(long, value_name = "EMAIL|ID")]
        user: Option<String>,
        /// Lifetime of the key: 90d, 12h [default: setting keys.default_days].
        #[arg(long, value_name = "DURATION", value_parser = output::parse_duration)]
        expires_in: Option<Duration>,
        /// Permission level of the key; never higher than that of its user.
        #[arg(long, value_enum, default_value = "collaborator")]
        role: PermissionLevel,
        /// Restrict the key to this scope, such as users:read; repeatable [default: all scopes].
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<Scope>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// List API keys with their permissions, expiry and last use. Tokens are not stored.
    List {
        /// Only keys of this user.
        #[arg(long, value_name = "EMAIL|ID")]
        user: Option<String>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Show one API key.
    Show {
        /// Key ID, as `muster key list` shows it.
        key_id: Id<ApiKey>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Rotate an API key: it gets a new secret. Prints the new token to standard output, only once.
    Rotate {
        /// Key ID, as `muster key list` shows it.
        key_id: Id<ApiKey>,
        /// How long the old secret stays valid: 1h; 0s revokes it immediately; at most 7d [default: setting
        /// keys.rotation_overlap_hours].
        #[arg(long, value_name = "DURATION", value_parser = output::parse_duration)]
        overlap: Option<Duration>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Revoke an API key; effective within one second.
    Revoke {
        /// Key ID, as `muster key list` shows it.
        key_id: Id<ApiKey>,
        #[command(flatten)]
        local: LocalArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Create { name, user, expires_in, role, scopes, local } => {
            let spec = KeySpec {
                lifetime: expires_in.map_or(Lifetime::Default, Lifetime::Exactly),
                scopes: (!scopes.is_empty()).then(|| Scopes::only(scopes)),
                ..KeySpec::new(name, role)
            };
            let created = with_operator(local.config.load()?, async |app, caller| {
                let user_id = find_user(app, caller, user.as_deref()).await?;
                Ok(keys::create(app, caller, KeySpec { user_id, ..spec }).await?.into_api_key(app.clock.now()))
            });
            show_token(local.output, &created.await?)
        }
        Command::List { user, local } => {
            let keys = with_operator(local.config.load()?, async |app, caller| {
                let user_id = find_user(app, caller, user.as_deref()).await?;
                listing::collect(None, async |count, token| {
                    let request = PageRequest::new(Some(count.into()), token.as_deref())?;
                    let filter = Filter { user_id, ..Filter::default() };
                    let keys = keys::list(app, caller, filter, &request).await?;
                    Ok::<_, Error>(listing::page(keys, |key| key.into_api_key(app.clock.now())))
                })
                .await
            });
            keys.await?.print(local.output)
        }
        Command::Show { key_id, local } => {
            let key = with_operator(local.config.load()?, async |app, caller| {
                Ok(keys::get(app, caller, key_id).await?.into_api_key(app.clock.now()))
            });
            output::print_one(local.output, &key.await?)
        }
        Command::Rotate { key_id, overlap, local } => {
            let rotated = with_operator(local.config.load()?, async |app, caller| {
                Ok(keys::rotate(app, caller, key_id, overlap, LatestRotation::Any).await?.into_api_key(app.clock.now()))
            });
            show_token(local.output, &rotated.await?)
        }
        Command::Revoke { key_id, local } => {
            with_operator(local.config.load()?, async |app, caller| {
                Ok(keys::revoke(app, caller, key_id, Whose::Visible).await?)
            })
            .await?;
            show_revoked(local.output, &key_id.to_string())
        }
    }
}

async fn find_user(app: &App, caller: &Caller, user: Option<&str>) -> Result<Option<Id<User>>, Exit> {
    match user {
        Some(user) => Ok(Some(user_of(app, caller, user).await?)),
        None => Ok(None),
    }
}
