//! Making organizations.

use crate::audit::Event;
use crate::change::Change;
use crate::error::Result;

/// Makes the organization that the change's caller acts in.
pub(super) async fn create(change: &mut Change, name: &str, public_identifier: &str) -> Result<()> {
    let organization_id = change.organization_id();
    let now = change.now();
    sqlx::query!(
        "insert into organizations (organization_id, name, public_identifier, created_at) values ($1, $2, $3, $4)",
        organization_id.uuid(),
        name,
        public_identifier,
        now,
    )
    .execute(change.connection())
    .await?;
    change.record(Event::OrganizationCreated(organization_id));
    Ok(())
}
