//! Reading organizations.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization};

/// An organization.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The organization's ID.
    pub organization_id: Id<Organization>,
    /// The display name.
    pub name: String,
    /// The unique short name.
    pub public_identifier: String,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
}

/// The oldest organization, created by the first start.
///
/// # Errors
/// Those of the database.
pub async fn first(app: &App) -> Result<Option<Id<Organization>>> {
    let id = sqlx::query_scalar!(
        r#"select organization_id as "organization_id: Id<Organization>" from organizations order by organization_id limit 1"#
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(id)
}

/// The name of the organization, if the server has exactly one. For the pages of people who have not signed in.
///
/// # Errors
/// Those of the database.
pub async fn only_name(app: &App) -> Result<Option<String>> {
    let mut names = sqlx::query_scalar!("select name from organizations order by organization_id limit 2")
        .fetch_all(&mut *app.reader(&app.db.reserved).await?)
        .await?;
    let last = names.pop();
    Ok(last.filter(|_| names.is_empty()))
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

/// The display name of the caller's organization.
///
/// # Errors
/// Those of the database.
pub(crate) async fn name(app: &App, caller: &Caller) -> Result<String> {
    let name = sqlx::query_scalar!(
        "select name from organizations where organization_id = $1",
        caller.organization_id as Id<Organization>,
    );
    app.in_time(async { Ok(name.fetch_one(&mut *app.reader(&app.db.batch).await?).await?) }).await?
}

/// The maximum lifetime of API keys that the caller's organization creates or rotates, in days; `None` for no limit but
/// `keys.max_days`.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn max_key_days(app: &App, caller: &Caller) -> Result<Option<u32>> {
    let mut read = app.read(caller, Action::KeyExpirationGet).await?;
    let days = sqlx::query_scalar!(
        "select max_key_days from organizations where organization_id = $1",
        caller.organization_id as Id<Organization>,
    )
    .fetch_one(&mut *read)
    .await?;
    Ok(days.and_then(|days| u32::try_from(days).ok()))
}

/// The organization with this ID or identifier. The two can't be confused: only an ID contains `_`.
pub(super) async fn find(app: &App, named: &str) -> Result<Option<Id<Organization>>> {
    let id = named.parse::<Id<Organization>>().ok();
    let found = sqlx::query_scalar!(
        r#"
        select organization_id as "organization_id: Id<Organization>"
        from organizations
        where organization_id = $1 or public_identifier = $2
        "#,
        id as Option<Id<Organization>>,
        named,
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(found)
}

/// The only organization of the database.
///
/// # Errors
/// `not_found` if there is none; `conflict` if there are several.
pub(super) async fn only(app: &App) -> Result<Id<Organization>> {
    let found = sqlx::query!(
        r#"
        select organization_id as "organization_id: Id<Organization>", public_identifier
        from organizations
        order by organization_id
        limit 10
        "#
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    match found.as_slice() {
        [] => Err(none_yet()),
        [only] => Ok(only.organization_id),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.public_identifier.as_str()).collect();
            let sentence = format!(
                "there are several organizations; choose one with `--organization` or `MUSTER_ORGANIZATION` ({}{})",
                names.join(", "),
                if names.len() < 10 { "" } else { ", …" }
            );
            Err(Error::new(Code::Conflict, sentence))
        }
    }
}

pub(super) fn none_yet() -> Error {
    Error::new(Code::NotFound, "the database has no organization yet; start `muster serve` to create the first one")
}
