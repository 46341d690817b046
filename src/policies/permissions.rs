//! The effective permissions of all users, page by page, so that up to 100,000 users are not in memory at the same time.

use std::collections::HashSet;
use std::sync::Arc;

use super::changes;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, User};

/// Users per query.
const USERS_PER_PAGE: i64 = 1000;

/// A user in a list of permissions.
#[derive(Clone, Debug)]
pub struct PermissionHolder {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The address as it was entered.
    pub email: String,
    /// Whether the account is a service account.
    pub is_service_account: bool,
    /// Whether the user is an owner, by their own level or through a group.
    pub is_owner: bool,
}

/// Selects users with their permission: `$condition` completes the `where` clause over `users u`. `$1` is the
/// organization. `offset 0` keeps the permission an index lookup for each user: without it PostgreSQL may collect all
/// owners first, again for each page.
macro_rules! holders {
    ($condition:literal, $($values:tt)+) => {
        sqlx::query_as!(
            PermissionHolder,
            r#"
            select
                user_id as "user_id: Id<User>", email, is_service_account,
                exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id offset 0
                ) as "is_owner!"
            from users u
            where organization_id = $1 and
            "# + $condition,
            $($values)+
        )
    };
}

/// A page of the list: first the owners, then the users.
#[derive(Debug)]
pub enum PermissionPage {
    /// Owners of the organization, by their own level or through a group.
    Owners(Vec<Owner>),
    /// Users.
    Users(Vec<PermissionHolder>),
}

/// An owner, and why.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The user.
    pub user: PermissionHolder,
    /// Whether the user is an owner by their own level.
    pub is_own_level: bool,
    /// The names of the groups through which the user is an owner.
    pub groups: Vec<String>,
}

/// A cursor over the permissions.
#[derive(Debug)]
pub struct Permissions {
    app: Arc<App>,
    organization_id: Id<Organization>,
    /// The only user to list; `None` for all users.
    only: Option<PermissionHolder>,
    next: Next,
}

/// The position of the cursor: after a user.
#[derive(Clone, Copy, Debug)]
enum Next {
    Owners(Id<User>),
    Users(Id<User>),
    End,
}

impl Permissions {
    /// Starts a list of all users, or of one user. Either list has all owners.
    ///
    /// # Errors
    /// `forbidden`; `not_found` for an unknown user.
    pub async fn begin(app: Arc<App>, caller: &Caller, user_id: Option<&str>) -> Result<Self> {
        app.authorize(caller, Action::PermissionList).await?;
        let organization_id = caller.organization_id;
        let only = match user_id {
            None => None,
            Some(text) => Some(find(&app, organization_id, text).await?),
        };
        Ok(Self { app, organization_id, only, next: Next::Owners(Id::MIN) })
    }

    /// Reads the next page. `None` at the end.
    ///
    /// # Errors
    /// A database error.
    pub async fn next(&mut self) -> Result<Option<PermissionPage>> {
        let (after, reads_owners) = match self.next {
            Next::Owners(after) => (after, true),
            Next::Users(after) => (after, false),
            Next::End => return Ok(None),
        };
        if let Some(only) = self.only.take_if(|_| !reads_owners) {
            self.next = Next::End;
            return Ok(Some(PermissionPage::Users(vec![only])));
        }
        let users = users(&self.app, self.organization_id, after).await?;
        let is_full = i64::try_from(users.len()).is_ok_and(|count| count >= USERS_PER_PAGE);
        let last = users.last().filter(|_| is_full).map(|user| user.user_id);
        if reads_owners {
            self.next = last.map_or(Next::Users(Id::MIN), Next::Owners);
            let owners = users.into_iter().filter(|user| user.is_owner).collect();
            let owners = with_reasons(&self.app, self.organization_id, owners).await?;
            return Ok(Some(PermissionPage::Owners(owners)));
        }
        self.next = last.map_or(Next::End, Next::Users);
        Ok(Some(PermissionPage::Users(users)))
    }
}

async fn find(app: &App, organization_id: Id<Organization>, text: &str) -> Result<PermissionHolder> {
    let unknown = || Error::new(Code::NotFound, "there is no such user in this organization");
    let user_id: Id<User> = text.parse().map_err(|_| unknown())?;
    let user = holders!("user_id = $2", organization_id as Id<Organization>, user_id as Id<User>);
    user.fetch_optional(&mut *app.reader(&app.db.interactive).await?).await?.ok_or_else(unknown)
}

/// Reads the users after `after`.
async fn users(app: &App, organization_id: Id<Organization>, after: Id<User>) -> Result<Vec<PermissionHolder>> {
    let users = holders!(
        "user_id > $2 order by user_id limit $3",
        organization_id as Id<Organization>,
        after as Id<User>,
        USERS_PER_PAGE,
    );
    Ok(users.fetch_all(&mut *app.reader(&app.db.interactive).await?).await?)
}

/// Reads why users are owners.
async fn with_reasons(
    app: &App,
    organization_id: Id<Organization>,
    owners: Vec<PermissionHolder>,
) -> Result<Vec<Owner>> {
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Id<User>> = owners.iter().map(|owner| owner.user_id).collect();
    let mut connection = app.reader(&app.db.interactive).await?;
    let mut groups = changes::reasons(&mut connection, organization_id, &ids).await?;
    let by_level: HashSet<Id<User>> = sqlx::query_scalar!(
        r#"
        select user_id as "user_id!: Id<User>" from effective_owners
        where organization_id = $1 and user_id = any($2) and not through_group
        "#,
        organization_id as Id<Organization>,
        &ids[..] as &[Id<User>],
    )
    .fetch_all(&mut *connection)
    .await?
    .into_iter()
    .collect();
    let owner = |user: PermissionHolder| Owner {
        is_own_level: by_level.contains(&user.user_id),
        groups: groups.remove(&user.user_id).unwrap_or_default(),
        user,
    };
    Ok(owners.into_iter().map(owner).collect())
}
