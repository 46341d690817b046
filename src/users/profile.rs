//! What there is to know about one user, apart from sessions, keys and history.

use chrono::{DateTime, Utc};

use super::{UserDetails, read};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::id::{Batch, Group, Id, User};

/// A user, with where they come from, what they belong to and how they sign in.
#[derive(Debug)]
pub struct Profile {
    /// The user.
    pub user: UserDetails,
    /// How the user came here, and signs in.
    pub facts: Facts,
    /// The groups, by name.
    pub groups: Vec<GroupOfUser>,
}

/// How a user came here, and signs in.
#[derive(Debug, Default)]
pub struct Facts {
    /// The batch that created the user.
    pub batch_id: Option<Id<Batch>>,
    /// The name of its file.
    pub file_name: Option<String>,
    /// When the password was set; `None` without one.
    pub password_set_at: Option<DateTime<Utc>>,
    /// Whether the sign-in policy binds the user to single sign-on.
    pub is_bound_to_sso: bool,
    /// When the link with which the user can choose a password expires; `None` without an open one.
    pub link_expires_at: Option<DateTime<Utc>>,
}

/// A group of a user.
#[derive(Debug)]
pub struct GroupOfUser {
    /// The group.
    pub group_id: Id<Group>,
    /// Its name.
    pub name: String,
    /// Whether it makes its members owners.
    pub grants_owner: bool,
}

/// Reads what there is to know about a user.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn profile(app: &App, caller: &Caller, user_id: Id<User>) -> Result<Profile> {
    let mut connection = app.read(caller, Action::UserGet).await?;
    let user = read::one(&mut connection, caller.organization_id, user_id).await?;
    let user = user.ok_or_else(|| Error::not_found("user", user_id))?;
    let facts = read::facts(&mut connection, caller.organization_id, user_id, app.clock.now()).await?;
    let groups = read::groups(&mut connection, caller.organization_id, user_id).await?;
    Ok(Profile { user, facts, groups })
}
