//! Who may do what, a piece at a time: there may be 100,000 users, and nobody has to hold them all.

use std::sync::Arc;

use uuid::Uuid;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, User};

/// Users that are read together.
const AT_ONCE: i64 = 1000;

/// Somebody who may do something.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Who.
    pub user_id: Id<User>,
    /// The address as it was written.
    pub email: String,
    /// Whether it is a program's account.
    pub is_service_account: bool,
}

/// A piece of the listing: owners come first, then users.
#[derive(Debug)]
pub enum Part {
    /// Owners of the organization, by their own level or through a group.
    Owners(Vec<Holder>),
    /// Users.
    Users(Vec<Holder>),
}

/// Who may do what, as far as it has been read.
#[derive(Debug)]
pub struct Permissions {
    app: Arc<App>,
    organization_id: Id<Organization>,
    /// The one user that is asked for.
    only: Option<Holder>,
    next: Next,
}

/// What comes next: whoever stands behind a user; the nil UUID is before all.
#[derive(Clone, Copy, Debug)]
enum Next {
    Owners(Uuid),
    Users(Uuid),
    Nothing,
}

impl Permissions {
    /// Begins: all users, or one of them; the owners are all of them either way.
    ///
    /// # Errors
    /// `forbidden`; `not_found` when there is no such user.
    pub async fn begin(app: Arc<App>, caller: &Caller, user_id: Option<&str>) -> Result<Self> {
        app.authorize(caller, Action::PermissionList).await?;
        let organization_id = caller.organization_id;
        let only = match user_id {
            None => None,
            Some(text) => Some(find(&app, organization_id, text).await?),
        };
        Ok(Self { app, organization_id, only, next: Next::Owners(Uuid::nil()) })
    }

    /// The organization.
    #[must_use]
    pub const fn organization_id(&self) -> Id<Organization> {
        self.organization_id
    }

    /// Reads on. `None` when there is no more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next(&mut self) -> Result<Option<Part>> {
        let (after, is_about_owners) = match self.next {
            Next::Owners(after) => (after, true),
            Next::Users(after) => (after, false),
            Next::Nothing => return Ok(None),
        };
        if let Some(only) = self.only.take_if(|_| !is_about_owners) {
            self.next = Next::Nothing;
            return Ok(Some(Part::Users(vec![only])));
        }
        let users = users(&self.app, self.organization_id, after).await?;
        let last = last_of(&users);
        if is_about_owners {
            self.next = last.map_or(Next::Users(Uuid::nil()), Next::Owners);
            return Ok(Some(Part::Owners(users.into_iter().filter(|user| user.is_owner).map(Row::holder).collect())));
        }
        self.next = last.map_or(Next::Nothing, Next::Users);
        Ok(Some(Part::Users(users.into_iter().map(Row::holder).collect())))
    }
}

/// The last of a piece that has another behind it.
fn last_of(users: &[Row]) -> Option<Uuid> {
    let is_full = i64::try_from(users.len()).is_ok_and(|count| count >= AT_ONCE);
    users.last().filter(|_| is_full).map(|user| user.user_id.uuid())
}

async fn find(app: &App, organization_id: Id<Organization>, text: &str) -> Result<Holder> {
    let unknown = || Error::new(Code::NotFound, "there is no such user in this organization");
    let user_id: Id<User> = text.parse().map_err(|_| unknown())?;
    let user = sqlx::query_as!(
        Holder,
        r#"
        select user_id as "user_id: Id<User>", email, is_service_account from users
        where organization_id = $1 and user_id = $2
        "#,
        organization_id.uuid(),
        user_id.uuid(),
    )
    .fetch_optional(&app.db.interactive)
    .await?;
    user.ok_or_else(unknown)
}

/// A user, and whether they are an owner.
struct Row {
    user_id: Id<User>,
    email: String,
    is_service_account: bool,
    is_owner: bool,
}

/// Reads the users after `after`. `offset 0` keeps the permission an index lookup for each user: without it
/// PostgreSQL may collect all owners first, again for each page.
async fn users(app: &App, organization_id: Id<Organization>, after: Uuid) -> Result<Vec<Row>> {
    let users = sqlx::query_as!(
        Row,
        r#"
        select
            user_id as "user_id: Id<User>", email, is_service_account,
            exists (
                select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id offset 0
            ) as "is_owner!"
        from users u
        where organization_id = $1 and user_id > $2
        order by user_id
        limit $3
        "#,
        organization_id.uuid(),
        after,
        AT_ONCE,
    )
    .fetch_all(&app.db.interactive)
    .await?;
    Ok(users)
}

impl Row {
    fn holder(self) -> Holder {
        Holder { user_id: self.user_id, email: self.email, is_service_account: self.is_service_account }
    }
}
