//! API keys: how programs, and people at a command line, show who they are.

mod identity;
mod read;
mod write;

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Duration, Utc};

use crate::app::App;
use crate::caller::{Action, Caller, Origin, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, User};
use crate::secret::Secret;
use crate::token::{self, BadToken};

pub use identity::{Identities, Identity};
pub use read::{Summary, list};
pub use write::revoke;

use identity::{Digest, Memory};
use read::Found;

/// The text of an API key, taken apart.
pub type Token = token::Token<ApiKey>;

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
        key_id: token.id,
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
pub async fn authenticate(app: &Arc<App>, text: &str, origin: Origin, action: Action) -> Result<Arc<Identity>> {
    let token = Token::parse(text)
        .map_err(|BadToken| Error::unauthenticated("this is not a valid API key: check that all of it was copied"))?;
    let (digest, now) = (Token::digest(text), app.clock.now());
    let identity = match app.identities.find(&digest) {
        Memory::Fresh(identity) if identity.expires_at > now => identity,
        Memory::Aging(identity) if identity.expires_at > now => {
            let (app, token) = (Arc::clone(app), token.clone());
            tokio::spawn(async move { refresh(&app, &token, digest).await });
            identity
        }
        _ => match look_up(app, &token, digest).await? {
            Found::Holder(identity) => identity,
            Found::Refused(reason, sentence, actor) => {
                let caller = Caller { organization_id: token.organization_id, actor, origin };
                app.refused(&caller, action, &crate::audit::Refusal::Unauthenticated(reason)).await;
                return Err(Error::new(Code::Unauthenticated, sentence));
            }
        },
    };
    if identity.is_worth_noting(now) {
        write::touch(app, &token, now);
    }
    Ok(identity)
}

/// Asks the database, and remembers what it says.
async fn look_up(app: &App, token: &Token, digest: Digest) -> Result<Found> {
    let asked_at = Instant::now();
    let found = read::find(app, token, app.clock.now()).await?;
    match &found {
        Found::Holder(identity) => app.identities.remember(digest, identity, asked_at),
        Found::Refused(..) => app.identities.forget_one(&digest),
    }
    Ok(found)
}

/// Asks the database beside the requests, which go on with what is remembered until that is too old.
async fn refresh(app: &App, token: &Token, digest: Digest) {
    if let Err(error) = look_up(app, token, digest).await {
        tracing::warn!(error = error.chain(), "an API key could not be read again");
    }
}
