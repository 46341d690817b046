//! Making and renaming organizations.

use super::Summary;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};

/// Makes the organization that the change's caller acts in.
///
/// # Errors
/// `conflict` when another one has the identifier.
pub(super) async fn create(change: &mut Change, name: &str, public_identifier: &str) -> Result<()> {
    let organization_id = change.organization_id();
    let now = change.now();
    let inserted = sqlx::query!(
        r#"
        insert into organizations (organization_id, name, public_identifier, created_at) values ($1, $2, $3, $4)
        on conflict on constraint organizations_public_identifier_key do nothing
        "#,
        organization_id.uuid(),
        name,
        public_identifier,
        now,
    )
    .execute(change.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        let sentence = format!("there is an organization `{public_identifier}` already: choose another identifier");
        return Err(Error::new(Code::Conflict, sentence));
    }
    change.record(Event::OrganizationCreated(organization_id));
    Ok(())
}

/// Gives the organization that the change's caller acts in another name.
pub(super) async fn rename(change: &mut Change, name: &str) -> Result<Summary> {
    let organization_id = change.organization_id();
    let renamed = sqlx::query!(
        r#"
        update organizations set name = $2
        where organization_id = $1
        returning public_identifier, created_at
        "#,
        organization_id.uuid(),
        name,
    )
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Error::new(Code::NotFound, format!("there is no organization {organization_id}")))?;
    change.record(Event::OrganizationRenamed(organization_id));
    let (public_identifier, created_at) = (renamed.public_identifier, renamed.created_at);
    Ok(Summary { organization_id, name: name.to_owned(), public_identifier, created_at })
}
