//! Looking up the names of collaborators.

use sqlx::PgConnection;

use crate::error::Result;
use crate::id::{Id, Organization};

/// Whether a collaborator has this name: as the name, or as first and last name.
pub(super) async fn is_taken(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    name: &str,
) -> Result<bool> {
    let is_taken = sqlx::query_scalar!(
        r#"
        select exists (
            select from users
            where organization_id = $1 and (name = $2 or concat_ws(' ', name, nullif(lastname, '')) = $2)
        ) as "is_taken!"
        "#,
        organization_id as Id<Organization>,
        name,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_taken)
}
