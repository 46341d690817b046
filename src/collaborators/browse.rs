//! The list of people for a page: filtered, in an order, in both directions, with what the page shows of each; and its numbers.
//!
//! # Decisions
//!
//! *Numbers are exact up to [`MOST_COUNTED`]*, and left out if counting takes longer than [`COUNT_TIMEOUT`]: the rows are shown
//! nevertheless.
//!
//! *A page costs four statements*, whatever its rows; each number costs one more.

use std::collections::HashMap;

use chrono::{DateTime, Months, Utc};
use muster_client::CollaboratorType;
use sqlx::PgConnection;

use super::candidates;
use super::filter::{CollaboratorFilter, MoreFilters, SignInMethod};
use super::read::authorize_filters;
use super::select::{PeopleOrder, Selection};
use crate::app::App;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, Organization, User};
use crate::page::{ListKey, Slice, Span};
use crate::postgres::ErrorClass;
use crate::users::{self, Status, UserDetails};

/// The highest number that is counted.
pub const MOST_COUNTED: u32 = 10_000;

/// The longest time for counting, in PostgreSQL's notation.
const COUNT_TIMEOUT: &str = "200ms";

/// A user, as a list of people shows them.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user, with their membership.
    pub user: UserDetails,
    /// How the user can sign in; `None` for a service account.
    pub sign_in: Option<SignInMethod>,
    /// The title of the identity provider that the user has an identity at: of the one used last.
    pub provider: Option<String>,
    /// The number of groups of which the user is a member. 0 if the caller may not list groups.
    pub group_count: i64,
    /// The first of these groups, by name.
    pub first_group: Option<String>,
    /// The batch that created the user. `None` also if the caller may not read batches.
    pub batch_id: Option<Id<Batch>>,
    /// The name of the file of that batch.
    pub file_name: Option<String>,
}

/// Identifies the list with these filters in this order, for [`Span`].
#[must_use]
pub fn list_key(filter: &CollaboratorFilter, order: PeopleOrder) -> ListKey {
    ListKey::of(["people", order.as_str(), &format!("{filter:?}")])
}

/// Lists a part of the people, and service accounts if the filter does not exclude them. Where a filter without an index matches few,
/// the part can have fewer rows than requested, even none, although [`Slice::next`] leads to more.
///
/// # Errors
/// `forbidden`, also for a caller who may not read the batch, the group or the provider of a filter; `invalid_request` for a
/// position of another list; a database error.
pub async fn browse(
    app: &App,
    caller: &Caller,
    filter: &CollaboratorFilter,
    order: PeopleOrder,
    span: &Span,
) -> Result<Slice<Person>> {
    authorize_filters(app, caller, &filter.more).await?;
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let now = app.clock.now();
    let Some(mut selection) = Selection::new(caller.organization_id, filter, now) else {
        return Ok(Slice { rows: Vec::new(), previous: None, next: None });
    };
    selection.narrow(&mut read).await?;
    let found = selection.page(&mut read, order, span.is_backward(), span.start(), span.limit()).await?;
    let slice = Slice::new(span, found.users, found.searched, |(_, position)| position.clone());
    let ids: Vec<Id<User>> = slice.rows.iter().map(|(user_id, _)| *user_id).collect();
    let mut people = people(&mut read, caller, &ids, now).await?;
    // A user who was deleted meanwhile is missing.
    let rows = ids.iter().filter_map(|user_id| people.remove(user_id)).collect();
    Ok(slice.with_rows(rows))
}

/// Selects all users that match filters, each with the current revision, in the order of their names.
///
/// # Errors
/// As [`browse`]; `too_large` if more than a list can have (setting `batch.max_users`) match.
pub async fn select_all(app: &App, caller: &Caller, filter: &CollaboratorFilter) -> Result<Vec<(Id<User>, i64)>> {
    authorize_filters(app, caller, &filter.more).await?;
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let Some(mut selection) = Selection::new(caller.organization_id, filter, app.clock.now()) else {
        return Ok(Vec::new());
    };
    selection.narrow(&mut read).await?;
    let most = app.config.batch.max_users;
    let users = selection.all(&mut read, i64::try_from(most).unwrap_or(i64::MAX - 1)).await?;
    match users.len() > most {
        true => Err(Error::new(Code::TooLarge, format!("more than {most} users match; use more filters"))),
        false => Ok(users),
    }
}

/// Reads users by their IDs, in the order of the IDs. Those that do not exist are missing.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn by_ids(app: &App, caller: &Caller, ids: &[Id<User>]) -> Result<Vec<UserDetails>> {
    let mut read = app.read(caller, Action::CollaboratorList).await?;
    users::read::details(&mut read, caller.organization_id, ids).await
}

/// What a page shows of users.
async fn people(
    read: &mut PgConnection,
    caller: &Caller,
    ids: &[Id<User>],
    now: DateTime<Utc>,
) -> Result<HashMap<Id<User>, Person>> {
    let details = users::read::details(read, caller.organization_id, ids).await?;
    let mut more = surroundings(read, caller.organization_id, ids, now).await?;
    let (may_list_groups, may_get_batches) = (caller.may(Action::GroupList), caller.may(Action::BatchGet));
    let person = |user: UserDetails| {
        let more = more.remove(&user.user_id)?;
        let sign_in = match () {
            () if user.is_service_account => None,
            () if user.is_sso_user => Some(SignInMethod::Sso),
            () if user.must_change_password.is_some() => Some(SignInMethod::Password),
            () if more.has_link => Some(SignInMethod::Link),
            () => Some(SignInMethod::None),
        };
        let person = Person {
            sign_in,
            provider: more.provider.filter(|_| user.is_sso_user),
            group_count: if may_list_groups { more.group_count } else { 0 },
            first_group: more.first_group.filter(|_| may_list_groups),
            batch_id: more.batch_id.filter(|_| may_get_batches),
            file_name: more.file_name.filter(|_| may_get_batches),
            user,
        };
        Some((person.user.user_id, person))
    };
    Ok(details.into_iter().filter_map(person).collect())
}

struct Surroundings {
    user_id: Id<User>,
    batch_id: Option<Id<Batch>>,
    file_name: Option<String>,
    provider: Option<String>,
    has_link: bool,
    group_count: i64,
    first_group: Option<String>,
}

async fn surroundings(
    read: &mut PgConnection,
    organization_id: Id<Organization>,
    ids: &[Id<User>],
    now: DateTime<Utc>,
) -> Result<HashMap<Id<User>, Surroundings>> {
    let rows = sqlx::query_as!(
        Surroundings,
        r#"
        select
            u.user_id as "user_id: Id<User>", u.batch_id as "batch_id: Id<Batch>",
            (
                select b.file_name from batches b where b.organization_id = $1 and b.batch_id = u.batch_id
            ) as file_name,
            (
                select p.title
                from sso_identities i
                join sso_providers p using (provider_id)
                where i.organization_id = $1 and p.organization_id = $1 and i.user_id = u.user_id
                order by i.last_used_at desc nulls last
                limit 1
            ) as provider,
            exists (
                select from password_links l
                where l.organization_id = $1 and l.user_id = u.user_id and l.used_at is null and l.revoked_at is null
                    and l.expires_at > $3
            ) as "has_link!",
            g.group_count as "group_count!", g.first_group
        from
            users u,
            lateral (
                select count(*) as group_count, min(g.name) as first_group
                from user_group_members m
                join user_groups g using (group_id)
                where m.organization_id = $1 and g.organization_id = $1 and m.user_id = u.user_id
            ) g
        where u.organization_id = $1 and u.user_id = any(array(select unnest($2::uuid[])))
        "#,
        organization_id as Id<Organization>,
        ids as &[Id<User>],
        now,
    )
    .fetch_all(read)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row)).collect())
}

/// The number of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// As many.
    Exactly(u32),
    /// More than [`MOST_COUNTED`].
    Many,
}

impl Total {
    pub(super) fn of(count: i64) -> Self {
        u32::try_from(count).ok().filter(|count| *count <= MOST_COUNTED).map_or(Self::Many, Self::Exactly)
    }
}

/// Counts the users that match filters. `None` if counting takes too long.
///
/// # Errors
/// As [`browse`].
pub async fn count(app: &App, caller: &Caller, filter: &CollaboratorFilter) -> Result<Option<Total>> {
    authorize_filters(app, caller, &filter.more).await?;
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    let Some(mut selection) = Selection::new(caller.organization_id, filter, app.clock.now()) else {
        return Ok(Some(Total::Exactly(0)));
    };
    selection.narrow(&mut read).await?;
    limit_time(&mut read).await?;
    in_time(selection.count(&mut read, i64::from(MOST_COUNTED)).await.map(Total::of))
}

/// A named filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All people.
    Everyone,
    /// People who are owners, by their level or through a group.
    Owners,
    /// Suspended people.
    Suspended,
    /// People who have never signed in.
    NeverSignedIn,
    /// People without a way to sign in: no single sign-on, no password, no open link.
    CannotSignIn,
    /// People who have signed in before, but not within a year.
    NotForAYear,
}

impl View {
    /// All views, in the order of [`ViewTotals`].
    pub const ALL: [Self; 6] =
        [Self::Everyone, Self::Owners, Self::Suspended, Self::NeverSignedIn, Self::CannotSignIn, Self::NotForAYear];

    /// The filters of the view.
    #[must_use]
    pub fn filter(self, now: DateTime<Utc>) -> CollaboratorFilter {
        let none = MoreFilters::default();
        let more = match self {
            Self::Everyone => none,
            Self::Owners => MoreFilters { permission_level: Some(PermissionLevel::Owner), ..none },
            Self::Suspended => MoreFilters { status: Some(Status::Suspended), ..none },
            Self::NeverSignedIn => MoreFilters { never_signed_in: Some(true), ..none },
            Self::CannotSignIn => MoreFilters { sign_in: vec![SignInMethod::None], ..none },
            Self::NotForAYear => MoreFilters { signed_in_before: Some(a_year_before(now)), ..none },
        };
        CollaboratorFilter { collaborator_type: Some(CollaboratorType::OnlyUserAccounts), more, ..Default::default() }
    }
}

/// A year ago, at the beginning of the day: the address of the view stays the same during a day.
pub(super) fn a_year_before(now: DateTime<Utc>) -> DateTime<Utc> {
    let day = now.date_naive();
    day.checked_sub_months(Months::new(12)).unwrap_or(day).and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The numbers of people of each view.
pub type ViewTotals = [Option<Total>; View::ALL.len()];

/// Counts the people of each view, with one statement. All are `None` if that takes too long, and [`View::CannotSignIn`] is if too
/// many people would have to be read.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn views(app: &App, caller: &Caller) -> Result<ViewTotals> {
    let mut read = app.read_planned(caller, Action::CollaboratorList).await?;
    limit_time(&mut read).await?;
    let now = app.clock.now();
    let counts = sqlx::query!(
        r#"
        select
            (
                select count(*) from (
                    select from users u where u.organization_id = $1 and not u.is_service_account limit $2
                ) u
            ) as "everyone!",
            (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and not u.is_service_account and u.user_id in (
                        select o.user_id from effective_owners o where o.organization_id = $1
                    )
                    limit $2
                ) u
            ) as "owners!",
            (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and u.status = 'suspended' and not u.is_service_account
                    limit $2
                ) u
            ) as "suspended!",
            (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and coalesce(u.last_signed_in_at, 'epoch') = 'epoch'
                        and not u.is_service_account
                    limit $2
                ) u
            ) as "never_signed_in!",
            (
                case when $5::int8 >= (
                    select count(*) from (
                        select from users u
                        where u.organization_id = $1 and not u.is_sso_user and not u.is_service_account
                        order by u.user_id
                        limit $5::int8 + 1
                    ) u
                ) then (
                    select count(*) from (
                        select from users u
                        where u.organization_id = $1 and not u.is_sso_user and not u.is_service_account
                            and not exists (
                                select from passwords p where p.organization_id = $1 and p.user_id = u.user_id
                            )
                            and not exists (
                                select from password_links l
                                where l.organization_id = $1 and l.user_id = u.user_id and l.used_at is null
                                    and l.revoked_at is null and l.expires_at > $3
                            )
                        limit $2
                    ) u
                ) end
            ) as cannot_sign_in,
            (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and coalesce(u.last_signed_in_at, 'epoch') > 'epoch'
                        and coalesce(u.last_signed_in_at, 'epoch') < $4 and not u.is_service_account
                    limit $2
                ) u
            ) as "not_for_a_year!"
        "#,
        caller.organization_id as Id<Organization>,
        i64::from(MOST_COUNTED) + 1,
        now,
        a_year_before(now),
        candidates::MOST_WITHOUT_SSO,
    )
    .fetch_one(&mut *read)
    .await;
    let counts = counts.map(|row| {
        let [everyone, owners, suspended] = [row.everyone, row.owners, row.suspended].map(Some);
        let [never, for_long] = [row.never_signed_in, row.not_for_a_year].map(Some);
        [everyone, owners, suspended, never, row.cannot_sign_in, for_long].map(|count| count.map(Total::of))
    });
    Ok(in_time(counts)?.unwrap_or_default())
}

/// Limits the time of the next statements of a transaction.
pub(super) async fn limit_time(read: &mut PgConnection) -> Result<()> {
    sqlx::query("select set_config('statement_timeout', $1, true)").bind(COUNT_TIMEOUT).execute(read).await?;
    Ok(())
}

/// The result of a statement, or `None` if its time was up.
pub(super) fn in_time<T>(result: sqlx::Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if ErrorClass::of(&error) == ErrorClass::TimedOut => Ok(None),
        result => Ok(Some(result?)),
    }
}
