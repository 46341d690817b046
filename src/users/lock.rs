//! Locking users before they are changed.
//!
//! The rows stay locked until the transaction ends. Several users are locked in the order of their IDs, so that two
//! lists wait for each other instead of deadlocking.

use chrono::{DateTime, Utc};
use std::collections::HashMap;

use super::attributes;
use super::edit::Edit;
use super::expiry;
use super::write::{FieldChange, Update};
use super::{Attributes, Expiry, Line, Name, Status};
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Membership, Organization, User};

/// A user whose row is locked.
#[derive(Debug)]
pub(crate) struct LockedUser {
    pub(crate) user_id: Id<User>,
    pub(crate) revision: i64,
    pub(crate) is_service_account: bool,
    pub(crate) status: Status,
    name: String,
    lastname: Option<String>,
    title: Option<String>,
    email: String,
    email_key: String,
    is_sso_user: bool,
    expires_at: Option<DateTime<Utc>>,
    attributes: Attributes,
}

impl LockedUser {
    /// The key by which the address is compared.
    pub(crate) fn email_key(&self) -> &str {
        &self.email_key
    }

    /// The address as it was entered.
    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    /// Applies an edit of the account, without the level of the membership. `None` if the edit changes nothing.
    /// Whether the account has expired.
    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_by(&Edit::default(), now)
    }

    /// Whether the account has expired after an edit.
    pub(crate) fn expires_by(&self, edit: &Edit, now: DateTime<Utc>) -> bool {
        self.expiry_after(edit).is_some_and(|expires_at| expires_at <= now)
    }

    fn expiry_after(&self, edit: &Edit) -> Option<DateTime<Utc>> {
        edit.expires_at.map_or(self.expires_at, |expiry| expiry.map(Expiry::time))
    }

    pub(super) fn apply(&self, edit: &Edit) -> Option<Update> {
        let text = |new: &Option<Option<Line>>, old: &Option<String>| match new {
            None => old.clone(),
            Some(line) => line.as_ref().map(|line| line.as_str().to_owned()),
        };
        let Edit { name, lastname, title, email, is_sso_user, permission_level: _, expires_at: _, attributes: patch } =
            edit;
        let update = Update {
            user_id: self.user_id,
            name: name.as_ref().map_or(self.name.as_str(), Name::as_str).to_owned(),
            lastname: text(lastname, &self.lastname),
            title: text(title, &self.title),
            email: email.as_ref().map_or(self.email.as_str(), |email| email.as_str()).to_owned(),
            email_key: email.as_ref().map_or(self.email_key.as_str(), |email| email.key()).to_owned(),
            email_key_before: self.email_key.clone(),
            is_sso_user: is_sso_user.unwrap_or(self.is_sso_user),
            expires_at: self.expiry_after(edit),
            attributes: patch.as_ref().map_or_else(|| self.attributes.clone(), |patch| self.attributes.with(patch)),
            changes: Vec::new(),
        };
        let (expiry_before, expiry_after) = (self.expires_at.map(expiry::text), update.expires_at.map(expiry::text));
        // One entry for each field of an edit: a field without one is neither written nor recorded.
        let changes: Vec<FieldChange> = [
            ("name", Some(self.name.as_str()), Some(update.name.as_str())),
            ("lastname", self.lastname.as_deref(), update.lastname.as_deref()),
            ("title", self.title.as_deref(), update.title.as_deref()),
            ("email", Some(&self.email), Some(&update.email)),
            ("is_sso_user", Some(flag(self.is_sso_user)), Some(flag(update.is_sso_user))),
            ("expires_at", expiry_before.as_deref(), expiry_after.as_deref()),
        ]
        .into_iter()
        // An empty text is the same as none, as in a CSV file.
        .filter(|(_, before, after)| before.filter(|text| !text.is_empty()) != after.filter(|text| !text.is_empty()))
        .map(|(field, before, after)| FieldChange::new(field, before, after))
        .chain(self.attributes.changes(&update.attributes).map(|(key, before, after)| FieldChange {
            field: format!("{}{key}", attributes::PREFIX).into(),
            before,
            after,
        }))
        .collect();
        (!changes.is_empty()).then_some(Update { changes, ..update })
    }
}

const fn flag(is_set: bool) -> &'static str {
    if is_set { "true" } else { "false" }
}

/// Locks users. Returns those that exist, in the order of their IDs.
pub(crate) async fn all(change: &mut Change, users: &[Id<User>]) -> Result<Vec<LockedUser>> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_as!(
        LockedUser,
        r#"
        select
            user_id as "user_id: Id<User>", revision, is_service_account, status as "status: Status", name, lastname,
            title, email, email_key, is_sso_user, expires_at, attributes as "attributes: Attributes"
        from users
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for update
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?)
}

/// The own levels of locked users, which change only while their users are locked. A statement after the lock: the one
/// that waits for it would return the membership as it was before.
pub(super) async fn own_levels(change: &mut Change, users: &[Id<User>]) -> Result<HashMap<Id<User>, PermissionLevel>> {
    let organization_id = change.organization_id();
    let levels = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", permission_level as "permission_level: PermissionLevel"
        from collaborators
        where organization_id = $1 and user_id = any($2)
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .fetch_all(change.connection())
    .await?;
    Ok(levels.into_iter().map(|row| (row.user_id, row.permission_level)).collect())
}

/// Locks the rows of users, without reading them.
pub(crate) async fn rows(change: &mut Change, users: &[Id<User>]) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        select from users
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Locks one user.
pub(super) async fn one(change: &mut Change, user_id: Id<User>) -> Result<Option<LockedUser>> {
    Ok(all(change, &[user_id]).await?.pop())
}

/// Locks the memberships of users whose access is about to end or to be lowered, which waits for the commits that rest
/// on them ([`crate::change`]), and confirms the caller's own access while it lasts.
pub(crate) async fn memberships(change: &mut Change, users: &[Id<User>]) -> Result<()> {
    lock_memberships(change, users).await?;
    change.confirm_own_access(users).await
}

/// As [`memberships`], with the API keys in the order of their IDs, for users who are about to be deleted.
pub(super) async fn memberships_and_keys(change: &mut Change, users: &[Id<User>]) -> Result<()> {
    lock_memberships(change, users).await?;
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        select from api_keys
        where organization_id = $1 and user_id = any($2)
        order by key_id
        for update
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    change.confirm_own_access(users).await
}

async fn lock_memberships(change: &mut Change, users: &[Id<User>]) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        select from collaborators
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for no key update
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// A member whose user's row is locked.
#[derive(Debug)]
pub(crate) struct LockedMember {
    pub(crate) user_id: Id<User>,
    pub(crate) revision: i64,
    pub(crate) own_level: PermissionLevel,
    pub(crate) is_service_account: bool,
}

/// Locks the user of a membership.
pub(crate) async fn member(change: &mut Change, identity_id: Id<Membership>) -> Result<Option<LockedMember>> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_as!(
        LockedMember,
        r#"
        select
            user_id as "user_id: Id<User>", u.revision, c.permission_level as "own_level: PermissionLevel",
            u.is_service_account
        from collaborators c
        join users u using (organization_id, user_id)
        where c.organization_id = $1 and u.organization_id = $1 and c.identity_id = $2
        for update of u
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<Membership>,
    )
    .fetch_optional(change.connection())
    .await?)
}
