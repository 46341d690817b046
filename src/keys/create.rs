//! Creating keys.

use chrono::Duration;

use super::{NewKey, Rights, Summary, Token, deny, read, write};
use crate::app::App;
use crate::audit::{AuditDenial, Target};
use crate::caller::{Action, Caller, PermissionLevel, Principal, Scopes};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{ApiKey, Id, User};
use crate::users::is_visible_line;

/// The maximum length of a key's name, in characters.
const LONGEST_NAME: usize = 100;

/// The requested lifetime of a key. The maximum is the setting `keys.max_days`, or that of the organization if it is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The setting `keys.default_days`, or the maximum if that is shorter.
    Default,
    /// This duration. More than the maximum is rejected.
    Exactly(Duration),
    /// This number of seconds, or the maximum if that is shorter. The vendor's client requests a hundred years.
    AtMost(i64),
    /// The maximum.
    Longest,
}

/// The properties of a key to create.
#[derive(Debug)]
pub struct KeySpec {
    /// The ID, with which a key is created only once; `None` for a new ID.
    pub key_id: Option<Id<ApiKey>>,
    /// The name: one line of 1 to 100 visible characters.
    pub name: String,
    /// The user on whose behalf the key acts; `None` for the caller's own user.
    pub user_id: Option<Id<User>>,
    /// The level; `None` for the caller's. The level of the user limits it further.
    pub permission_level: Option<PermissionLevel>,
    /// The scopes; `None` for the caller's.
    pub scopes: Option<Scopes>,
    /// The lifetime.
    pub lifetime: Lifetime,
}

impl KeySpec {
    /// A key for the caller's own user, with the caller's scopes and the default lifetime.
    pub fn new(name: impl Into<String>, permission_level: PermissionLevel) -> Self {
        Self {
            key_id: None,
            name: name.into(),
            user_id: None,
            permission_level: Some(permission_level),
            scopes: None,
            lifetime: Lifetime::Default,
        }
    }
}

/// A lifetime within the limits of the settings.
struct Span {
    lifetime: Duration,
    /// The requested lifetime, if it was reduced.
    asked_for_seconds: Option<i64>,
}

/// Creates a key: for the caller's own user, as an owner for a service account, or as the local operator for any user.
///
/// # Errors
/// `forbidden` for another person's key, or for more permissions than the caller has; `not_found` for an unknown user;
/// `invalid_request` for an invalid name or lifetime; `conflict` for a user with too many keys;
/// `precondition_failed` for the ID of another key.
pub async fn create(app: &App, caller: &Caller, spec: KeySpec) -> Result<NewKey> {
    app.authorize(caller, Action::KeyCreate).await?;
    let name = name(&spec.name)?;
    let own = Rights::of(caller);
    let level = spec.permission_level.unwrap_or(own.level);
    let scopes = spec.scopes.unwrap_or(own.scopes);
    if let Some(reason) = own.denies(level, scopes) {
        return Err(deny(app, caller, Action::KeyCreate, reason).await);
    }
    let (user_id, level) = match spec.user_id {
        Some(other) if caller.user_id() != Some(other) => {
            (Some(other), level.at_most(level_of_other(app, caller, other).await?))
        }
        _ => (caller.user_id(), level),
    };
    failpoints::reach("key::requested").await;
    let is_for_other = user_id != caller.user_id();
    app.change(caller, Action::KeyCreate, Target::Nothing, async |change| {
        if is_for_other {
            change.authorize(Action::KeyOthers)?;
        }
        let span = span(app, change, spec.lifetime).await?;
        let rights = Rights { level, scopes };
        add_with(app, change, spec.key_id, name, user_id, rights, &span).await
    })
    .await
}

/// The level of a user other than the caller's, if the caller may create keys for that user.
async fn level_of_other(app: &App, caller: &Caller, user_id: Id<User>) -> Result<PermissionLevel> {
    app.authorize(caller, Action::KeyOthers).await?;
    let mut connection = app.read(caller, Action::KeyCreate).await?;
    let holder = read::holder(&mut connection, caller.organization_id, user_id).await?;
    drop(connection);
    if holder.is_service_account || caller.principal == Principal::Operator {
        return Ok(holder.level);
    }
    let reason = "a key for another person would act as that person, who can create one with `muster login` or with \
                  an API key of their own";
    Err(deny(app, caller, Action::KeyCreate, reason).await)
}

fn name(text: &str) -> Result<&str> {
    let name = text.trim();
    if name.is_empty() || text.chars().count() > LONGEST_NAME || !is_visible_line(name) {
        let rule = format!("an API key's name must be one line of 1 to {LONGEST_NAME} visible characters");
        return Err(Error::invalid(rule));
    }
    Ok(name)
}

async fn span(app: &App, change: &mut Change, lifetime: Lifetime) -> Result<Span> {
    let (days, rule) = match read::max_days(change).await? {
        Some(days) if days < app.config.keys.max_days => (days, "the maximum of the organization"),
        _ => (app.config.keys.max_days, "setting `keys.max_days`"),
    };
    let longest = Duration::days(i64::from(days));
    let rejected =
        || Err(Error::invalid(format!("an API key's lifetime must be positive and at most {days} days ({rule})")));
    let exactly = |lifetime| Ok(Span { lifetime, asked_for_seconds: None });
    match lifetime {
        Lifetime::Default => exactly(Duration::days(i64::from(app.config.keys.default_days)).min(longest)),
        Lifetime::Longest => exactly(longest),
        Lifetime::Exactly(lifetime) if lifetime <= Duration::zero() || lifetime > longest => rejected(),
        Lifetime::Exactly(lifetime) => exactly(lifetime),
        Lifetime::AtMost(..=0) => rejected(),
        Lifetime::AtMost(seconds) => match Duration::try_seconds(seconds) {
            Some(lifetime) if lifetime <= longest => exactly(lifetime),
            _ => {
                tracing::info!(requested_seconds = seconds, max_days = days, "API key lifetime reduced to the maximum");
                Ok(Span { lifetime: longest, asked_for_seconds: Some(seconds) })
            }
        },
    }
}

/// Creates a key as part of a change.
///
/// # Errors
/// `forbidden` for more permissions than the caller has by now; `invalid_request` for an invalid lifetime; `not_found` for
/// a user deleted in the meantime; `conflict` for a user with too many keys.
pub(crate) async fn add(app: &App, change: &mut Change, spec: &KeySpec) -> Result<NewKey> {
    let own = Rights::of(change.caller());
    let rights =
        Rights { level: spec.permission_level.unwrap_or(own.level), scopes: spec.scopes.unwrap_or(own.scopes) };
    let span = span(app, change, spec.lifetime).await?;
    add_with(app, change, spec.key_id, &spec.name, spec.user_id, rights, &span).await
}

/// Checks the number of active keys of a user. Of keys without a user, as many may be created by callers who are not
/// owners.
async fn ensure_room(app: &App, change: &mut Change, user_id: Option<Id<User>>) -> Result<()> {
    let max = app.config.keys.per_user;
    let whose = match (user_id, change.caller().principal) {
        (Some(user_id), _) => format!("user {user_id} has"),
        (None, Principal::ApiKey { permission: PermissionLevel::Collaborator, .. }) => {
            "the organization has, without a user,".to_owned()
        }
        _ => return Ok(()),
    };
    let active = write::lock_and_count(change, user_id).await?;
    if active < i64::from(max) {
        return Ok(());
    }
    let message = format!(
        "{whose} {active} active API keys, and at most {max} are allowed (setting `keys.per_user`); revoke one that is no \
         longer used"
    );
    Err(Error::new(Code::Conflict, message))
}

async fn add_with(
    app: &App,
    change: &mut Change,
    key_id: Option<Id<ApiKey>>,
    name: &str,
    user_id: Option<Id<User>>,
    rights: Rights,
    span: &Span,
) -> Result<NewKey> {
    ensure_room(app, change, user_id).await?;
    let key_id = key_id.unwrap_or_else(|| Id::new(change.now()));
    let token = Token::generate(change.organization_id(), key_id);
    let created_by = match change.caller().principal {
        Principal::ApiKey { id, .. } => Some(id),
        Principal::Session { .. } | Principal::Invitation(_) | Principal::Operator | Principal::System => None,
    };
    let key = Summary {
        key_id: token.id,
        user_id,
        user_status: None,
        name: name.to_owned(),
        permission_level: rights.level,
        scopes: rights.scopes.to_database(),
        created_at: change.now(),
        created_by,
        expires_at: change.now() + span.lifetime,
        last_used_at: None,
        rotated_at: None,
        previous_expires_at: None,
        revoked_at: None,
    };
    write::create(change, &key, rights.scopes, &token.sha256(), span.asked_for_seconds).await?;
    change.confirm_access().await?;
    if let Some(reason) = Rights::of(change.caller()).denies(rights.level, rights.scopes) {
        let error = Error::new(Code::Forbidden, reason);
        return Err(change.deny(Action::KeyCreate, AuditDenial::Forbidden, error));
    }
    Ok(NewKey { key, token: token.text() })
}
