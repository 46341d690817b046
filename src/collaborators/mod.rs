//! Collaborators: the members of an organization, and their permission levels.
//!
//! A user belongs to exactly one organization, so a membership and its account are created and deleted together.

mod attention;
mod browse;
mod candidates;
mod filter;
pub(crate) mod owners;
mod read;
mod search;
mod select;
pub(crate) mod write;

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Id, Membership};
use crate::users::lock::LockedMember;
use crate::users::{self, AccountKind, Expected, UserDetails};

pub use attention::{AttentionTotals, attention};
pub use browse::{MOST_COUNTED, Person, Total, View, ViewTotals, browse, by_ids, count, list_key, select_all, views};
pub use filter::{CollaboratorFilter, MOST_ADDRESSES, MoreFilters, OwnerThrough, PersonQuery, SignInMethod};
pub use read::{attribute_keys, get, list};
pub use search::{LONGEST_QUERY, Search, SearchText, search};
pub use select::PeopleOrder;

/// Changes a member's own permission level; permissions from groups are unaffected. Setting the current level writes
/// and records nothing.
///
/// # Errors
/// `forbidden`; any error of reading `level`; `not_found`; `precondition_failed`; `last_owner`.
pub async fn set_permission_level(
    app: &App,
    caller: &Caller,
    identity_id: Id<Membership>,
    expected: &Expected,
    level: impl Future<Output = Result<PermissionLevel>>,
) -> Result<UserDetails> {
    app.authorize(caller, Action::CollaboratorUpdate).await?;
    let level = level.await?;
    app.change(caller, Action::CollaboratorUpdate, Target::Nothing, async |change| {
        if level == PermissionLevel::Owner {
            change.authorize(Action::OwnerGrant)?;
        }
        owners::lock(change).await?;
        let member = lock(change, identity_id, expected).await?;
        if level == PermissionLevel::Collaborator {
            users::check_own_account(change, member.user_id)?;
        }
        if member.own_level == level {
            change.dry_run();
            return Ok(());
        }
        write::set_level(change, &[member.user_id], member.own_level, level).await?;
        owners::require_one(change).await
    })
    .await?;
    read::find(app, caller, identity_id).await
}

/// Deletes a membership together with its account, if the account is of this kind: see [`users::delete`].
///
/// # Errors
/// `forbidden`; `not_found`; `precondition_failed`; `conflict` for another kind of account; `last_owner`.
pub async fn remove(
    app: &App,
    caller: &Caller,
    identity_id: Id<Membership>,
    kind: AccountKind,
    expected: &Expected,
) -> Result<()> {
    app.change(caller, Action::CollaboratorRemove, Target::Nothing, async |change| {
        owners::lock(change).await?;
        let member = lock(change, identity_id, expected).await?;
        users::check_own_account(change, member.user_id)?;
        kind.check(member.is_service_account)?;
        users::write::delete(change, &[member.user_id], None).await?;
        change.record(Event::CollaboratorRemoved(member.user_id));
        owners::require_one(change).await
    })
    .await
}

/// Locks the user of a membership and makes the user the target of the change.
async fn lock(change: &mut Change, identity_id: Id<Membership>, expected: &Expected) -> Result<LockedMember> {
    let member = users::lock::member(change, identity_id).await?;
    let member = member.ok_or_else(|| Error::not_found("collaborator", identity_id))?;
    change.set_target(Target::User(member.user_id));
    expected.check(member.revision)?;
    Ok(member)
}
