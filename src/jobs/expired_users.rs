//! Suspending users whose accounts have expired.
//!
//! Their access has ended already, at the time itself ([`crate::caller`]).

use super::{by_organization, log_failure};
use crate::app::App;
use crate::error::Result;
use crate::id::{Id, Organization, User};
use crate::users;

/// The maximum number of users read by one query. The others follow in the next round.
const LIMIT: i64 = 1000;

/// Suspends the users whose accounts have expired, and records each in the audit log.
pub(super) async fn suspend_all(app: &App) -> Result<()> {
    let due = sqlx::query!(
        r#"
        select organization_id as "organization_id: Id<Organization>", user_id as "user_id: Id<User>"
        from users
        where status = 'active' and expires_at <= $1
        order by expires_at
        limit $2
        "#,
        app.clock.now(),
        LIMIT,
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    for (organization_id, user_ids) in by_organization(due.into_iter().map(|due| (due.organization_id, due.user_id))) {
        match users::suspend_expired(app, organization_id, &user_ids).await {
            // Another instance was faster.
            Ok(0) => {}
            Ok(users) => tracing::info!(%organization_id, users, "users suspended: their accounts have expired"),
            Err(error) => log_failure(app, organization_id, &error),
        }
    }
    Ok(())
}
