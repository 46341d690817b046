//! The numbers of people whose accounts need attention, for the overview of the console.
//!
//! # Decisions
//!
//! *Only active people count*: a suspended account needs nothing.
//!
//! *A number is left out if too many people would have to be read for it, or if counting takes too long*: the page is the first one that an
//! owner sees. People without a way to sign in are found in indexes alone. The index of sign-ins does not say who is suspended, so no more
//! people are read for that number than it can have.

use super::browse::{MOST_COUNTED, Total, a_year_before, in_time, limit_time};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{Id, Organization};

/// How many people are counted: one more than a number can have.
const LIMIT: i64 = MOST_COUNTED as i64 + 1;

/// The most people without single sign-on among whom those without a password are counted.
const MOST_WITHOUT_SSO: i64 = 50_000;

/// The numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttentionTotals {
    /// All people, suspended ones included.
    pub people: Option<Total>,
    /// Active people without a way to sign in.
    pub cannot_sign_in: Option<Total>,
    /// Active people who have signed in before, but not within a year.
    pub not_for_a_year: Option<Total>,
}

/// Counts people. What is `None` is left out.
///
/// # Errors
/// `forbidden`, or a database error.
pub async fn attention(app: &App, caller: &Caller) -> Result<AttentionTotals> {
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
            ) as "people!",
            case when (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and not u.is_sso_user and not u.is_service_account
                    order by u.user_id
                    limit $5::int8 + 1
                ) u
            ) <= $5 then (
                select count(*) from (
                    select from users u
                    where u.organization_id = $1 and not u.is_sso_user and not u.is_service_account
                        and not exists (
                            select from users s
                            where s.organization_id = $1 and s.user_id = u.user_id and s.status = 'suspended'
                        )
                        and not exists (select from passwords p where p.organization_id = $1 and p.user_id = u.user_id)
                        and not exists (
                            select from password_links l
                            where l.organization_id = $1 and l.user_id = u.user_id and l.used_at is null
                                and l.revoked_at is null and l.expires_at > $3
                        )
                    limit $2
                ) u
            ) end as cannot_sign_in,
            for_long.people as "for_long!", for_long.active as "not_for_a_year!"
        from
            (
                select count(*) as people, count(*) filter (where u.status = 'active') as active
                from (
                    select u.status from users u
                    where u.organization_id = $1 and coalesce(u.last_signed_in_at, 'epoch') > 'epoch'
                        and coalesce(u.last_signed_in_at, 'epoch') < $4 and not u.is_service_account
                    limit $2
                ) u
            ) for_long
        "#,
        caller.organization_id as Id<Organization>,
        LIMIT,
        now,
        a_year_before(now),
        MOST_WITHOUT_SSO,
    )
    .fetch_one(&mut *read)
    .await;
    let totals = counts.map(|row| AttentionTotals {
        people: Some(Total::of(row.people)),
        cannot_sign_in: row.cannot_sign_in.map(Total::of),
        // Of the first ones, if there are more, some are suspended: nobody knows about the others.
        not_for_a_year: Some(Total::of(row.not_for_a_year)).filter(|of| row.for_long < LIMIT || *of == Total::Many),
    });
    Ok(in_time(totals)?.unwrap_or_default())
}
