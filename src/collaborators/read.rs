//! Listing collaborators.
//!
//! # Decisions
//!
//! *Each filter has a statement of its own* instead of one with `$1 is null or …`. PostgreSQL switches to a generic
//! plan, made without knowing which parameters are null, once a connection has used a statement often enough; that
//! plan reads a million users to find one. Each of these statements has one good plan for all parameters: the
//! primary key after the previous page, or the index of the filtered column.
//!
//! *A name is looked up twice*, as a first name and as first and last name: each index returns its first few users in
//! page order, however many users share the name.

use muster_client::CollaboratorType;
use sqlx::PgConnection;

use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Membership, Organization, User};
use crate::page::{Page, PageRequest};
use crate::users::read::user_details;
use crate::users::{EmailAddress, Status, UserDetails};

/// The kinds of account that match both filters, by type and by `is_service_account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountKinds {
    /// People and service accounts.
    All,
    /// Only service accounts (`true`), or only people.
    Only(bool),
    /// The filters exclude each other.
    None,
}

impl AccountKinds {
    pub(super) fn of(collaborator_type: Option<CollaboratorType>, is_service_account: Option<bool>) -> Self {
        let by_type = match collaborator_type {
            None | Some(CollaboratorType::AllAccounts) => None,
            Some(CollaboratorType::OnlyServiceAccounts) => Some(true),
            Some(CollaboratorType::OnlyUserAccounts) => Some(false),
        };
        match (by_type, is_service_account) {
            (Some(one), Some(other)) if one != other => Self::None,
            (one, other) => one.or(other).map_or(Self::All, Self::Only),
        }
    }

    /// The filter as an SQL parameter; null for all accounts.
    pub(super) const fn is_service_account(self) -> Option<bool> {
        match self {
            Self::Only(is_service_account) => Some(is_service_account),
            Self::All | Self::None => None,
        }
    }
}

/// The filters of a list. A collaborator matches if all filters that are present match.
#[derive(Debug, Default)]
pub struct CollaboratorFilter {
    /// The address, in any spelling. A malformed address matches no collaborator.
    pub email: Option<String>,
    /// The exact name: the name, or first and last name.
    pub name: Option<String>,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether the account is a service account.
    pub is_service_account: Option<bool>,
}

/// Lists collaborators, suspended ones included, ordered by creation time.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &CollaboratorFilter,
    page: &PageRequest<User>,
) -> Result<Page<UserDetails>> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    let query = ListQuery {
        organization_id: caller.organization_id,
        kinds: AccountKinds::of(filter.collaborator_type, filter.is_service_account),
        after: page.after.unwrap_or(Id::MIN),
        limit: page.limit(),
    };
    let rows = match (filter.email.as_deref().map(EmailAddress::parse), &filter.name) {
        _ if query.kinds == AccountKinds::None => Vec::new(),
        (Some(Err(_)), _) => Vec::new(),
        (Some(Ok(address)), name) => query.by_address(&mut read, &address, name.as_deref()).await?,
        (None, Some(name)) => query.by_name(&mut read, name).await?,
        (None, None) if query.kinds == AccountKinds::Only(true) => query.service_accounts(&mut read).await?,
        (None, None) => query.people_or_all(&mut read).await?,
    };
    Ok(Page::new(page, rows, |row| row.user_id))
}

/// The parameters that all statements of a list have.
struct ListQuery {
    organization_id: Id<Organization>,
    kinds: AccountKinds,
    after: Id<User>,
    limit: i64,
}

impl ListQuery {
    async fn by_address(
        &self,
        read: &mut PgConnection,
        address: &EmailAddress,
        name: Option<&str>,
    ) -> Result<Vec<UserDetails>> {
        let found = user_details!(
            r#"
            u.email_key = $2 and u.user_id > $3
            and ($4::bool is null or u.is_service_account = $4)
            and ($5::text is null or u.name = $5 or (u.lastname <> '' and u.name || ' ' || u.lastname = $5))
            "#,
            self.organization_id as Id<Organization>,
            address.key(),
            self.after as Id<User>,
            self.kinds.is_service_account(),
            name,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn by_name(&self, read: &mut PgConnection, name: &str) -> Result<Vec<UserDetails>> {
        let found = user_details!(
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
            self.organization_id as Id<Organization>,
            name,
            self.after as Id<User>,
            self.kinds.is_service_account(),
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn service_accounts(&self, read: &mut PgConnection) -> Result<Vec<UserDetails>> {
        let found = user_details!(
            "u.is_service_account and u.user_id > $2 order by u.user_id limit $3",
            self.organization_id as Id<Organization>,
            self.after as Id<User>,
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }

    async fn people_or_all(&self, read: &mut PgConnection) -> Result<Vec<UserDetails>> {
        let found = user_details!(
            "u.user_id > $2 and not ($3 and u.is_service_account) order by u.user_id limit $4",
            self.organization_id as Id<Organization>,
            self.after as Id<User>,
            self.kinds == AccountKinds::Only(false),
            self.limit,
        );
        Ok(found.fetch_all(read).await?)
    }
}

/// Reads one collaborator.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, identity_id: Id<Membership>) -> Result<UserDetails> {
    app.authorize(caller, Action::CollaboratorList).await?;
    find(app, caller, identity_id).await
}

/// As [`get`], for a caller who has just changed the collaborator: permission to read is not required.
pub(super) async fn find(app: &App, caller: &Caller, identity_id: Id<Membership>) -> Result<UserDetails> {
    user_details!("c.identity_id = $2", caller.organization_id as Id<Organization>, identity_id as Id<Membership>)
        .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
        .await?
        .ok_or_else(|| Error::not_found("collaborator", identity_id))
}
