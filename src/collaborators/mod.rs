//! Collaborators: who belongs to the organization, and what each may do.
//!
//! A person belongs to one organization, so a membership and its account come and go together.

pub(crate) mod owners;
mod read;
mod search;
mod write;

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Membership};
use crate::users::lock::Member;
use crate::users::{self, Expected};

pub use read::{Collaborator, CollaboratorType, Filter, get, list};
pub use search::{LONGEST_QUERY, Piece, Search, search};

/// Changes what a membership allows by itself; what its user's groups allow stays. A level that it has
/// already is no change: nothing is written, and nothing recorded.
///
/// # Errors
/// `forbidden`; what reading `level` gives; `not_found`; `precondition_failed`; `last_owner`.
pub async fn set_permission_level(
    app: &App,
    caller: &Caller,
    identity_id: Id<Membership>,
    expected: &Expected,
    level: impl Future<Output = Result<PermissionLevel>>,
) -> Result<Collaborator> {
    app.authorize(caller, Action::CollaboratorUpdate).await?;
    let level = level.await?;
    if level == PermissionLevel::Owner {
        app.authorize(caller, Action::OwnerGrant).await?;
    }
    app.change(caller, Action::CollaboratorUpdate, Target::Nothing, async |change| {
        owners::lock(change).await?;
        let member = locked(change, identity_id, expected).await?;
        if member.own_level == level {
            change.take_back();
            return Ok(());
        }
        write::set_level(change, member.user_id, level).await?;
        change.record(Event::CollaboratorUpdated { user_id: member.user_id, from: member.own_level, to: level });
        owners::hold(change).await
    })
    .await?;
    get(app, caller, identity_id).await
}

/// Ends a membership, and with it the account, of a person or a program: see [`users::delete`].
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `last_owner`.
pub async fn remove(app: &App, caller: &Caller, identity_id: Id<Membership>, expected: &Expected) -> Result<()> {
    app.change(caller, Action::CollaboratorRemove, Target::Nothing, async |change| {
        owners::lock(change).await?;
        let member = locked(change, identity_id, expected).await?;
        users::write::delete(change, &[member.user_id], None).await?;
        change.record(Event::CollaboratorRemoved(member.user_id));
        owners::hold(change).await
    })
    .await
}

/// The user of a membership, locked: whom the change is about.
async fn locked(change: &mut Change, identity_id: Id<Membership>, expected: &Expected) -> Result<Member> {
    let member = users::lock::member(change, identity_id).await?;
    let member = member.ok_or_else(|| read::not_found(identity_id))?;
    change.set_target(Target::User(member.user_id));
    expected.hold(member.revision)?;
    Ok(member)
}
