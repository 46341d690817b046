//! Reading the users that a list does not name.

use sqlx::PgConnection;

use crate::error::Result;
use crate::id::{Id, Organization, User};

/// The first active people who are neither listed nor owners, in the order of their IDs.
pub(super) async fn missing(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    listed: &[Id<User>],
    limit: i64,
) -> Result<Vec<Id<User>>> {
    Ok(sqlx::query_scalar!(
        r#"
        select user_id as "user_id: Id<User>" from users u
        where organization_id = $1 and status = 'active' and not is_service_account
            and not exists (select from unnest($2::uuid[]) as listed (user_id) where listed.user_id = u.user_id)
            and not exists (select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id)
        order by user_id
        limit $3
        "#,
        organization_id as Id<Organization>,
        listed as &[Id<User>],
        limit,
    )
    .fetch_all(connection)
    .await?)
}
