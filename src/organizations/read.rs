//! Finding organizations.

use crate::app::App;
use crate::error::Result;
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
