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
//! *A list with further filters is selected as a list of people* (`select.rs`), in the order of creation.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::filter::{AccountKinds, CollaboratorFilter, MoreFilters};
use super::select::{PeopleOrder, Selection};
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Error, Result};
use crate::id::{Id, Membership, Organization, User};
use crate::page::{Page, PageRequest, Position};
use crate::users::read::user_details;
use crate::users::{self, EmailAddress, Status, UserDetails};

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

/// Lists collaborators by more than their address, name and kind.
async fn filtered(
    app: &App,
    caller: &Caller,
    filter: &CollaboratorFilter,
    page: &PageRequest<User>,
) -> Result<Page<UserDetails>> {
    authorize_filters(app, caller, &filter.more).await?;
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let Some(mut selection) = Selection::new(caller.organization_id, filter, app.clock.now()) else {
        return Ok(Page { rows: Vec::new(), next: None });
    };
    selection.narrow(&mut read).await?;
    let start = page.after.map(|after| Position::new("", after));
    let found = selection.page(&mut read, PeopleOrder::Created, false, start.as_ref(), page.limit()).await?;
    let ids: Vec<Id<User>> = found.users.iter().map(|(user_id, _)| *user_id).collect();
    let rows = users::read::details(&mut read, caller.organization_id, &ids).await?;
    drop(read);
    let page = Page::new(page, rows, |row| row.user_id);
    let searched = found.searched.map(|position| Id::<User>::from_uuid(position.id).to_string());
    Ok(Page { next: page.next.or(searched), ..page })
}

/// Checks that the caller may read what the filters name.
pub(super) async fn authorize_filters(app: &App, caller: &Caller, filters: &MoreFilters) -> Result<()> {
    if !filters.batches.is_empty() {
        app.authorize(caller, Action::BatchGet).await?;
    }
    if !filters.groups.is_empty() {
        app.authorize(caller, Action::GroupList).await?;
    }
    if !filters.providers.is_empty() {
        app.authorize(caller, Action::SsoProviderList).await?;
    }
    Ok(())
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

/// The keys of all attributes that users have, in alphabetical order.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn attribute_keys(app: &App, caller: &Caller) -> Result<BTreeSet<String>> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    let keys = sqlx::query_scalar!(
        r#"
        select distinct attribute.key as "key!"
        from users u, jsonb_object_keys(u.attributes) as attribute (key)
        where u.organization_id = $1 and u.attributes <> '{}'
        "#,
        caller.organization_id as Id<Organization>,
    );
    Ok(keys.fetch_all(&mut *read).await?.into_iter().collect())
}
