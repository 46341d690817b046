//! The sessions of all users of an organization, for owners.

use std::collections::BTreeMap;

use super::read::{self, ListedSession};
use super::{Method, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Principal};
use crate::error::Result;
use crate::id::{Id, User};
use crate::page::{ListKey, Slice, Span};

/// The key of the list of all sessions, for [`Span`].
#[must_use]
pub fn list_key(method: Option<Method>) -> ListKey {
    ListKey::of(["sessions", method.map_or("", Method::as_str)])
}

/// Lists the sessions of all users of the organization that are not over, the latest first. For owners.
///
/// # Errors
/// `forbidden`.
pub async fn browse(app: &App, caller: &Caller, method: Option<Method>, span: &Span) -> Result<Slice<ListedSession>> {
    app.authorize(caller, Action::SessionList).await?;
    let mut read = app.read(caller, Action::SessionOthers).await?;
    read::page(&mut read, caller.organization_id, method, span, app.clock.now()).await
}

/// The sessions that were ended, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedSessions {
    /// The number of sessions.
    pub sessions: usize,
    /// The number of their users.
    pub users: usize,
}

/// Ends all sessions of the organization, except for the caller's own session. A dry run ends none. For owners.
///
/// # Errors
/// `forbidden`.
pub async fn end_everyone(app: &App, caller: &Caller, dry_run: bool) -> Result<EndedSessions> {
    app.authorize(caller, Action::SessionOthers).await?;
    let target = Target::Organization(caller.organization_id);
    app.change_many(caller, Action::SessionEnd, target, dry_run, async |change| {
        change.authorize(Action::SessionOthers)?;
        let this = match change.caller().principal {
            Principal::Session { id, .. } => Some(id),
            _ => None,
        };
        change.lock_own_membership().await?;
        write::lock_everyone(change).await?;
        change.confirm_access().await?;
        let ended = write::end_everyone(change, this, "ended").await?;
        let mut by_user: BTreeMap<Id<User>, usize> = BTreeMap::new();
        for user_id in &ended {
            *by_user.entry(*user_id).or_default() += 1;
        }
        let numbers = EndedSessions { sessions: ended.len(), users: by_user.len() };
        if ended.is_empty() {
            change.dry_run();
        }
        for (user_id, sessions) in by_user {
            change.record(Event::SessionsEnded { user_id, sessions });
        }
        Ok(numbers)
    })
    .await
}
