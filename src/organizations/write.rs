//! Creating and changing organizations.

use super::Summary;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization};

/// Creates the organization of the change's caller.
///
/// # Errors
/// `conflict` if the identifier is taken.
pub(super) async fn create(change: &mut Change, name: &str, public_identifier: &str) -> Result<()> {
    let organization_id = change.organization_id();
    let now = change.now();
    let inserted = sqlx::query!(
        r#"
        insert into organizations (organization_id, name, public_identifier, created_at) values ($1, $2, $3, $4)
        on conflict on constraint organizations_public_identifier_key do nothing
        "#,
        organization_id as Id<Organization>,
        name,
        public_identifier,
        now,
    )
    .execute(change.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        let sentence = format!("an organization `{public_identifier}` already exists; choose another identifier");
        return Err(Error::new(Code::Conflict, sentence));
    }
    change.record(Event::OrganizationCreated(organization_id));
    Ok(())
}

/// Renames the organization of the change's caller.
pub(super) async fn rename(change: &mut Change, name: &str) -> Result<Summary> {
    let organization_id = change.organization_id();
    let renamed = sqlx::query!(
        r#"
        update organizations set name = $2
        where organization_id = $1
        returning public_identifier, created_at
        "#,
        organization_id as Id<Organization>,
        name,
    )
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Error::not_found("organization", organization_id))?;
    change.record(Event::OrganizationRenamed(organization_id));
    let (public_identifier, created_at) = (renamed.public_identifier, renamed.created_at);
    Ok(Summary { organization_id, name: name.to_owned(), public_identifier, created_at })
}

/// Sets the maximum lifetime of API keys of the organization of the change's caller. Waits for the creations of keys that
/// have read it.
pub(super) async fn set_max_key_days(change: &mut Change, max_days: Option<u32>) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        "select from organizations where organization_id = $1 for update",
        organization_id as Id<Organization>
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "update organizations set max_key_days = $2 where organization_id = $1",
        organization_id as Id<Organization>,
        max_days.and_then(|days| i32::try_from(days).ok()),
    )
    .execute(change.connection())
    .await?;
    change.record(Event::KeyExpirationSet { organization_id, max_days });
    Ok(())
}
