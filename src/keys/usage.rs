//! The keys of users, in numbers.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{Id, Organization, User};

/// The keys of a user, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyUsage {
    /// The number of active keys.
    pub active: i64,
    /// When the first of them ends.
    pub first_end: Option<DateTime<Utc>>,
    /// The latest use of any key, also of one that is no longer active.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The numbers of the keys of some users. Users without a key are missing.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn usage(app: &App, caller: &Caller, users: &[Id<User>]) -> Result<HashMap<Id<User>, KeyUsage>> {
    let mut read = app.read(caller, Action::KeyOthers).await?;
    let rows = sqlx::query!(
        r#"
        select
            user_id as "user_id!: Id<User>", max(last_used_at) as last_used_at,
            count(*) filter (where revoked_at is null and expires_at > $3) as "active!",
            min(expires_at) filter (where revoked_at is null and expires_at > $3) as first_end
        from api_keys
        where organization_id = $1 and user_id = any($2)
        group by user_id
        "#,
        caller.organization_id as Id<Organization>,
        users as &[Id<User>],
        app.clock.now(),
    )
    .fetch_all(&mut *read)
    .await?;
    let usage = rows.into_iter().map(|row| {
        let usage = KeyUsage { active: row.active, first_end: row.first_end, last_used_at: row.last_used_at };
        (row.user_id, usage)
    });
    Ok(usage.collect())
}
