//! What applying a list does, in the transaction that does it or in a dry run.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::read;
use super::row::Listed;
use super::{AppliedUser, Prepared, UserAction};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::field::UserField;
use crate::id::{Id, User};
use crate::report::{Finding, Report};
use crate::users::lock::{self, LockedUser};
use crate::users::{self, Changes, FieldChange, Status, user_ref};

/// The differences between a list and the users, who are locked.
pub(super) struct Differences<'a> {
    /// The rows of existing users.
    pub(super) found: Vec<(&'a Listed, LockedUser)>,
    pub(super) changes: Changes,
    /// The listed users whose status changes.
    pub(super) statuses: Vec<(Id<User>, Status)>,
    /// Users who are not in the list, and are suspended for it.
    pub(super) missing: Vec<LockedUser>,
}

impl<'a> Differences<'a> {
    /// Locks the users and compares them with the list. What can't be applied becomes a finding.
    pub(super) async fn find(
        change: &mut Change,
        prepared: &'a Prepared,
        suspend_missing: bool,
        report: &mut Report,
    ) -> Result<Self> {
        let users: Vec<_> = prepared.listed.iter().map(|row| &row.user).collect();
        let ids = user_ref::ids(change, &users).await?;
        let listed: Vec<Id<User>> = ids.iter().flatten().copied().collect();
        let missing = if suspend_missing { missing(change, &listed, prepared.max_users).await? } else { Vec::new() };
        let all: Vec<Id<User>> = listed.into_iter().chain(missing.iter().copied()).collect();
        let mut locked: HashMap<Id<User>, LockedUser> =
            lock::all(change, &all).await?.into_iter().map(|user| (user.user_id, user)).collect();
        let is_found =
            |user: &user_ref::UserRef, id| locked.get(&id).is_some_and(|locked| user.is_of(locked.email_key()));
        let rows = prepared.listed.iter().map(|row| (row.index, &row.user, row.named_by));
        let places = user_ref::distinct(rows, ids, is_found, report);
        let found: Vec<_> = places
            .into_iter()
            .filter_map(|(place, id)| Some((prepared.listed.get(place)?, locked.remove(&id)?)))
            .collect();
        for (row, _) in found.iter().filter(|(_, user)| user.is_service_account) {
            let message = "is a service account, which a list of people can't change; remove the row";
            report.add(Finding::field(row.index, row.named_by, "service_account", message));
        }
        let edits: Vec<_> = found.iter().map(|(row, user)| (row.index, user, &row.edit)).collect();
        let changes = Changes::of(change, &edits).await?;
        let new = prepared.new_rows().map(|(index, account)| (account.user.email.key(), index)).collect();
        changes.check_attributes(report);
        changes.check_addresses(change, new, report).await?;
        changes.check_expiries(change.now(), report);
        for (row, user) in &found {
            if row.status == Some(Status::Active)
                && user.status == Status::Suspended
                && user.expires_by(&row.edit, change.now())
            {
                report.add(Finding::field(row.index, UserField::Status, "expired", users::EXPIRED));
            }
        }
        let statuses = found.iter().filter_map(|(row, user)| {
            let status = row.status.filter(|status| *status != user.status)?;
            Some((user.user_id, status))
        });
        let statuses = statuses.collect();
        let missing =
            missing.into_iter().filter_map(|id| locked.remove(&id).filter(|user| user.status == Status::Active));
        let missing = missing.collect();
        Ok(Self { found, changes, statuses, missing })
    }

    /// Identifies what is done to whom, and the state of the users before: with the text of the list, all that determines
    /// the outcome.
    pub(super) fn digest(&self, prepared: &Prepared, organization_id: Uuid, suspend_missing: bool) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(b"apply");
        digest.update(organization_id);
        digest.update([u8::from(suspend_missing), u8::from(prepared.must_change)]);
        let existing = self.found.iter().map(|(_, user)| user);
        for (group, user) in existing.map(|user| (b'=', user)).chain(self.missing.iter().map(|user| (b'-', user))) {
            digest.update([group]);
            digest.update(Uuid::from(user.user_id));
            digest.update(user.revision.to_be_bytes());
        }
        for (account, credential) in prepared.new.iter().zip(&prepared.credentials) {
            digest.update(b"+");
            digest.update(account.user.email.key());
            digest.update([0]);
            digest.update(credential);
            digest.update([0]);
        }
        digest.finalize().into()
    }

    /// The users who lose access or ownership.
    pub(super) fn lowered(&self) -> Vec<Id<User>> {
        let owners = self.changes.who_may_lose_ownership();
        owners.into_iter().chain(self.suspended()).collect()
    }

    pub(super) fn suspended(&self) -> Vec<Id<User>> {
        let listed = self.statuses.iter().filter(|(_, status)| *status == Status::Suspended).map(|(id, _)| *id);
        listed.chain(self.missing.iter().map(|user| user.user_id)).collect()
    }

    pub(super) fn reactivated(&self) -> Vec<Id<User>> {
        self.statuses.iter().filter(|(_, status)| *status == Status::Active).map(|(id, _)| *id).collect()
    }

    /// The existing users that change, in the order of the list, then those who are missing.
    pub(super) fn users(&self) -> Vec<(usize, AppliedUser)> {
        let mut changes: HashMap<Id<User>, Vec<FieldChange>> = HashMap::new();
        for (user_id, change) in &self.changes.fields {
            changes.entry(*user_id).or_default().push(change.clone());
        }
        let before: HashMap<Id<User>, Status> =
            self.found.iter().map(|(_, user)| (user.user_id, user.status)).collect();
        for (user_id, status) in &self.statuses {
            let before = before.get(user_id).map(|status| status.as_str());
            changes.entry(*user_id).or_default().push(FieldChange::new("status", before, Some(status.as_str())));
        }
        let listed = self.found.iter().filter_map(|(row, user)| {
            let changes = changes.remove(&user.user_id)?;
            Some((row.index, AppliedUser::existing(UserAction::Change, user, changes)))
        });
        let mut users: Vec<(usize, AppliedUser)> = listed.collect();
        users.extend(self.missing.iter().map(|user| {
            let status = FieldChange::new("status", Some(Status::Active.as_str()), Some(Status::Suspended.as_str()));
            (usize::MAX, AppliedUser::existing(UserAction::Suspend, user, vec![status]))
        }));
        users
    }

    /// The listed users among `owners`, who may be the last ones.
    pub(super) fn report_owners(&self, owners: &[Id<User>], report: &mut Report) {
        let owners: HashSet<&Id<User>> = owners.iter().collect();
        for (row, _) in self.found.iter().filter(|(_, user)| owners.contains(&user.user_id)) {
            report.add(Finding::last_owner(row.index, Some(row.named_by), &row.user.shown()));
        }
    }
}

/// The active people who are not listed and are no owners.
async fn missing(change: &mut Change, listed: &[Id<User>], max_users: usize) -> Result<Vec<Id<User>>> {
    let organization_id = change.organization_id();
    let limit = i64::try_from(max_users.saturating_add(1)).unwrap_or(i64::MAX);
    let missing = read::missing(change.connection(), organization_id, listed, limit).await?;
    if missing.len() <= max_users {
        return Ok(missing);
    }
    let message = format!(
        "more than {max_users} users are missing from the list (setting `batch.max_users`), and would be suspended; is the \
         list complete?"
    );
    Err(Error::new(Code::TooLarge, message))
}
