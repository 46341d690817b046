//! Reading and counting days.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::DailyCounts;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{Id, Organization};

/// The latest days that were counted, at most `days`, the first one first. There is none before the creation of the organization.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn recent(app: &App, caller: &Caller, days: u16) -> Result<Vec<DailyCounts>> {
    let mut read = app.read(caller, Action::AuditList).await?;
    let rows = sqlx::query_as!(
        DailyCounts,
        r#"
        select day, people, created, deleted, sign_ins, refused, counted_at
        from daily_counts
        where organization_id = $1
        order by day desc
        limit $2
        "#,
        caller.organization_id as Id<Organization>,
        i64::from(days),
    );
    let mut rows = rows.fetch_all(&mut *read).await?;
    rows.reverse();
    Ok(rows)
}

/// The last days that were counted, and when. Two of them at most are not final: a day, and the one before in its first hour.
pub(super) async fn latest(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
) -> Result<Vec<(NaiveDate, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        "select day, counted_at from daily_counts where organization_id = $1 order by day desc limit 3",
        organization_id as Id<Organization>,
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.day, row.counted_at)).collect())
}

/// The day on which an organization was created.
pub(super) async fn creation(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<NaiveDate> {
    let created_at = sqlx::query_scalar!(
        "select created_at from organizations where organization_id = $1",
        organization_id as Id<Organization>,
    );
    Ok(created_at.fetch_one(connection).await?.date_naive())
}

/// What the audit log has of a day.
pub(super) struct Counted {
    pub(super) created: i64,
    pub(super) deleted: i64,
    pub(super) sign_ins: i64,
    pub(super) refused: i64,
    /// The people of now.
    pub(super) people: Option<i64>,
}

/// Counts the events of a time. Without an end, counts the people of now, too.
///
/// The events of an account do not say whether it is a service account. One that was created has another event; of one that was deleted,
/// that event is looked up, by the index of targets. Batches create no service accounts.
pub(super) async fn count(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) -> Result<Counted> {
    let counted = sqlx::query_as!(
        Counted,
        r#"
        select
            count(*) filter (where action = $4 and outcome = 'success')
                - count(*) filter (where action = $5 and outcome = 'success') as "created!",
            count(*) filter (where action = $6 and outcome = 'success') - (
                select count(*) from audit_events d
                where d.organization_id = $1 and d.occurred_at >= $2 and d.occurred_at < coalesce($3::timestamptz, 'infinity')
                    and d.action = $6 and d.outcome = 'success' and d.batch_id is null
                    and (
                        select true from audit_events s
                        where s.organization_id = $1 and s.target_id = d.target_id and s.action = $5
                        limit 1
                    )
            ) as "deleted!",
            count(*) filter (where action = $7 and outcome = 'success') as "sign_ins!",
            coalesce(
                sum(coalesce((details ->> 'repeated')::bigint, 1)) filter (where action = $7 and outcome <> 'success'), 0
            )::bigint as "refused!",
            case when $3::timestamptz is null then
                (select count(*) from users where organization_id = $1)
                    - (select count(*) from users where organization_id = $1 and is_service_account)
            end as people
        from audit_events
        where organization_id = $1 and occurred_at >= $2 and occurred_at < coalesce($3::timestamptz, 'infinity')
            and action in ($4, $5, $6, $7)
        "#,
        organization_id as Id<Organization>,
        since,
        until,
        Action::UserCreate.as_str(),
        Action::ServiceAccountCreate.as_str(),
        Action::UserDelete.as_str(),
        Action::SessionStart.as_str(),
    );
    Ok(counted.fetch_one(connection).await?)
}
