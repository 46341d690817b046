//! Listing collaborators.
//!
//! # Decisions
//!
//! *A statement for each question, not one with `$1 is null or …`.* PostgreSQL plans such a one without knowing
//! what is null, once a connection has used it often enough, and then reads a million users to find one. Each
//! of these has one good plan, whatever its values: the primary key from the last page on, or the index of what is asked
//! for.
//!
//! *A name is looked up twice*, as name and as name with last name: both indexes give the first few in the order of
//! the page, however many people share a name.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Membership, User};
use crate::page::{Page, PageRequest};
use crate::users::EmailAddress;

/// A member of the organization.
#[derive(Debug)]
pub struct Collaborator {
    /// The membership.
    pub identity_id: Id<Membership>,
    /// The person, or the program.
    pub user_id: Id<User>,
    /// First name, or the whole of it.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// The address as it was written.
    pub email: String,
    /// What they may do, by their own level and by their groups: `owner` or `collaborator`.
    pub permission_level: String,
    /// What they may do by their own level.
    pub own_level: String,
    /// Whether it is a program.
    pub is_service_account: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// Goes up with every change of the user or of the level.
    pub revision: i64,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
}

impl Collaborator {
    /// First and last name.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.lastname.as_deref() {
            None | Some("") => self.name.clone(),
            Some(lastname) => format!("{} {lastname}", self.name),
        }
    }
}

/// A question for collaborators: who of `users u` and `collaborators c`, in which order, how many.
macro_rules! collaborators {
    ($who:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            $crate::collaborators::Collaborator,
            r#"
            select
                c.identity_id as "identity_id: Id<Membership>", u.user_id as "user_id: Id<User>", u.name, u.lastname,
                u.email,
                case when exists (
                    select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
                ) then 'owner' else 'collaborator' end as "permission_level!",
                c.permission_level as own_level, u.is_service_account, u.status, u.revision, u.created_at
            from users u
            join collaborators c using (organization_id, user_id)
            where u.organization_id = $1 and
            "# + $who,
            $($value),+
        )
    };
}
pub(super) use collaborators;

/// Which kind of account is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollaboratorType {
    /// People and programs.
    All,
    /// Programs.
    OnlyServiceAccounts,
    /// People.
    OnlyUserAccounts,
}

/// The kinds of account that fit both of two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// People and programs.
    All,
    /// One of the two: whether programs.
    Only(bool),
    /// Neither.
    None,
}

impl Kinds {
    pub(super) fn of(collaborator_type: Option<CollaboratorType>, is_service_account: Option<bool>) -> Self {
        let by_type = match collaborator_type {
            None | Some(CollaboratorType::All) => None,
            Some(CollaboratorType::OnlyServiceAccounts) => Some(true),
            Some(CollaboratorType::OnlyUserAccounts) => Some(false),
        };
        match (by_type, is_service_account) {
            (Some(one), Some(other)) if one != other => Self::None,
            (one, other) => one.or(other).map_or(Self::All, Self::Only),
        }
    }

    /// Whether programs; `None` for everybody.
    pub(super) const fn are_programs(self) -> Option<bool> {
        match self {
            Self::Only(are_programs) => Some(are_programs),
            Self::All | Self::None => None,
        }
    }
}

/// Which collaborators are asked for: those for whom all that is given holds.
#[derive(Debug, Default)]
pub struct Filter {
    /// The address, in any spelling. One that is no address matches nobody.
    pub email: Option<String>,
    /// The display name, exactly: the name, or name and last name.
    pub name: Option<String>,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether it is a service account.
    pub is_service_account: Option<bool>,
}

/// Lists collaborators in the order in which they were created, suspended ones included.
///
/// # Errors
/// `forbidden`, or those of the database.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<User>) -> Result<Page<Collaborator>> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    let asked = Asked {
        organization_id: caller.organization_id.uuid(),
        kinds: Kinds::of(filter.collaborator_type, filter.is_service_account),
        after: page.after.map_or(Uuid::nil(), Id::uuid),
        limit: page.limit(),
    };
    let rows = match (filter.email.as_deref().map(EmailAddress::parse), &filter.name) {
        _ if asked.kinds == Kinds::None => Vec::new(),
        (Some(Err(_)), _) => Vec::new(),
        (Some(Ok(address)), name) => asked.by_address(&mut read, &address, name.as_deref()).await?,
        (None, Some(name)) => asked.by_name(&mut read, name).await?,
        (None, None) if asked.kinds == Kinds::Only(true) => asked.programs(&mut read).await?,
        (None, None) => asked.people_or_all(&mut read).await?,
    };
    Ok(Page::new(page, rows, |row| row.user_id))
}

/// What each of the statements needs.
struct Asked {
    organization_id: Uuid,
    kinds: Kinds,
    after: Uuid,
    limit: i64,
}

impl Asked {
    async fn by_address(
        &self,
        read: &mut PgConnection,
        address: &EmailAddress,
        name: Option<&str>,
    ) -> Result<Vec<Collaborator>> {
        let found = collaborators!(
            r#"
            u.email_key = $2 and u.user_id > $3
            and ($4::bool is null or u.is_service_account = $4)
            and ($5::text is null or u.name = $5 or (u.lastname <> '' and u.name || ' ' || u.lastname = $5))
            "#,
            self.organization_id,
            address.key(),
            self.after,
            self.kinds.are_programs(),
            name,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn by_name(&self, read: &mut PgConnection, name: &str) -> Result<Vec<Collaborator>> {
        let found = collaborators!(
            r#"
            u.user_id in (
                (select user_id from users
                where organization_id = $1 and name = $2 and user_id > $3
                    and ($4::bool is null or is_service_account = $4)
                order by user_id limit $5)
                union
                (select user_id from users
                where organization_id = $1 and lastname <> '' and name || ' ' || lastname = $2 and user_id > $3
                    and ($4::bool is null or is_service_account = $4)
                order by user_id limit $5)
            )
            order by u.user_id
            limit $5
            "#,
            self.organization_id,
            name,
            self.after,
            self.kinds.are_programs(),
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn programs(&self, read: &mut PgConnection) -> Result<Vec<Collaborator>> {
        let found = collaborators!(
            "u.is_service_account and u.user_id > $2 order by u.user_id limit $3",
            self.organization_id,
            self.after,
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn people_or_all(&self, read: &mut PgConnection) -> Result<Vec<Collaborator>> {
        let found = collaborators!(
            "u.user_id > $2 and not ($3 and u.is_service_account) order by u.user_id limit $4",
            self.organization_id,
            self.after,
            self.kinds == Kinds::Only(false),
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }
}

/// Looks at one collaborator.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, identity_id: Id<Membership>) -> Result<Collaborator> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    collaborators!("c.identity_id = $2", caller.organization_id.uuid(), identity_id.uuid())
        .fetch_optional(&mut *read)
        .await?
        .ok_or_else(|| not_found(identity_id))
}

pub(super) fn not_found(identity_id: Id<Membership>) -> Error {
    Error::new(Code::NotFound, format!("there is no collaborator {identity_id}"))
}
