//! Users who are about to be changed: locked until the end of the change, and what they are now.
//!
//! Several are locked in the order of their ids, so that two lists wait for each other instead of deadlocking.

use uuid::Uuid;

use super::edit::Edit;
use super::write::Update;
use super::{Line, Name, Status};
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Membership, User};

/// A user who is locked.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) user_id: Id<User>,
    pub(crate) revision: i64,
    pub(crate) is_service_account: bool,
    name: String,
    lastname: Option<String>,
    title: Option<String>,
    email: String,
    email_key: String,
    status: String,
}

impl Locked {
    /// Whether they are in this state.
    pub(crate) fn is(&self, status: Status) -> bool {
        self.status == status.as_str()
    }

    /// The address as it is compared.
    pub(crate) fn email_key(&self) -> &str {
        &self.email_key
    }

    /// What an edit makes of them; `None`: nothing else than they are.
    pub(super) fn edited(&self, edit: &Edit) -> Option<Update> {
        let text = |new: &Option<Option<Line>>, old: &Option<String>| match new {
            None => old.clone(),
            Some(line) => line.as_ref().map(|line| line.as_str().to_owned()),
        };
        let update = Update {
            user_id: self.user_id,
            name: edit.name.as_ref().map_or(self.name.as_str(), Name::as_str).to_owned(),
            lastname: text(&edit.lastname, &self.lastname),
            title: text(&edit.title, &self.title),
            email: edit.email.as_ref().map_or(self.email.as_str(), |email| email.as_str()).to_owned(),
            email_key: edit.email.as_ref().map_or(self.email_key.as_str(), |email| email.key()).to_owned(),
            email_key_before: self.email_key.clone(),
            fields: Vec::new(),
        };
        let fields: Vec<&'static str> = [
            ("name", update.name != self.name),
            ("lastname", update.lastname != self.lastname),
            ("title", update.title != self.title),
            ("email", update.email != self.email),
        ]
        .into_iter()
        .filter_map(|(field, is_new)| is_new.then_some(field))
        .collect();
        (!fields.is_empty()).then_some(Update { fields, ..update })
    }
}

/// Locks users; those who exist come back, in the order of their ids.
pub(crate) async fn all(change: &mut Change, users: &[Id<User>]) -> Result<Vec<Locked>> {
    let organization_id = change.organization_id().uuid();
    let ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    Ok(sqlx::query_as!(
        Locked,
        r#"
        select
            user_id as "user_id: Id<User>", revision, is_service_account, name, lastname, title, email, email_key, status
        from users
        where organization_id = $1 and user_id = any($2)
        order by user_id
        for update
        "#,
        organization_id,
        &ids,
    )
    .fetch_all(change.connection())
    .await?)
}

/// Locks one.
pub(super) async fn one(change: &mut Change, user_id: Id<User>) -> Result<Option<Locked>> {
    Ok(all(change, &[user_id]).await?.pop())
}

/// A user who is locked, by their membership.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) user_id: Id<User>,
    pub(crate) revision: i64,
    pub(crate) own_level: PermissionLevel,
}

/// Locks the user of a membership.
pub(crate) async fn member(change: &mut Change, identity_id: Id<Membership>) -> Result<Option<Member>> {
    let organization_id = change.organization_id().uuid();
    let member = sqlx::query!(
        r#"
        select user_id as "user_id: Id<User>", u.revision, c.permission_level
        from collaborators c
        join users u using (organization_id, user_id)
        where c.organization_id = $1 and c.identity_id = $2
        for update of u
        "#,
        organization_id,
        identity_id.uuid(),
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(member.map(|member| Member {
        user_id: member.user_id,
        revision: member.revision,
        own_level: PermissionLevel::from_database(&member.permission_level),
    }))
}
