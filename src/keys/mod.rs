//! API keys: how programs, and people at a command line, show who they are.
//!
//! # Decisions
//!
//! *Nobody makes a key that acts as another person.* Who holds such a key is that person to everybody, also to the
//! audit log. So a key is made for oneself, by an owner for a service account, or by the local operator for
//! anybody; and a new secret is a key as much as a new key is, so the same holds for rotating. Revoking opens
//! nothing: owners revoke anybody's.
//!
//! *A key never makes one that may more.* Its level and its scopes bound those of what it makes or rotates. What
//! is not asked for is inherited.

mod create;
mod read;
mod revoke;
mod rotate;

pub(crate) mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Attribution, AuditDenial};
use crate::caller::{Action, Caller, KeyHolder, Origin, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::id::{ApiKey, Id, User};
use crate::postgres::ErrorClass;
use crate::secret::Secret;
use crate::token::{self, BadToken};

pub use create::{Lifetime, Wanted, create};
pub use read::{Filter, Summary, get, list};
pub use revoke::{revoke, revoke_all};
pub use rotate::{LONGEST_OVERLAP_DAYS, NewSecret, rotate};

pub(crate) use create::{add, add_wanted};
pub(crate) use read::holder;

use read::Found;

/// Until when a question that failed was not waiting for a database that is away.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The text of an API key, taken apart.
pub type Token = token::Token<ApiKey>;

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
    /// What of that it may be used for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// With which key it was made; `None`: by the local operator.
    pub created_by: Option<Id<ApiKey>>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// What a caller has and can hand on with a key.
#[derive(Clone, Copy, Debug)]
struct Rights {
    level: PermissionLevel,
    scopes: Scopes,
}

impl Rights {
    fn of(caller: &Caller) -> Self {
        match caller.principal {
            Principal::ApiKey { permission, scopes, .. } => Self { level: permission, scopes },
            Principal::Operator => Self { level: PermissionLevel::Owner, scopes: Scopes::All },
            Principal::Invitation(_) => Self { level: PermissionLevel::Collaborator, scopes: Scopes::only([]) },
        }
    }

    /// Why a key that may this much can't be handed out by somebody with these rights.
    fn refuse(self, level: PermissionLevel, scopes: Scopes) -> Option<&'static str> {
        if self.level.at_most(level) != level {
            return Some("this API key can't make or rotate one that may more: it has the level of a collaborator");
        }
        if !self.scopes.cover(scopes) {
            return Some("this API key can't make or rotate one that may more: it has not all of those scopes itself");
        }
        None
    }
}

/// Records that a caller may not do this, and says why in words of its own.
async fn forbidden(app: &App, caller: &Caller, action: Action, sentence: &str) -> Error {
    app.refused(caller, action, &AuditDenial::Forbidden).await;
    Error::new(Code::Forbidden, sentence)
}

/// Finds out who shows this token.
///
/// # Errors
/// `unauthenticated`. A token that is not one of muster's, or has been mistyped, is refused
/// without asking the database; any other refusal is recorded in the organization that the
/// token names.
pub async fn authenticate(app: &App, text: &str, origin: Origin, action: Action) -> Result<Arc<KeyHolder>> {
    let token = Token::parse(text)
        .map_err(|BadToken| Error::unauthenticated("this is not a valid API key: check that all of it was copied"))?;
    let (digest, now) = (Token::digest(text), app.clock.now());
    let holder = match app.key_holders.get(&digest) {
        Some(holder) if holder.expires_at > now => holder,
        // Boxed, to keep it out of the future of the many requests that don't need it.
        _ => match Box::pin(look_up(app, &token, &digest)).await? {
            Found::Holder(holder) => holder,
            Found::Refused(reason, sentence, actor) => {
                let attribution = Attribution { organization_id: token.organization_id, actor, origin };
                app.refused(attribution, action, &AuditDenial::Unauthenticated(reason)).await;
                return Err(Error::new(Code::Unauthenticated, sentence));
            }
        },
    };
    if holder.should_record_use(now) {
        write::record_use(app, &token, now);
    }
    Ok(holder)
}

/// Looks a token up in the database, and caches its holder.
async fn look_up(app: &App, token: &Token, digest: &[u8; 32]) -> Result<Found> {
    let queried_at = Instant::now();
    let found = match read::find(app, token, app.clock.now()).await {
        // The connection was cut, and another one is had at once if there is any: everybody is asked who they are.
        Err(error) if error.class() == Some(ErrorClass::Unavailable) && queried_at.elapsed() < AT_ONCE => {
            app.db.observe(&error);
            read::find(app, token, app.clock.now()).await?
        }
        found => found?,
    };
    if let Found::Holder(holder) = &found {
        app.key_holders.insert(*digest, holder, queried_at);
    }
    Ok(found)
}
