//! Organizations: the tenants.

mod read;
mod write;

use chrono::Duration;
use sqlx::Connection;

use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Organization};
use crate::keys::{self, NewKey};
use crate::postgres::{self, MigrateError};
use crate::users::{self, Account, NewUser};

pub use read::{Summary, first};

/// Brings the database up to date and makes the first organization, its first owner and their key
/// if there is none. Of several instances that start together, one does it and the others wait.
///
/// # Errors
/// See [`MigrateError`]. The database is as before, or ready; never in between.
pub async fn prepare(app: &App) -> std::result::Result<Option<NewKey>, MigrateError> {
    let mut connection = app.db.connect().await?;
    let mut key = None;
    let is_current = postgres::is_current(&mut connection).await?;
    if !is_current || first(app).await.map_err(MigrateError::then)?.is_none() {
        let then = async || {
            if first(app).await?.is_none() {
                key = Some(create_first(app).await?);
            }
            Ok(())
        };
        postgres::migrate(&mut connection, then).await?;
    }
    postgres::ensure_search_index(&mut connection).await;
    let _ = connection.close().await;
    Ok(key)
}

async fn create_first(app: &App) -> Result<NewKey> {
    let caller = Caller::operator(Id::<Organization>::new(app.clock.now()));
    let mut change = app.change(&caller, Action::OrganizationCreate).await?;
    write::create(&mut change, "Default organization", "default").await?;
    let administrator = Account {
        user_id: Id::new(change.now()),
        identity_id: Id::new(change.now()),
        user: NewUser::administrator()?,
        password: None,
    };
    let user_id = administrator.user_id;
    let administrator = [administrator];
    users::write::insert(&mut change, None, &administrator).await?;
    users::write::insert_collaborators(&mut change, &administrator).await?;
    let lifetime = Duration::days(i64::from(app.config.keys.default_days));
    let key = keys::add(&mut change, "first key", PermissionLevel::Owner, lifetime, Some(user_id)).await?;
    change.commit().await?;
    Ok(key)
}

/// The local operator, in the organization they act in.
///
/// # Errors
/// `not_found` when the database has none yet.
pub async fn operator(app: &App) -> Result<Caller> {
    let organization_id = first(app).await?.ok_or_else(|| {
        Error::new(
            crate::error::Code::NotFound,
            "the database has no organization yet: `muster serve` makes the first one when it starts",
        )
    })?;
    Ok(Caller::operator(organization_id))
}
