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
//!
//! *A list with further filters reads at most [`MOST_SCANNED`] users for a page*, since most filters have no index: one for
//! each would slow down every write, and a filter that matches few of a million users would read all of them. A page can
//! therefore have fewer members than requested, even none, although more follow. The members of a batch, of a group, owners
//! and users whose accounts expire come from the indexes of those; an address or a name, from the user's. PostgreSQL plans these statements with
//! their values, as in [`super::search()`].

use chrono::{DateTime, Utc};
use muster_client::CollaboratorType;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Batch, Group, Id, Membership, Organization, User};
use crate::page::{Page, PageRequest};
use crate::users::read::user_details;
use crate::users::{Attributes, EmailAddress, Status, UserDetails};

/// The most users that are read for a page of a list with filters.
const MOST_SCANNED: i64 = 10_000;

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
    /// The filters without a statement of their own.
    pub more: MoreFilters,
}

/// Filters that can be combined with each other and with those of [`CollaboratorFilter`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MoreFilters {
    /// Active or suspended.
    pub status: Option<Status>,
    /// The effective permission: by the member's own level or through a group.
    pub permission_level: Option<PermissionLevel>,
    /// Whether the user signs in through the organization's identity provider.
    pub is_sso_user: Option<bool>,
    /// The batch that created the user.
    pub batch_id: Option<Id<Batch>>,
    /// A group of which the user is a member.
    pub group_id: Option<Id<Group>>,
    /// The domain of the address, in the spelling of keys.
    pub domain: Option<String>,
    /// The earliest time of creation.
    pub created_after: Option<DateTime<Utc>>,
    /// The time before which the user was created.
    pub created_before: Option<DateTime<Utc>>,
    /// Whether the user should sign in with a password and has none.
    pub without_password: Option<bool>,
    /// Whether the user is a person who has never signed in.
    pub never_signed_in: Option<bool>,
    /// The time until which the accounts of active users expire.
    pub expires_before: Option<DateTime<Utc>>,
    /// Attributes that the user has.
    pub attributes: Option<Attributes>,
}

/// Lists collaborators, suspended ones included, ordered by creation time.
///
/// # Errors
/// `forbidden`, also for a caller who may not read the batch or the group of a filter; a database error.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &CollaboratorFilter,
    page: &PageRequest<User>,
) -> Result<Page<UserDetails>> {
    if filter.more != MoreFilters::default() {
        return filtered(app, caller, filter, page).await;
    }
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

/// Selects members by all filters, among those of the first condition, in a range of IDs.
macro_rules! filtered {
    ($source:literal, $query:expr, $read:expr) => {{
        let FilteredQuery { organization_id, after, upto, limit, kinds, address, name, more } = $query;
        let MoreFilters {
            status,
            permission_level,
            is_sso_user,
            batch_id,
            group_id,
            domain,
            created_after,
            created_before,
            without_password,
            never_signed_in,
            expires_before,
            attributes,
        } = more;
        user_details!(
            $source
                + r#"
            and u.user_id > $2 and u.user_id <= $3
            and ($5::bool is null or u.is_service_account = $5)
            and ($6::text is null or u.email_key = $6)
            and ($7::text is null or u.name = $7 or (u.lastname <> '' and u.name || ' ' || u.lastname = $7))
            and ($8::text is null or u.status = $8)
            and (not $9 or not exists (
                select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
            ))
            and ($10::bool is null or u.is_sso_user = $10)
            and ($11::uuid is null or u.batch_id = $11)
            and ($12::uuid is null or exists (
                select from user_group_members m
                where m.organization_id = $1 and m.group_id = $12 and m.user_id = u.user_id
            ))
            and ($13::text is null or right(u.email_key, length($13) + 1) = '@' || $13)
            and ($14::timestamptz is null or u.created_at >= $14)
            and ($15::timestamptz is null or u.created_at < $15)
            and ($16::bool is null or $16 = (not u.is_sso_user and not u.is_service_account and not exists (
                select from passwords p where p.organization_id = $1 and p.user_id = u.user_id
            )))
            and ($17::timestamptz is null or (u.status = 'active' and u.expires_at <= $17))
            and ($18::jsonb is null or u.attributes @> $18)
            and ($19::bool is null or $19 = (u.last_signed_in_at is null and not u.is_service_account))
            order by u.user_id
            limit $4
            "#,
            *organization_id as Id<Organization>,
            *after as Id<User>,
            *upto as Id<User>,
            limit,
            kinds.is_service_account(),
            *address,
            *name,
            status.map(Status::as_str),
            *permission_level == Some(PermissionLevel::Collaborator),
            *is_sso_user,
            *batch_id as Option<Id<Batch>>,
            *group_id as Option<Id<Group>>,
            domain.as_deref(),
            *created_after,
            *created_before,
            *without_password,
            *expires_before,
            attributes.as_ref() as Option<&Attributes>,
            *never_signed_in,
        )
        .fetch_all($read)
        .await?
    }};
}

/// The parameters of a list with further filters.
struct FilteredQuery<'a> {
    organization_id: Id<Organization>,
    after: Id<User>,
    /// The last user that is read.
    upto: Id<User>,
    limit: i64,
    kinds: AccountKinds,
    address: Option<&'a str>,
    name: Option<&'a str>,
    more: &'a MoreFilters,
}

/// Lists collaborators by more than their address, name and kind.
async fn filtered(
    app: &App,
    caller: &Caller,
    filter: &CollaboratorFilter,
    page: &PageRequest<User>,
) -> Result<Page<UserDetails>> {
    let CollaboratorFilter { email, name, collaborator_type, is_service_account, more } = filter;
    if more.batch_id.is_some() {
        app.authorize(caller, Action::BatchGet).await?;
    }
    if more.group_id.is_some() {
        app.authorize(caller, Action::GroupList).await?;
    }
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let kinds = AccountKinds::of(*collaborator_type, *is_service_account);
    let Ok(address) = email.as_deref().map(EmailAddress::parse).transpose() else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    if kinds == AccountKinds::None {
        return Ok(Page { rows: Vec::new(), next: None });
    }
    let after = page.after.unwrap_or(Id::MIN);
    let is_indexed = address.is_some()
        || name.is_some()
        || more.permission_level == Some(PermissionLevel::Owner)
        || more.expires_before.is_some();
    let last = match is_indexed {
        true => None,
        false => last_scanned(&mut read, caller.organization_id, more, after).await?,
    };
    let query = FilteredQuery {
        organization_id: caller.organization_id,
        after,
        upto: last.unwrap_or(Id::MAX),
        limit: page.limit(),
        kinds,
        address: address.as_ref().map(EmailAddress::key),
        name: name.as_deref(),
        more,
    };
    let rows = if more.permission_level == Some(PermissionLevel::Owner) {
        filtered!("u.user_id in (select user_id from effective_owners where organization_id = $1)", &query, &mut *read)
    } else if more.expires_before.is_some() {
        filtered!("u.status = 'active' and u.expires_at is not null", &query, &mut *read)
    } else if more.group_id.is_some() {
        filtered!(
            "u.user_id in (select user_id from user_group_members where organization_id = $1 and group_id = $12)",
            &query,
            &mut *read
        )
    } else {
        filtered!("true", &query, &mut *read)
    };
    drop(read);
    let page = Page::new(page, rows, |row| row.user_id);
    Ok(Page { next: page.next.or(last.map(|last| last.to_string())), ..page })
}

/// The last of the next [`MOST_SCANNED`] users of a table that satisfy a condition.
macro_rules! last_of {
    ($table:literal, $condition:literal, $value:expr, $organization_id:expr, $after:expr, $read:expr) => {
        Ok(sqlx::query_scalar!(
            r#"select user_id as "user_id: Id<User>" from "#
                + $table
                + " where organization_id = $1 and "
                + $condition
                + " and user_id > $3 order by user_id offset $4 limit 1",
            $organization_id as Id<Organization>,
            $value,
            $after as Id<User>,
            MOST_SCANNED - 1,
        )
        .fetch_optional($read)
        .await?)
    };
}

/// The last user after `after` that is read for a page: [`MOST_SCANNED`] users of the batch, of the group or of all. `None`
/// if fewer are left.
async fn last_scanned(
    read: &mut PgConnection,
    organization_id: Id<Organization>,
    filters: &MoreFilters,
    after: Id<User>,
) -> Result<Option<Id<User>>> {
    let (batch_id, group_id) = (filters.batch_id, filters.group_id);
    match (batch_id, group_id) {
        (Some(_), _) => last_of!("users", "batch_id = $2", batch_id as Option<Id<Batch>>, organization_id, after, read),
        (None, Some(_)) => {
            last_of!("user_group_members", "group_id = $2", group_id as Option<Id<Group>>, organization_id, after, read)
        }
        (None, None) => last_of!("users", "$2::uuid is null", None::<Uuid>, organization_id, after, read),
    }
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
