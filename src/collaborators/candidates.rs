//! Looking up the users of rare filters.
//!
//! # Decisions
//!
//! *One statement returns the users of each filter that has an index*, or as many as [`MOST`] and one more, which means: too many to
//! be rare. PostgreSQL removes the parts of absent filters when it plans the statement.
//!
//! *People without a password are no index*: whether there is a password is in another table. They are looked up among the people who
//! don't use single sign-on, if those are at most [`MOST_WITHOUT_SSO`].

use std::collections::HashSet;

use sqlx::PgConnection;

use super::filter::{AccountKinds, OwnerThrough, PersonQuery, SignInMethod};
use super::select::{Selection, any_of};
use crate::caller::PermissionLevel;
use crate::error::Result;
use crate::id::{Batch, Group, Id, Organization, SsoProvider, User};
use crate::users::Status;

/// The most users of a rare filter. Among a million users, a filter with more of them fills a page from the users that are read for it.
pub(super) const MOST: i64 = 5_000;

/// The most people without single sign-on among whom those without a password are looked up.
pub(super) const MOST_WITHOUT_SSO: i64 = 100_000;

/// The users whom all rare filters have in common; `None` if there is no such filter.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub(super) async fn of(selection: &Selection<'_>, read: &mut PgConnection) -> Result<Option<Vec<Id<User>>>> {
    let Selection { organization_id, kinds, addresses, filter, .. } = selection;
    let more = &filter.more;
    let (id, contains) = match &more.query {
        Some(PersonQuery::Id(id)) => (Some(*id), None),
        Some(PersonQuery::Text(text)) => (None, Some(text.contains())),
        Some(PersonQuery::Addresses(_)) | None => (None, None),
    };
    let has_owners = more.permission_level == Some(PermissionLevel::Owner) || more.owner_through.is_some();
    let is_rare = |method: &SignInMethod| matches!(method, SignInMethod::Link | SignInMethod::None);
    let without_password =
        more.without_password == Some(true) || (!more.sign_in.is_empty() && more.sign_in.iter().all(is_rare));
    let lists = sqlx::query_scalar!(
        r#"
        select array(
            select c.user_id from collaborators c
            where c.organization_id = $1 and (c.user_id = $3 or c.identity_id = $3)
        ) as "users!: Vec<Id<User>>"
        where $3::uuid is not null
        union all
        select array(select u.user_id from users u where u.organization_id = $1 and u.email_key = any($4) limit $2)
        where $4::text[] is not null
        union all
        select array(
            (select u.user_id from users u where u.organization_id = $1 and u.name = $5 limit $2)
            union
            (
                select u.user_id from users u
                where u.organization_id = $1 and u.lastname <> '' and u.name || ' ' || u.lastname = $5 limit $2
            )
        )
        where $5::text is not null
        union all
        select array(select u.user_id from users u where u.organization_id = $1 and u.search_text like '%' || $6 || '%' limit $2)
        where $6::text is not null
        union all
        select array(select u.user_id from users u where u.organization_id = $1 and u.is_service_account limit $2)
        where $7
        union all
        select array(select u.user_id from users u where u.organization_id = $1 and u.status = 'suspended' limit $2)
        where $8
        union all
        select array(
            select distinct o.user_id from effective_owners o
            where o.organization_id = $1 and ($10::bool is null or o.through_group = $10) limit $2
        )
        where $9
        union all
        select array(select u.user_id from users u where u.organization_id = $1 and u.batch_id = any($11) limit $2)
        where $11::uuid[] is not null
        union all
        select array(
            select distinct m.user_id from user_group_members m
            where m.organization_id = $1 and m.group_id = any($12) limit $2
        )
        where $12::uuid[] is not null
        union all
        select array(
            select i.user_id from sso_identities i where i.organization_id = $1 and i.provider_id = any($13) limit $2
        )
        where $13::uuid[] is not null
        union all
        select array(
            select u.user_id from users u where u.organization_id = $1 and split_part(u.email_key, '@', 2) = any($14) limit $2
        )
        where $14::text[] is not null
        union all
        select array(
            select u.user_id from users u
            where u.organization_id = $1 and u.created_at >= coalesce($15::timestamptz, '-infinity') and u.created_at < coalesce($16::timestamptz, 'infinity')
            limit $2
        )
        where $15::timestamptz is not null or $16::timestamptz is not null
        union all
        select array(
            select u.user_id from users u
            where u.organization_id = $1 and coalesce(u.last_signed_in_at, 'epoch') = 'epoch' limit $2
        )
        where $17
        union all
        select array(
            select u.user_id from users u
            where u.organization_id = $1 and coalesce(u.last_signed_in_at, 'epoch') > 'epoch'
                and coalesce(u.last_signed_in_at, 'epoch') >= coalesce($18::timestamptz, 'epoch')
                and coalesce(u.last_signed_in_at, 'epoch') < coalesce($19::timestamptz, 'infinity')
            limit $2
        )
        where $18::timestamptz is not null or $19::timestamptz is not null
        union all
        select array(
            select u.user_id from users u
            where u.organization_id = $1 and u.status = 'active' and u.expires_at <= $20 limit $2
        )
        where $20::timestamptz is not null
        union all
        select array(
            select u.user_id
            from (
                select user_id from users
                where organization_id = $1 and not is_sso_user and not is_service_account
                order by user_id limit $22
            ) u
            where not exists (select from passwords p where p.organization_id = $1 and p.user_id = u.user_id)
            limit $2
        )
        where $21 and $22 >= (
            select count(*)
            from (
                select from users where organization_id = $1 and not is_sso_user and not is_service_account
                order by user_id limit $22 + 1
            ) u
        )
        "#,
        *organization_id as Id<Organization>,
        MOST + 1,
        id,
        addresses.as_deref(),
        filter.name.as_deref(),
        contains,
        *kinds == AccountKinds::Only(true),
        more.status == Some(Status::Suspended),
        has_owners,
        more.owner_through.map(|through| through == OwnerThrough::Group),
        any_of(&more.batches) as Option<&[Id<Batch>]>,
        any_of(&more.groups) as Option<&[Id<Group>]>,
        any_of(&more.providers) as Option<&[Id<SsoProvider>]>,
        any_of(&more.domains),
        more.created_after,
        more.created_before,
        more.never_signed_in == Some(true),
        more.signed_in_after,
        more.signed_in_before,
        more.expires_before,
        without_password,
        MOST_WITHOUT_SSO,
    )
    .fetch_all(read)
    .await?;
    let rare = lists.into_iter().filter(|users| i64::try_from(users.len()).is_ok_and(|count| count <= MOST));
    let common = rare.map(HashSet::from_iter).reduce(|one: HashSet<Id<User>>, other| &one & &other);
    Ok(common.map(|users| users.into_iter().collect()))
}
