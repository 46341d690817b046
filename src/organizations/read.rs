//! Finding organizations.

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::id::{Id, Organization};

/// An organization as its members see it.
#[derive(Debug)]
pub struct Summary {
    /// Which.
    pub organization_id: Id<Organization>,
    /// What people call it.
    pub name: String,
    /// A short name for addresses.
    pub public_identifier: String,
}

/// The oldest organization: the one the local operator acts in.
///
/// # Errors
/// Those of the database.
pub async fn first(app: &App) -> Result<Option<Id<Organization>>> {
    let id = sqlx::query_scalar!(
        r#"select organization_id as "organization_id: Id<Organization>" from organizations order by organization_id limit 1"#
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    Ok(id)
}

/// The caller's organization.
///
/// # Errors
/// Those of the database; `internal` should the organization be gone.
pub async fn get(app: &App, caller: &Caller) -> Result<Summary> {
    let mut read = app.read(caller, Action::UserInfo).await?;
    sqlx::query_as!(
        Summary,
        r#"
        select organization_id as "organization_id: Id<Organization>", name, public_identifier
        from organizations
        where organization_id = $1
        "#,
        caller.organization_id.uuid(),
    )
    .fetch_optional(&mut *read)
    .await?
    .ok_or_else(|| Error::internal("a caller of an organization that doesn't exist"))
}
