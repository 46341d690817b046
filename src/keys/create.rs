//! Making keys: for whom, with what, for how long.

use chrono::Duration;

use super::{NewKey, Rights, Token, forbidden, read, write};
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel, Principal, Scopes};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, User};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

/// How long a key is to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the setting `keys.default_days` says.
    Usual,
    /// This long. More than `keys.max_days` is refused.
    Exactly(Duration),
    /// So many seconds, or `keys.max_days` if that is less: for the vendor's client, which asks for a hundred years.
    AtMost(i64),
    /// As long as the setting `keys.max_days` allows.
    Longest,
}

/// What a key is asked to be.
#[derive(Debug)]
pub struct Wanted {
    /// What it is for: 1 to 100 characters, on one line.
    pub name: String,
    /// Who acts when it is used; `None`: whoever asks.
    pub user_id: Option<Id<User>>,
    /// What it allows; `None`: what whoever asks may. Never more than its user may.
    pub permission_level: Option<PermissionLevel>,
    /// What of that it may be used for; `None`: what the key that asks may be used for.
    pub scopes: Option<Scopes>,
    /// How long it works.
    pub lifetime: Lifetime,
}

impl Wanted {
    /// A key for whoever asks, for all that this level allows, for the usual time.
    pub fn new(name: impl Into<String>, permission_level: PermissionLevel) -> Self {
        Self {
            name: name.into(),
            user_id: None,
            permission_level: Some(permission_level),
            scopes: None,
            lifetime: Lifetime::Usual,
        }
    }
}

/// A lifetime within the settings, and what was asked for if that was more.
struct Span {
    lifetime: Duration,
    asked_for_seconds: Option<i64>,
}

/// Makes a key: for whoever asks, or as an owner for a service account, or as the local operator for anybody.
///
/// # Errors
/// `forbidden` for a key of somebody else's, or one that may more than the key that asks; `not_found` for a user
/// who isn't there; `invalid_request` for a name that is empty or too long, or a lifetime that is none
/// or above `keys.max_days`.
pub async fn create(app: &App, caller: &Caller, wanted: Wanted) -> Result<NewKey> {
    app.authorize(caller, Action::KeyCreate).await?;
    let name = name(&wanted.name)?;
    let span = span(app, wanted.lifetime)?;
    let mine = Rights::of(caller);
    let level = wanted.permission_level.unwrap_or(mine.level);
    let scopes = wanted.scopes.unwrap_or(mine.scopes);
    if let Some(sentence) = mine.refuse(level, scopes) {
        return Err(forbidden(app, caller, Action::KeyCreate, sentence).await);
    }
    let (user_id, level) = match wanted.user_id {
        Some(other) if caller.user_id() != Some(other) => {
            (Some(other), level.at_most(of_other(app, caller, other).await?))
        }
        _ => (caller.user_id(), level),
    };
    app.change(caller, Action::KeyCreate, Target::Nothing, async |change| {
        add_as(change, name, user_id, Rights { level, scopes }, &span).await
    })
    .await
}

/// What somebody other than the caller may, if the caller may make keys for them.
async fn of_other(app: &App, caller: &Caller, user_id: Id<User>) -> Result<PermissionLevel> {
    app.authorize(caller, Action::KeyOthers).await?;
    let mut connection = app.read(caller, Action::KeyCreate).await?;
    let holder = read::holder(&mut connection, caller.organization_id, user_id).await?;
    drop(connection);
    let holder = holder.ok_or_else(|| no_user(user_id))?;
    if holder.is_service_account || caller.principal == Principal::Operator {
        return Ok(holder.level);
    }
    let sentence = "this is another person's account, and a key of it would act as that person: they make one \
                    themselves, with `muster login` or a key of their own";
    Err(forbidden(app, caller, Action::KeyCreate, sentence).await)
}

pub(super) fn no_user(user_id: Id<User>) -> Error {
    Error::new(Code::NotFound, format!("there is no user {user_id}"))
}

fn name(text: &str) -> Result<&str> {
    let name = text.trim();
    if name.is_empty() || text.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let rule = format!("a key's name has to have 1 to {LONGEST_NAME} characters, on one line");
        return Err(Error::invalid(rule));
    }
    Ok(name)
}

fn span(app: &App, lifetime: Lifetime) -> Result<Span> {
    let days = app.config.keys.max_days;
    let longest = Duration::days(i64::from(days));
    let refused = || {
        Err(Error::invalid(format!(
            "a key has to live for some time, and for {days} days at most (setting `keys.max_days`)"
        )))
    };
    let exactly = |lifetime| Ok(Span { lifetime, asked_for_seconds: None });
    match lifetime {
        Lifetime::Usual => exactly(Duration::days(i64::from(app.config.keys.default_days))),
        Lifetime::Longest => exactly(longest),
        Lifetime::Exactly(lifetime) if lifetime <= Duration::zero() || lifetime > longest => refused(),
        Lifetime::Exactly(lifetime) => exactly(lifetime),
        Lifetime::AtMost(..=0) => refused(),
        Lifetime::AtMost(seconds) => match Duration::try_seconds(seconds) {
            Some(lifetime) if lifetime <= longest => exactly(lifetime),
            _ => {
                tracing::warn!(
                    asked_for_seconds = seconds,
                    "an API key lives for {days} days (keys.max_days), not longer"
                );
                Ok(Span { lifetime: longest, asked_for_seconds: Some(seconds) })
            }
        },
    }
}

/// Makes a key with all scopes as part of a change.
pub(crate) async fn add(
    change: &mut Change,
    name: &str,
    permission_level: PermissionLevel,
    lifetime: Duration,
    user_id: Option<Id<User>>,
) -> Result<NewKey> {
    let rights = Rights { level: permission_level, scopes: Scopes::All };
    add_as(change, name, user_id, rights, &Span { lifetime, asked_for_seconds: None }).await
}

/// Makes a key as part of a change. Whether the caller may have one like this was asked before.
///
/// # Errors
/// `invalid_request` for a lifetime that is none; `not_found` for a user who was just deleted.
pub(crate) async fn add_wanted(app: &App, change: &mut Change, wanted: &Wanted) -> Result<NewKey> {
    let mine = Rights::of(change.caller());
    let rights =
        Rights { level: wanted.permission_level.unwrap_or(mine.level), scopes: wanted.scopes.unwrap_or(mine.scopes) };
    add_as(change, &wanted.name, wanted.user_id, rights, &span(app, wanted.lifetime)?).await
}

async fn add_as(
    change: &mut Change,
    name: &str,
    user_id: Option<Id<User>>,
    rights: Rights,
    span: &Span,
) -> Result<NewKey> {
    let token = Token::generate(change.organization_id(), Id::new(change.now()));
    let created_by = match change.caller().principal {
        Principal::ApiKey { id, .. } => Some(id),
        Principal::Invitation(_) | Principal::Operator => None,
    };
    let key = NewKey {
        key_id: token.id,
        user_id,
        token: token.text(),
        name: name.to_owned(),
        permission_level: rights.level,
        scopes: rights.scopes,
        created_at: change.now(),
        created_by,
        expires_at: change.now() + span.lifetime,
    };
    write::create(change, &key, &token.sha256(), span.asked_for_seconds).await?;
    Ok(key)
}
