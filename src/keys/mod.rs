//! API keys: credentials of programs, and of people at a command line.
//!
//! # Decisions
//!
//! *A caller can't create a key that acts as another person.* Every other part of muster, and the audit log, treats the
//! holder of such a key as that person. So callers create keys for themselves, owners also for service accounts, and the
//! local operator for any user. A rotated secret is equivalent to a new key, so the same rule applies to rotation. Owners
//! can revoke any key.
//!
//! *A key never creates a key with more permissions.* Its level and its scopes limit those of the keys that it creates
//! or rotates. What a request leaves out is inherited.

mod browse;
mod create;
mod read;
mod revoke;
mod rotate;
mod usage;

pub(crate) mod write;

use std::sync::Arc;
use std::time::Instant;

use crate::app::App;
use crate::audit::{Attribution, AuditDenial};
use crate::caller::{Action, Caller, KeyHolder, Origin, PermissionLevel, Principal, Scopes};
use crate::error::{Code, Error, Result};
use crate::id::ApiKey;
use crate::names::names;
use crate::secret::Secret;
use crate::token;

pub use browse::{Creator, KeyDetails, KeyFilter, ListedKey, MOST_MADE, browse, details, made_by};
pub use create::{KeySpec, Lifetime, create};
pub use read::{Ending, Filter, Summary, Whose, count_own, ending, get, list};
pub use revoke::{revoke, revoke_all, revoke_each};
pub use rotate::{LONGEST_OVERLAP_DAYS, LatestRotation, rotate};
pub use usage::{KeyUsage, usage};

pub(crate) use create::add;
pub(crate) use read::holder;

use read::Found;

/// The token of an API key.
pub type Token = token::Token<ApiKey>;

names! {
    /// Whether a key is valid.
    pub enum KeyStatus {
        /// Valid, unless the account of its user is suspended or has expired.
        Active = "active",
        /// Its lifetime has ended.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
    }
}

/// A key with a new token: it has just been created or rotated.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: Summary,
    /// The token to authenticate with. It is not stored and can only be shown now.
    pub token: Secret,
}

/// The permissions that a caller can pass on to a key.
#[derive(Clone, Copy, Debug)]
struct Rights {
    level: PermissionLevel,
    scopes: Scopes,
}

impl Rights {
    fn of(caller: &Caller) -> Self {
        match caller.principal {
            Principal::ApiKey { permission, scopes, .. } => Self { level: permission, scopes },
            Principal::Session { permission, .. } => Self { level: permission, scopes: Scopes::All },
            Principal::Operator => Self { level: PermissionLevel::Owner, scopes: Scopes::All },
            Principal::Invitation(_) | Principal::System => {
                Self { level: PermissionLevel::Collaborator, scopes: Scopes::only([]) }
            }
        }
    }

    /// The reason why a caller with these rights can't create or rotate a key with this level and these scopes.
    fn denies(self, level: PermissionLevel, scopes: Scopes) -> Option<&'static str> {
        if self.level.at_most(level) != level {
            return Some("an API key with the collaborator level can't create or rotate a key with more permissions");
        }
        if !self.scopes.cover(scopes) {
            return Some("an API key can't create or rotate a key with scopes that it does not have itself");
        }
        None
    }
}

/// Records a denial, for a reason that [`Caller::check`] does not know.
async fn deny(app: &App, caller: &Caller, action: Action, reason: &str) -> Error {
    app.record_denial(caller, action, &AuditDenial::Forbidden).await;
    Error::new(Code::Forbidden, reason)
}

/// Authenticates a token.
///
/// # Errors
/// `unauthenticated`; `rate_limited`. A malformed token is rejected without a query. Any other failure is recorded in the organization
/// that the token names.
pub async fn authenticate(app: &App, text: &str, origin: Origin, action: Action) -> Result<Arc<KeyHolder>> {
    let token = Token::parse(text)
        .map_err(|_| Error::unauthenticated("malformed API key; check that the whole key was copied"))?;
    let (digest, now) = (Token::digest(text), app.clock.now());
    let holder = match app.holders.keys.get(&digest) {
        Some(holder) if holder.expires_at > now => holder,
        // Boxed, to keep it out of the future of the many requests that don't need it.
        _ => match Box::pin(look_up(app, &token, &digest)).await? {
            Found::Holder(holder) => holder,
            Found::Denied { why, actor } => {
                let attribution = Attribution { organization_id: token.organization_id, actor, user_id: None, origin };
                let error = Error::unauthenticated(why.message);
                return Err(app.deny_credential(attribution, action, why.reason, error));
            }
        },
    };
    if holder.last_use.is_due(now) {
        write::record_use(app, &token, now);
    }
    Ok(holder)
}

/// Looks a token up in the database, and caches its holder.
async fn look_up(app: &App, token: &Token, digest: &[u8; 32]) -> Result<Found> {
    let queried_at = Instant::now();
    let found = app.retry_read(async || read::find(app, token, app.clock.now()).await).await?;
    if let Found::Holder(holder) = &found {
        app.holders.keys.insert(*digest, holder, queried_at);
    }
    Ok(found)
}
