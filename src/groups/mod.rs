//! Groups of users. The organization's policy ([`crate::policies`]) grants permissions to the members of a group.
//!
//! # Decisions
//!
//! *Changes of one group run one after the other*: each locks the group's row first. So a group can't be deleted while
//! users are added to it, and two lists with common users don't deadlock.
//!
//! *Adding a member to a group of owners requires the permission to make owners*, [`Action::OwnerGrant`]. Otherwise an
//! API key that may only edit groups could make owners.
//!
//! *An audit event names at most 1,000 users.* A list of 100,000 is recorded as a hundred events, so that a page of the
//! audit log stays small.

mod member_list;
mod memberships;
mod name;
mod read;
mod write;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, User};
use crate::names::names;
use crate::rows::ListLimits;

use member_list::MemberList;
pub use member_list::MemberRows;
pub use memberships::{MembershipPart, Memberships};
pub use name::GroupName;
pub use read::{by_name, get, list, members};

/// The maximum number of users in one audit event.
const MAX_USERS_PER_EVENT: usize = 1000;

/// A group of users.
#[derive(Debug)]
pub struct Group {
    /// The ID of the group.
    pub group_id: Id<id::Group>,
    /// The name as it was entered. Unique within the organization, ignoring case.
    pub name: String,
    /// The system that manages the group.
    pub source: GroupSource,
    /// The level that the organization's policy grants to the members; `None` if the policy does not name the group.
    pub base_role: Option<PermissionLevel>,
    /// When the group was created.
    pub created_at: DateTime<Utc>,
    /// When the group was last renamed.
    pub updated_at: DateTime<Utc>,
}

names! {
    /// The system that manages a group.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum GroupSource {
        /// muster.
        User = "user",
        /// A directory, through SCIM. Read-only in muster.
        Scim = "scim",
    }
}

/// A member of a group.
#[derive(Debug)]
pub struct GroupMember {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The address as it was entered.
    pub email: String,
    /// First and last name.
    pub name: String,
    /// When the user was added to the group.
    pub added_at: DateTime<Utc>,
}

/// The result of adding or removing a list of members, in numbers of users.
#[derive(Clone, Copy, Debug)]
pub struct MemberCounts {
    /// Users that were added or removed.
    pub changed: usize,
    /// Users that were already members, or were not members.
    pub unchanged: usize,
}

/// Creates an empty group. The name is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the name; `invalid_request` for an invalid name; `conflict` for a name that
/// another group has.
pub async fn create(app: &App, caller: &Caller, name: impl Future<Output = Result<String>>) -> Result<Group> {
    app.authorize(caller, Action::GroupCreate).await?;
    let name = GroupName::parse(&name.await?)?;
    app.change(caller, Action::GroupCreate, Target::Nothing, async |change| {
        let group_id = Id::new(change.now());
        write::insert(change, group_id, &name).await?;
        read::find(change.connection(), caller.organization_id, group_id).await
    })
    .await
}

/// Renames a group.
///
/// # Errors
/// As [`create`]; `not_found`; `conflict` for a group that a directory manages.
pub async fn rename(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    name: impl Future<Output = Result<String>>,
) -> Result<Group> {
    app.authorize(caller, Action::GroupUpdate).await?;
    let name = GroupName::parse(&name.await?)?;
    app.change(caller, Action::GroupUpdate, Target::Group(group_id), async |change| {
        lock(change, group_id).await?;
        write::rename(change, group_id, &name).await?;
        read::find(change.connection(), caller.organization_id, group_id).await
    })
    .await
}

/// Deletes a group and returns its last state. The members stay in the organization and lose the permissions that the
/// group granted.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` for a group that a directory manages; `last_owner`.
pub async fn delete(app: &App, caller: &Caller, group_id: Id<id::Group>) -> Result<Group> {
    app.change(caller, Action::GroupDelete, Target::Group(group_id), async |change| {
        owners::lock(change).await?;
        lock(change, group_id).await?;
        let group = read::find(change.connection(), caller.organization_id, group_id).await?;
        write::delete(change, group_id).await?;
        owners::require_one(change).await?;
        Ok(group)
    })
    .await
}

/// A change of a group's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Adds users.
    Add,
    /// Removes users.
    Remove,
}

/// Adds a list of users to a group or removes them, all or none, with a complete report. Users who are already members, or are not, are unchanged. A dry run executes everything
/// and rolls back. The rows are read after the permission check.
///
/// # Errors
/// `forbidden`, also for a caller who can't make owners and adds users to a group of owners; any error of reading the
/// rows; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`; `batch_rejected` with the complete report;
/// `not_found`; `conflict` for a group that a directory manages; `last_owner` with a finding for each owner.
pub async fn change_members(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    kind: MemberChange,
    dry_run: bool,
    rows: impl Future<Output = Result<MemberRows>>,
) -> Result<MemberCounts> {
    let (action, done) = match kind {
        MemberChange::Add => (Action::GroupAddMembers, "added"),
        MemberChange::Remove => (Action::GroupRemoveMembers, "removed"),
    };
    app.authorize(caller, action).await?;
    let mut list = MemberList::parse(rows.await?, ListLimits::from(&app.config.batch), done).await?;
    app.change_many(caller, action, Target::Group(group_id), dry_run, async |change| {
        if kind == MemberChange::Remove {
            owners::lock(change).await?;
        }
        lock(change, group_id).await?;
        if kind == MemberChange::Add && read::grants_owner(change, group_id).await? {
            change.authorize(Action::OwnerGrant)?;
        }
        let users = list.find(change).await?;
        let changed = match kind {
            MemberChange::Add => write::add(change, group_id, &users).await?,
            MemberChange::Remove => {
                let owners = owners::among(change, &users).await?;
                let removed = write::remove(change, group_id, &users).await?;
                owners::require_one_or_report(change, list.last_owners(&owners)).await?;
                removed
            }
        };
        let counts = MemberCounts { changed: changed.len(), unchanged: users.len() - changed.len() };
        record(change, changed, |users| match kind {
            MemberChange::Add => Event::GroupMembersAdded { group_id, users },
            MemberChange::Remove => Event::GroupMembersRemoved { group_id, users },
        });
        Ok(counts)
    })
    .await
}

/// Records a list of users as events of at most [`MAX_USERS_PER_EVENT`] users; an empty list as one event.
fn record(change: &mut Change, users: Vec<Id<User>>, event: impl Fn(Vec<Id<User>>) -> Event) {
    if users.is_empty() {
        change.record(event(users));
        return;
    }
    for chunk in users.chunks(MAX_USERS_PER_EVENT) {
        change.record(event(chunk.to_vec()));
    }
}

/// Locks a group and checks that muster manages it.
async fn lock(change: &mut Change, group_id: Id<id::Group>) -> Result<()> {
    match read::lock_source(change, group_id).await? {
        None => Err(not_found(group_id)),
        Some(GroupSource::User) => Ok(()),
        Some(GroupSource::Scim) => {
            let detail = format!("group {group_id} is managed by a directory (SCIM); change the group there");
            Err(Error::new(Code::Conflict, detail))
        }
    }
}

fn not_found(group_id: Id<id::Group>) -> Error {
    Error::new(Code::NotFound, format!("there is no group {group_id} in this organization"))
}
