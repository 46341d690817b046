//! Finding users.
//!
//! # Decisions
//!
//! *Addresses are looked up one by one, whatever the planner thinks.* `email_key = any(…)` with 10,000
//! addresses reads a table of 1,000,000 users from end to end, on three cores: 94 ms. A lateral subquery
//! that can't be flattened (`offset 0`) leaves nothing but the index: 30 ms, however many users there are.
//! In the order of the index, neighbours find its pages in the cache.
//!
//! *Ids are looked up as a list that the planner can't see into* (`any(array(select unnest($2)))`). It takes a list
//! of unknown length for one of ten; where it sees one of two, it finds that planning for that is worth it each
//! time, and plans four times as long as it looks: 2,000 questions a second for two users each, and 12,900 so.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::EmailAddress;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Batch, Id, Membership, Organization, User};

/// A user, with their membership.
#[derive(Clone, Debug)]
pub struct Details {
    /// Which.
    pub user_id: Id<User>,
    /// The membership.
    pub identity_id: Id<Membership>,
    /// The address as it was written.
    pub email: String,
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Title or position.
    pub title: Option<String>,
    /// Signs in through the organization's identity provider.
    pub is_sso_user: bool,
    /// Whether it is a program.
    pub is_service_account: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// What they may do, by their own level and by their groups: `owner` or `collaborator`.
    pub permission_level: String,
    /// When they were created.
    pub created_at: DateTime<Utc>,
    /// When they were changed last.
    pub updated_at: DateTime<Utc>,
    /// Goes up with every change of the user or of the level.
    pub revision: i64,
}

/// A question for users with their memberships: which of `users u`, in which order.
macro_rules! details {
    ($who:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            Details,
            r#"
            select
                u.user_id as "user_id: Id<User>", c.identity_id as "identity_id: Id<Membership>", u.email, u.name,
                u.lastname, u.title, u.is_sso_user, u.is_service_account, u.status,
                case when exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
                ) then 'owner' else 'collaborator' end as "permission_level!",
                u.created_at, u.updated_at, u.revision
            from users u
            join collaborators c using (organization_id, user_id)
            where u.organization_id = $1 and
            "# + $who,
            $($value),+
        )
    };
}

/// A user as they are now.
pub(super) async fn one(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Option<Details>> {
    Ok(details!("u.user_id = $2", organization_id.uuid(), user_id.uuid()).fetch_optional(connection).await?)
}

/// Users as they are now: those who exist, in the order of their ids.
pub(super) async fn details(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    users: &[Id<User>],
) -> Result<Vec<Details>> {
    let ids: Vec<Uuid> = users.iter().map(|id| id.uuid()).collect();
    let question =
        details!("u.user_id = any(array(select unnest($2::uuid[]))) order by u.user_id", organization_id.uuid(), &ids);
    Ok(question.fetch_all(connection).await?)
}

/// Who has these addresses, by key.
pub(crate) async fn by_address(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    keys: &[&str],
) -> Result<Vec<(String, Id<User>)>> {
    let found = sqlx::query!(
        r#"
        select asked.email_key as "email_key!", found.user_id as "user_id!: Id<User>"
        from
            (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as asked,
            lateral (
                select user_id from users where organization_id = $1 and users.email_key = asked.email_key offset 0
            ) as found
        "#,
        organization_id.uuid(),
        keys as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|row| (row.email_key, row.user_id)).collect())
}

/// Which of the addresses belong to a user already, by their place in the list.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    emails: &[&EmailAddress],
) -> Result<Vec<usize>> {
    let keys: Vec<&str> = emails.iter().map(|email| email.key()).collect();
    let taken = sqlx::query_scalar!(
        r#"
        select asked.email_key as "email_key!"
        from
            (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as asked,
            lateral (
                select from users where organization_id = $1 and users.email_key = asked.email_key offset 0
            ) as taken
        "#,
        organization_id.uuid(),
        &keys as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(places(&keys, taken))
}

/// As [`taken`], inside the change of a batch whose own rows don't count. A statement of its own,
/// so that it sees what was committed since the one that inserted.
pub(crate) async fn taken_before(
    change: &mut Change,
    batch_id: Id<Batch>,
    emails: &[&EmailAddress],
) -> Result<Vec<usize>> {
    let organization_id = change.organization_id().uuid();
    let keys: Vec<&str> = emails.iter().map(|email| email.key()).collect();
    let taken = sqlx::query_scalar!(
        r#"
        select asked.email_key as "email_key!"
        from
            (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as asked,
            lateral (
                select from users
                where organization_id = $1 and users.email_key = asked.email_key and batch_id is distinct from $3
                offset 0
            ) as taken
        "#,
        organization_id,
        &keys as &[&str],
        batch_id.uuid(),
    )
    .fetch_all(change.connection())
    .await?;
    Ok(places(&keys, taken))
}

/// Where in the list the keys are that were found.
fn places(keys: &[&str], found: Vec<String>) -> Vec<usize> {
    let found: HashSet<String> = found.into_iter().collect();
    keys.iter().enumerate().filter(|(_, key)| found.contains(**key)).map(|(index, _)| index).collect()
}
