//! Changes of the fields of locked users: computing them, and writing them. One user, lists of changes and applied files
//! share them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::InvalidExpiry;
use super::edit::Edit;
use super::lock::{self, LockedUser};
use super::read;
use super::write::{self, FieldChange, Update};
use crate::caller::{Action, PermissionLevel};
use crate::change::Change;
use crate::collaborators::{self, owners};
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, User};
use crate::report::{Finding, Report};

/// The changes of some users. A user without a change has no entry.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The changes of accounts, each with the index of its row.
    updates: Vec<(usize, Update)>,
    levels: Vec<LevelChange>,
    /// All changed fields, in the order of the list.
    pub(crate) fields: Vec<(Id<User>, FieldChange)>,
}

#[derive(Debug)]
struct LevelChange {
    user_id: Id<User>,
    from: PermissionLevel,
    to: PermissionLevel,
}

impl Changes {
    /// Applies edits to locked users, each with the index of its row.
    pub(crate) async fn of(change: &mut Change, edits: &[(usize, &LockedUser, &Edit)]) -> Result<Self> {
        let with_level = edits.iter().filter(|(_, _, edit)| edit.permission_level.is_some());
        let with_level: Vec<Id<User>> = with_level.map(|(_, user, _)| user.user_id).collect();
        let own_levels = match with_level.is_empty() {
            true => HashMap::new(),
            false => lock::own_levels(change, &with_level).await?,
        };
        let mut changes = Self::default();
        for (index, user, edit) in edits {
            let user_id = user.user_id;
            if let Some(update) = user.apply(edit) {
                changes.fields.extend(update.changes.iter().map(|change| (user_id, change.clone())));
                changes.updates.push((*index, update));
            }
            if let (Some(to), Some(from)) = (edit.permission_level, own_levels.get(&user_id).copied())
                && from != to
            {
                let change = FieldChange::new("permission_level", Some(from.as_str()), Some(to.as_str()));
                changes.fields.push((user_id, change));
                changes.levels.push(LevelChange { user_id, from, to });
            }
        }
        Ok(changes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The users who change.
    pub(crate) fn users(&self) -> HashSet<Id<User>> {
        self.fields.iter().map(|(user_id, _)| *user_id).collect()
    }

    /// The members who get the level.
    pub(crate) fn who_become(&self, level: PermissionLevel) -> Vec<Id<User>> {
        self.levels.iter().filter(|change| change.to == level).map(|change| change.user_id).collect()
    }

    /// The members who may no longer be permanent owners.
    pub(crate) fn who_may_lose_ownership(&self) -> Vec<Id<User>> {
        let with_expiry = self.updates.iter().filter(|(_, update)| update.new_expiry().is_some());
        let with_expiry = with_expiry.map(|(_, update)| update.user_id);
        self.who_become(PermissionLevel::Collaborator).into_iter().chain(with_expiry).collect()
    }

    /// Finds new expiries in the past.
    pub(crate) fn check_expiries(&self, now: DateTime<Utc>, report: &mut Report) {
        for (index, update) in &self.updates {
            if update.new_expiry().is_some_and(|expires_at| expires_at <= now) {
                let why = InvalidExpiry::Past;
                report.add(Finding::field(*index, UserField::ExpiresAt, why.code(), why.message()));
            }
        }
    }

    /// Finds users who would have too many or too long attributes.
    pub(crate) fn check_attributes(&self, report: &mut Report) {
        for (index, update) in &self.updates {
            update.attributes.check_size(*index).into_iter().for_each(|finding| report.add(finding));
        }
    }

    /// Finds addresses that belong to a user who keeps theirs, and those that two rows take. `of_new_users` are the
    /// addresses of the list's new users, by key, with the indexes of their rows.
    pub(crate) async fn check_addresses(
        &self,
        change: &mut Change,
        of_new_users: HashMap<&str, usize>,
        report: &mut Report,
    ) -> Result<()> {
        let moving: Vec<&(usize, Update)> = self.updates.iter().filter(|(_, update)| update.moves()).collect();
        if moving.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = moving.iter().map(|(_, update)| update.email_key.as_str()).collect();
        let organization_id = change.organization_id();
        let holders = read::by_address(change.connection(), organization_id, &keys, None).await?;
        let given_up: HashSet<Id<User>> = moving.iter().map(|(_, update)| update.user_id).collect();
        let holders: HashSet<String> =
            holders.into_iter().filter(|(_, id)| !given_up.contains(id)).map(|(key, _)| key).collect();
        let mut first_with = of_new_users;
        for (index, update) in moving {
            if holders.contains(&update.email_key) {
                report.add(Finding::email_taken(*index, &update.email));
            } else if let Some(first) = first_with.get(update.email_key.as_str()) {
                report.add(Finding::email_twice(*index, *first, &update.email));
            } else {
                first_with.insert(&update.email_key, *index);
            }
        }
        Ok(())
    }

    /// Writes the changes.
    ///
    /// # Errors
    /// `forbidden`; `email_taken` if an address belongs to another user.
    pub(crate) async fn write(&self, change: &mut Change) -> Result<()> {
        let updates: Vec<&Update> = self.updates.iter().map(|(_, update)| update).collect();
        let with_another_way_in = updates.iter().filter(|update| update.moves() || update.switches());
        let with_another_way_in: Vec<Id<User>> = with_another_way_in.map(|update| update.user_id).collect();
        if !with_another_way_in.is_empty() && owners::include_one_of(change, &with_another_way_in).await? {
            change.authorize(Action::OwnerUpdate)?;
        }
        if !updates.is_empty() {
            write::update(change, &updates).await?;
        }
        for to in [PermissionLevel::Owner, PermissionLevel::Collaborator] {
            let members = self.who_become(to);
            let Some(from) = self.levels.iter().find(|change| change.to == to).map(|change| change.from) else {
                continue;
            };
            if to == PermissionLevel::Owner {
                change.authorize(Action::OwnerGrant)?;
            }
            collaborators::write::set_level(change, &members, from, to).await?;
        }
        Ok(())
    }

    /// As [`Changes::write`], after [`Changes::check_addresses`]: an address that a concurrent transaction takes in between
    /// is retried, and the next attempt reports it as a finding.
    pub(crate) async fn write_checked(&self, change: &mut Change) -> Result<()> {
        let is_taken = |error: &Error| error.code() == Code::EmailTaken;
        self.write(change).await.map_err(|error| if is_taken(&error) { error.retryable() } else { error })
    }
}
