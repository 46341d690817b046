//! Organizations: the tenants.

mod read;
mod write;

use chrono::Duration;

use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Organization};
use crate::keys::{self, NewKey};
use crate::users::{self, Account, NewUser};

pub use read::{Summary, first, get};

/// Makes the first organization, its first owner and their key, unless there is one.
///
/// Called under the migration lock: of several instances that start together, one does it.
///
/// # Errors
/// Those of the database.
pub async fn bootstrap(app: &App) -> Result<Option<NewKey>> {
    if first(app).await?.is_some() {
        return Ok(None);
    }
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
    users::write::insert_collaborators(&mut change, &administrator, PermissionLevel::Owner).await?;
    let lifetime = Duration::days(i64::from(app.config.keys.default_days));
    let key = keys::add(&mut change, "first key", PermissionLevel::Owner, lifetime, Some(user_id)).await?;
    change.commit().await?;
    Ok(Some(key))
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
