//! Finding users.
//!
//! # Decisions
//!
//! *Addresses are looked up one by one, whatever the planner thinks.* `email_key = any(…)` with 10,000
//! addresses reads a table of 1,000,000 users from end to end, on three cores: 94 ms. A lateral subquery
//! that can't be flattened (`offset 0`) leaves nothing but the index: 30 ms, however many users there are.
//! In the order of the index, neighbours find its pages in the cache.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::EmailAddress;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Batch, Id, Organization};

/// A user's name and address.
#[derive(Clone, Debug)]
pub struct Profile {
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// The address as it was written.
    pub email: String,
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
