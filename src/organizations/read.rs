//! Finding organizations.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization};

/// An organization.
#[derive(Debug)]
pub struct Summary {
    /// Which.
    pub organization_id: Id<Organization>,
    /// What people call it.
    pub name: String,
    /// A short name for addresses.
    pub public_identifier: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The oldest organization: the one that the first start made.
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

/// Lists all organizations, oldest first. For the local operator.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<Summary>> {
    let mut read = app.read(caller, Action::OrganizationList).await?;
    let organizations = sqlx::query_as!(
        Summary,
        r#"
        select organization_id as "organization_id: Id<Organization>", name, public_identifier, created_at
        from organizations
        order by organization_id
        "#,
    )
    .fetch_all(&mut *read)
    .await?;
    Ok(organizations)
}

/// The organization with this id or identifier. No identifier looks like an id: it has no `_`.
pub(super) async fn find(app: &App, named: &str) -> Result<Option<Id<Organization>>> {
    let id = named.parse::<Id<Organization>>().ok();
    let found = sqlx::query_scalar!(
        r#"
        select organization_id as "organization_id: Id<Organization>"
        from organizations
        where organization_id = $1 or public_identifier = $2
        "#,
        id.map(Id::uuid),
        named,
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    Ok(found)
}

/// The only organization.
///
/// # Errors
/// `not_found` when there is none; `conflict` when there are several.
pub(super) async fn only(app: &App) -> Result<Id<Organization>> {
    let found = sqlx::query!(
        r#"
        select organization_id as "organization_id: Id<Organization>", public_identifier
        from organizations
        order by organization_id
        limit 10
        "#
    )
    .fetch_all(&app.db.interactive)
    .await?;
    match found.as_slice() {
        [] => Err(none_yet()),
        [only] => Ok(only.organization_id),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.public_identifier.as_str()).collect();
            let sentence = format!(
                "there are several organizations: say which with `--organization` or MUSTER_ORGANIZATION ({}{})",
                names.join(", "),
                if names.len() < 10 { "" } else { ", …" }
            );
            Err(Error::new(Code::Conflict, sentence))
        }
    }
}

/// There is no organization at all.
pub(super) fn none_yet() -> Error {
    Error::new(
        Code::NotFound,
        "the database has no organization yet: `muster serve` makes the first one when it starts",
    )
}
