//! Groups: users who get permissions together. What the members of one may do is the organization's
//! policy ([`crate::policies`]).
//!
//! # Decisions
//!
//! *Edits of one group are made one after the other*: each locks the group's row first. So a group can't
//! vanish while users are put into it, and two lists with common users don't wait for each other in turn.
//!
//! *Putting somebody among the owners takes what making an owner takes*: [`Action::OwnerGrant`]. A key that
//! was made to edit groups would else make owners.
//!
//! *An audit entry names 1,000 users at most.* A list of 100,000 has a hundred of them, and a
//! page of the log stays a page.

mod memberships;
mod name;
mod read;
mod who;
mod write;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, User};

pub use memberships::{Memberships, Part};
pub use name::GroupName;
pub use read::{get, list, members};
use who::Who;

/// How many users one audit entry names.
const NAMED_AT_ONCE: usize = 1000;

/// Users who get permissions together.
#[derive(Debug)]
pub struct Group {
    /// Which.
    pub group_id: Id<id::Group>,
    /// As it was written. No two groups of an organization have names that differ in case only.
    pub name: String,
    /// `user`: made and edited here. `scim`: kept by a directory.
    pub source: String,
    /// What the organization's policy lets its members be: `owner`, `collaborator`, or nothing in particular.
    pub base_role: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it got its name.
    pub updated_at: DateTime<Utc>,
}

/// Somebody in a group.
#[derive(Debug)]
pub struct Member {
    /// Who.
    pub user_id: Id<User>,
    /// The address as it was written.
    pub email: String,
    /// First and last name.
    pub name: String,
    /// Since when.
    pub added_at: DateTime<Utc>,
}

/// How a list has changed who is in a group.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// How many were put in, or taken out.
    pub changed: usize,
    /// How many were in already, or were not in at all.
    pub unchanged: usize,
}

/// Makes a group of nobody.
///
/// The name is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`; what reading the name gives; `invalid_request` for a name that can't be one; `conflict`
/// when a group has it.
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

/// Gives a group another name.
///
/// # Errors
/// As [`create`]; `not_found`; `conflict` when a directory keeps the group.
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

/// Deletes a group. Its members stay, without what it was bound to. Gives it as it was.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when a directory keeps it; `last_owner`.
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

/// Puts users into a group: all of a list, or none and a report on every row. Each row of the JSON array has
/// `user`, an id or an address. Those who are in it already stay. A dry run does everything, and takes it back.
///
/// The body is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`, also for a key that may not make owners when the group is one of owners; what reading the
/// body gives; `invalid_json`, `invalid_request`, `empty_batch`, `too_large`; `batch_rejected` with the
/// complete report; `not_found`; `conflict` when a directory keeps the group.
pub async fn add_members(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    dry_run: bool,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Changed> {
    app.authorize(caller, Action::GroupAddMembers).await?;
    let mut who = Who::parse(body.await?, app.config.batch.max_users, "added").await?;
    app.change_many(caller, Action::GroupAddMembers, Target::Group(group_id), async |change| {
        if dry_run {
            change.take_back();
        }
        lock(change, group_id).await?;
        if read::is_of_owners(change, group_id).await? {
            change.authorize(Action::OwnerGrant)?;
        }
        let users = who.find(change).await?;
        let added = write::add(change, group_id, &users).await?;
        let counted = Changed { changed: added.len(), unchanged: users.len() - added.len() };
        record(change, added, |users| Event::GroupMembersAdded { group_id, users });
        Ok(counted)
    })
    .await
}

/// Takes users out of a group: all of a list, or none and a report on every row. Those who are not in it
/// stay out.
///
/// # Errors
/// As [`add_members`]; `last_owner` with a finding for each owner.
pub async fn remove_members(
    app: &App,
    caller: &Caller,
    group_id: Id<id::Group>,
    dry_run: bool,
    body: impl Future<Output = Result<Bytes>>,
) -> Result<Changed> {
    app.authorize(caller, Action::GroupRemoveMembers).await?;
    let mut who = Who::parse(body.await?, app.config.batch.max_users, "removed").await?;
    app.change_many(caller, Action::GroupRemoveMembers, Target::Group(group_id), async |change| {
        if dry_run {
            change.take_back();
        }
        owners::lock(change).await?;
        lock(change, group_id).await?;
        let users = who.find(change).await?;
        let owners = owners::among(change, &users).await?;
        let removed = write::remove(change, group_id, &users).await?;
        owners::require_one_or_report(change, who.last_owners(&owners)).await?;
        let counted = Changed { changed: removed.len(), unchanged: users.len() - removed.len() };
        record(change, removed, |users| Event::GroupMembersRemoved { group_id, users });
        Ok(counted)
    })
    .await
}

/// Records a list as events of so many users each; one of nobody as one event.
fn record(change: &mut Change, users: Vec<Id<User>>, event: impl Fn(Vec<Id<User>>) -> Event) {
    if users.is_empty() {
        change.record(event(users));
        return;
    }
    for some in users.chunks(NAMED_AT_ONCE) {
        change.record(event(some.to_vec()));
    }
}

/// Makes everybody else who edits the group wait, and checks that it can be edited here.
async fn lock(change: &mut Change, group_id: Id<id::Group>) -> Result<()> {
    match read::locked_source(change, group_id).await?.as_deref() {
        None => Err(not_found(group_id)),
        Some("user") => Ok(()),
        Some(_) => {
            let sentence = format!("group {group_id} is kept by a directory (SCIM): change it there");
            Err(Error::new(Code::Conflict, sentence))
        }
    }
}

fn not_found(group_id: Id<id::Group>) -> Error {
    Error::new(Code::NotFound, format!("there is no group {group_id} in this organization"))
}
