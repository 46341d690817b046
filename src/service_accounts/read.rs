//! Finding who has a name.

use sqlx::PgConnection;

use crate::error::Result;
use crate::id::{Id, Organization};

/// Whether a collaborator has this name: as their name, or as their name and last name.
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
        organization_id.uuid(),
        name,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_taken)
}
