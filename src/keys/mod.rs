//! API keys: how programs, and people at a command line, show who they are.

mod read;
mod token;
mod write;

use chrono::{DateTime, Duration, Utc};

use crate::app::App;
use crate::caller::{Action, Actor, Caller, Origin, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, User};
use crate::secret::Secret;

pub use read::{Summary, list};
pub use token::{BadToken, Token};
pub use write::revoke;

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

/// A key that was just made. The token is nowhere else: shown once or lost.
#[derive(Debug)]
pub struct NewKey {
    /// Which.
    pub key_id: Id<ApiKey>,
    /// The user who acts when it is used; `None`: the key acts for itself.
    pub user_id: Option<Id<User>>,
    /// What to show when calling.
    pub token: Secret,
    /// What it was named.
    pub name: String,
    /// What it allows.
    pub permission_level: PermissionLevel,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// Makes a key.
///
/// # Errors
/// `forbidden`; `invalid_request` for a name that is empty or too long, or a lifetime
/// above `keys.max_days`.
pub async fn create(
    app: &App,
    caller: &Caller,
    name: &str,
    permission_level: PermissionLevel,
    lifetime: Option<Duration>,
) -> Result<NewKey> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let rule = format!("a key's name has to have 1 to {LONGEST_NAME} characters, on one line");
        return Err(Error::invalid(rule));
    }
    let lifetime = lifetime.unwrap_or_else(|| Duration::days(i64::from(app.config.keys.default_days)));
    let longest = app.config.keys.max_days;
    if lifetime <= Duration::zero() || lifetime > Duration::days(i64::from(longest)) {
        return Err(Error::invalid(format!(
            "a key has to live for some time, and for {longest} days at most (setting `keys.max_days`)"
        )));
    }
    let mut change = app.change(caller, Action::KeyCreate).await?;
    let key = add(&mut change, name, permission_level, lifetime, None).await?;
    change.commit().await?;
    Ok(key)
}

/// Makes a key as part of a change.
pub(crate) async fn add(
    change: &mut Change,
    name: &str,
    permission_level: PermissionLevel,
    lifetime: Duration,
    user_id: Option<Id<User>>,
) -> Result<NewKey> {
    let token = Token::generate(change.organization_id(), Id::new(change.now()));
    let key = NewKey {
        key_id: token.key_id,
        user_id,
        token: token.text(),
        name: name.to_owned(),
        permission_level,
        created_at: change.now(),
        expires_at: change.now() + lifetime,
    };
    write::create(change, &key, &token.sha256()).await?;
    Ok(key)
}

/// Finds out who shows this token.
///
/// # Errors
/// `unauthenticated`. A token that is not one of muster's, or has been mistyped, is refused
/// without asking the database; any other refusal is recorded in the organization that the
/// token names.
pub async fn authenticate(app: &App, token: &str, origin: Origin, action: Action) -> Result<Caller> {
    let token = Token::parse(token)
        .map_err(|BadToken| Error::unauthenticated("this is not a valid API key: check that all of it was copied"))?;
    let now = app.clock.now();
    let found = read::find(app, &token).await?;
    let refusal = match &found {
        None => ("unknown_key", "this API key is unknown"),
        Some(key) if key.revoked_at.is_some() => ("revoked_key", "this API key has been revoked"),
        Some(key) if key.expires_at <= now => ("expired_key", "this API key has expired"),
        Some(key) => {
            if key.last_used_at.is_none_or(|last| now - last >= Duration::minutes(1)) {
                write::touch(app, &token, now);
            }
            return Ok(Caller {
                organization_id: token.organization_id,
                actor: Actor::ApiKey {
                    id: token.key_id,
                    name: key.name.clone(),
                    user_id: key.user_id,
                    permission: PermissionLevel::from_database(&key.permission_level),
                },
                origin,
            });
        }
    };
    let actor = match found {
        Some(key) => Actor::ApiKey {
            id: token.key_id,
            user_id: key.user_id,
            permission: PermissionLevel::from_database(&key.permission_level),
            name: key.name,
        },
        None => Actor::Anonymous,
    };
    let caller = Caller { organization_id: token.organization_id, actor, origin };
    app.refused(&caller, action, &crate::audit::Refusal::Unauthenticated(refusal.0)).await;
    Err(Error::new(Code::Unauthenticated, refusal.1))
}
