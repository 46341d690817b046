//! Selecting users by filters, in an order, without reading more than a bounded number of them.
//!
//! # Decisions
//!
//! *The rare filters are looked up first* ([`Selection::narrow`]): a filter with an index returns its users if they are few
//! ([`candidates::MOST`]), and only they are filtered and sorted. If all filters match many users, those of the page are found soon in
//! the order of the list ([`Selection::page`]): the index of the order is read from the start of the page until the page is full, and
//! at most [`MOST_SCANNED`] users of it. So a page can have fewer users than requested, even none, although more follow: where
//! a filter without an index, such as attributes, matches few. Leaving the choice to PostgreSQL means to trust its
//! estimates for combinations of filters, and one wrong estimate reads a million users.
//!
//! *PostgreSQL plans these statements with their values*, as in [`super::search()`]: absent filters vanish from the plan.
//!
//! *The order by name is that of `users.search_text`*: first and last name together, in lower case, by code points, and then the
//! address. It needs no column of its own, and does not depend on a collation, which an update of the operating system can change
//! under an index.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::candidates;
use super::filter::{AccountKinds, CollaboratorFilter, OwnerThrough, PersonQuery};
use crate::caller::PermissionLevel;
use crate::error::{Error, Result};
use crate::id::{Batch, Group, Id, Organization, SsoProvider, User};
use crate::names::names;
use crate::page::Position;
use crate::users::{Attributes, EmailAddress, Status};

/// The most users that are read for a page, in the order of the list.
const MOST_SCANNED: i64 = 10_000;

names! {
    /// The order of a list of people. Users with equal values are in the order of their creation.
    pub enum PeopleOrder {
        /// By first and last name, and then by address, regardless of case.
        Name = "name",
        /// By name, backward.
        NameBackward = "-name",
        /// By address.
        Email = "email",
        /// By address, backward.
        EmailBackward = "-email",
        /// The oldest accounts first.
        Created = "created",
        /// The newest accounts first.
        CreatedBackward = "-created",
        /// By the last sign-in: users who have never signed in first.
        LastSignIn = "last",
        /// The latest sign-ins first.
        LastSignInBackward = "-last",
    }
}

/// The users that match filters.
pub(super) struct Selection<'a> {
    pub(super) organization_id: Id<Organization>,
    pub(super) kinds: AccountKinds,
    /// The keys of addresses, of which users have one.
    pub(super) addresses: Option<Vec<String>>,
    pub(super) filter: &'a CollaboratorFilter,
    /// The users of the rare filters, which have to match all filters nevertheless.
    candidates: Option<Vec<Id<User>>>,
    now: DateTime<Utc>,
}

/// Some of the users that match.
#[derive(Debug)]
pub(super) struct Found {
    /// The users, in the direction of reading.
    pub(super) users: Vec<(Id<User>, Position)>,
    /// The last position that was read, if that is why there are no more users.
    pub(super) searched: Option<Position>,
}

/// A query with the conditions of all filters, on `users u`, between two parts. Its further parameters begin with `$26`.
macro_rules! matching {
    ($query:ident, [$($before:literal)+], [$($after:literal)+], $selection:expr $(, $value:expr)*) => {{
        let Selection { organization_id, kinds, addresses, filter, candidates, now } = $selection;
        let more = &filter.more;
        let (id, contains) = match &more.query {
            Some(PersonQuery::Id(id)) => (Some(*id), None),
            Some(PersonQuery::Text(text)) => (None, Some(text.contains())),
            Some(PersonQuery::Addresses(_)) | None => (None, None),
        };
        let sign_in: Vec<&str> = more.sign_in.iter().map(|method| method.as_str()).collect();
        sqlx::$query!(
            $($before +)+ r#"
            and ($3::bool is null or u.is_service_account = $3)
            and ($4::text[] is null or u.email_key = any($4))
            and ($5::uuid is null or u.user_id = $5 or exists (
                select from collaborators c where c.organization_id = $1 and c.user_id = u.user_id and c.identity_id = $5
            ))
            and ($6::text is null or u.name = $6 or (u.lastname <> '' and u.name || ' ' || u.lastname = $6))
            and ($7::text is null or u.status = $7)
            and ($8::bool is null or $8 = exists (
                select from effective_owners o where o.organization_id = $1 and o.user_id = u.user_id
            ))
            and ($9::bool is null or exists (
                select from effective_owners o
                where o.organization_id = $1 and o.user_id = u.user_id and o.through_group = $9
            ))
            and ($10::bool is null or u.is_sso_user = $10)
            and ($11::uuid[] is null or u.batch_id = any($11))
            and ($12::uuid[] is null or exists (
                select from user_group_members m
                where m.organization_id = $1 and m.group_id = any($12) and m.user_id = u.user_id
            ))
            and ($13::text[] is null or split_part(u.email_key, '@', 2) = any($13))
            and ($14::timestamptz is null or u.created_at >= $14)
            and ($15::timestamptz is null or u.created_at < $15)
            and ($16::bool is null or $16 = (not u.is_sso_user and not u.is_service_account and not exists (
                select from passwords p where p.organization_id = $1 and p.user_id = u.user_id
            )))
            and ($17::bool is null or $17 = (u.last_signed_in_at is null and not u.is_service_account))
            and ($18::timestamptz is null or u.last_signed_in_at >= $18)
            and ($19::timestamptz is null or u.last_signed_in_at < $19)
            and ($20::timestamptz is null or (u.status = 'active' and u.expires_at <= $20))
            and ($21::jsonb is null or u.attributes @> $21)
            and ($22::text[] is null or not u.is_service_account and case
                when u.is_sso_user then 'sso'
                when exists (
                    select from passwords p where p.organization_id = $1 and p.user_id = u.user_id
                ) then 'password'
                when exists (
                    select from password_links l
                    where l.organization_id = $1 and l.user_id = u.user_id and l.used_at is null and l.revoked_at is null
                        and l.expires_at > $23
                ) then 'link'
                else 'none'
            end = any($22))
            and ($23::timestamptz is not null)
            and ($24::uuid[] is null or exists (
                select from sso_identities i
                where i.organization_id = $1 and i.user_id = u.user_id and i.provider_id = any($24)
            ))
            and ($25::text is null or u.search_text like '%' || $25 || '%')
            "# $(+ $after)+,
            *organization_id as Id<Organization>,
            candidates.as_deref() as Option<&[Id<User>]>,
            kinds.is_service_account(),
            addresses.as_deref(),
            id,
            filter.name.as_deref(),
            more.status.map(Status::as_str),
            more.permission_level.map(|level| level == PermissionLevel::Owner),
            more.owner_through.map(|through| through == OwnerThrough::Group),
            more.is_sso_user,
            any_of(&more.batches) as Option<&[Id<Batch>]>,
            any_of(&more.groups) as Option<&[Id<Group>]>,
            any_of(&more.domains),
            more.created_after,
            more.created_before,
            more.without_password,
            more.never_signed_in,
            more.signed_in_after,
            more.signed_in_before,
            more.expires_before,
            more.attributes.as_ref() as Option<&Attributes>,
            any_of(&sign_in) as Option<&[&str]>,
            now,
            any_of(&more.providers) as Option<&[Id<SsoProvider>]>,
            contains,
            $($value,)*
        )
    }};
}

/// Selects a part of the list, in either direction: the key of the order, the columns and results by which it is ordered, and where it
/// starts.
macro_rules! page {
    ($is_backward:expr, $($rest:tt)+) => {
        match $is_backward {
            false => page!(@ ">", "", $($rest)+),
            true => page!(@ "<", " desc", $($rest)+),
        }
    };
    (
        @ $after:literal, $desc:literal, $key:literal, [$column:literal $(, $columns:literal)*],
        [$result:literal $(, $results:literal)*], $type:literal, $start:literal,
        ($selection:expr, $read:expr, $limit:expr, $start_key:expr, $start_id:expr), $text:expr
    ) => {{
        let rows = matching!(
            query,
            [
                r#"
        select
            u.user_id as "user_id!: Id<User>", u.key as "key!", u.is_match as "is_match!", u.n = $29 as "is_last_scanned!"
        from (
            select u.user_id, u.key, u.n, (true "#
            ],
            [
                r#") as is_match
            from (
                select u.*, "#
                $key
                " as key, row_number() over (order by "
                $column $desc $(", " $columns $desc)*
                r#") as n
                from users u
                where u.organization_id = $1 and ($2::uuid[] is null or u.user_id = any($2))
                    and ($26::"# $type " is null or (" $column $(", " $columns)* ") " $after " (" $start r#"))
                order by "#
                $column $desc $(", " $columns $desc)*
                r#"
                limit $29
            ) u
        ) u
        where u.is_match or u.n = $29
        order by "#
                $result $desc $(", " $results $desc)*
                " limit $28"
            ],
            $selection,
            $start_key,
            $start_id,
            $limit,
            MOST_SCANNED
        )
        .fetch_all($read)
        .await?;
        let text = $text;
        let rows = rows.into_iter();
        rows.map(|row| (row.user_id, Position::new(text(row.key), row.user_id), row.is_match, row.is_last_scanned)).collect()
    }};
}

impl<'a> Selection<'a> {
    /// The users of an organization that match the filters. `None` if the filters exclude each other.
    pub(super) fn new(
        organization_id: Id<Organization>,
        filter: &'a CollaboratorFilter,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let kinds = AccountKinds::of(filter.collaborator_type, filter.is_service_account);
        let email = filter.email.as_deref().map(EmailAddress::parse).transpose().ok()?;
        let email = email.map(|email| vec![email.key().to_owned()]);
        let addresses = match (email, &filter.more.query) {
            (Some(mut email), Some(PersonQuery::Addresses(list))) => {
                email.retain(|key| list.contains(key));
                Some(email)
            }
            (None, Some(PersonQuery::Addresses(list))) => Some(list.clone()),
            (email, _) => email,
        };
        (kinds != AccountKinds::None).then_some(Self {
            organization_id,
            kinds,
            addresses,
            filter,
            candidates: None,
            now,
        })
    }

    /// Looks up the users of the rare filters, if there are such filters.
    pub(super) async fn narrow(&mut self, read: &mut PgConnection) -> Result<()> {
        self.candidates = candidates::of(self, read).await?;
        Ok(())
    }

    /// Selects users in an order, from the position `start`.
    pub(super) async fn page(
        &self,
        read: &mut PgConnection,
        order: PeopleOrder,
        is_backward: bool,
        start: Option<&Position>,
        limit: i64,
    ) -> Result<Found> {
        let key = start.map(|start| start.key.as_str());
        let id = start.map(|start| start.id);
        let time = match (order, key) {
            (PeopleOrder::LastSignIn | PeopleOrder::LastSignInBackward, Some(key)) => Some(parse_time(key)?),
            _ => None,
        };
        let rows: Vec<(Id<User>, Position, bool, bool)> = match (order.key(), order.is_backward() != is_backward) {
            (PeopleOrder::Name, is_backward) => page!(
                is_backward,
                "u.search_text",
                ["u.search_text", "u.user_id"],
                ["u.key", "u.user_id"],
                "text",
                "$26, $27",
                (self, read, limit, key, id),
                String::from
            ),
            (PeopleOrder::Email, is_backward) => page!(
                is_backward,
                "u.email_key",
                ["u.email_key", "u.user_id"],
                ["u.key", "u.user_id"],
                "text",
                "$26, $27",
                (self, read, limit, key, id),
                String::from
            ),
            (PeopleOrder::LastSignIn, is_backward) => page!(
                is_backward,
                "coalesce(u.last_signed_in_at, 'epoch')",
                ["coalesce(u.last_signed_in_at, 'epoch')", "u.user_id"],
                ["u.key", "u.user_id"],
                "timestamptz",
                "$26, $27",
                (self, read, limit, time, id),
                time_text
            ),
            (_, is_backward) => page!(
                is_backward,
                "u.user_id",
                ["u.user_id"],
                ["u.user_id"],
                "text",
                "$27",
                (self, read, limit, key, id),
                |_: Uuid| ""
            ),
        };
        let searched =
            rows.iter().find(|(.., is_last_scanned)| *is_last_scanned).map(|(_, position, ..)| position.clone());
        let users =
            rows.into_iter().filter(|(_, _, is_match, _)| *is_match).map(|(user, position, ..)| (user, position));
        Ok(Found { users: users.collect(), searched })
    }

    /// Selects the users with their revisions, in the order of their names, up to `most` and one more.
    pub(super) async fn all(&self, read: &mut PgConnection, most: i64) -> Result<Vec<(Id<User>, i64)>> {
        let users = matching!(
            query,
            [r#"
        select u.user_id as "user_id: Id<User>", u.revision
        from users u
        where u.organization_id = $1 and ($2::uuid[] is null or u.user_id = any($2)) "#],
            [r#"
        order by u.search_text, u.user_id
        limit $26"#],
            self,
            most + 1
        );
        let users = users.fetch_all(read).await?;
        Ok(users.into_iter().map(|user| (user.user_id, user.revision)).collect())
    }

    /// Counts the users, up to `most` and one more. It reads all users if no filter is rare.
    pub(super) async fn count(&self, read: &mut PgConnection, most: i64) -> sqlx::Result<i64> {
        let count = matching!(
            query_scalar,
            [r#"
        select count(*) as "count!"
        from (
            select from users u
            where u.organization_id = $1 and ($2::uuid[] is null or u.user_id = any($2)) "#],
            [r#"
            limit $26
        ) u"#],
            self,
            most + 1
        );
        count.fetch_one(read).await
    }
}

impl PeopleOrder {
    /// The order of the same key that is not backward.
    const fn key(self) -> Self {
        match self {
            Self::Name | Self::NameBackward => Self::Name,
            Self::Email | Self::EmailBackward => Self::Email,
            Self::Created | Self::CreatedBackward => Self::Created,
            Self::LastSignIn | Self::LastSignInBackward => Self::LastSignIn,
        }
    }

    const fn is_backward(self) -> bool {
        matches!(self, Self::NameBackward | Self::EmailBackward | Self::CreatedBackward | Self::LastSignInBackward)
    }
}

/// A filter with any of these values; none are no filter.
pub(super) fn any_of<T>(values: &[T]) -> Option<&[T]> {
    (!values.is_empty()).then_some(values)
}

fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn parse_time(text: &str) -> Result<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    time.map_err(|_| Error::invalid("the page belongs to another list; begin with the first page"))
}
