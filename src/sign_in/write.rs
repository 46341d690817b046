//! Writing the throttle and passwords. The throttle is not written by a [`Change`]: no caller is known yet.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::throttle::{Bucket, Throttled};
use crate::app::App;
use crate::audit::Event;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, User};
use crate::passwords::PasswordHash;

fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}

/// Takes a token from each bucket, in one statement, ordered so that two attempts wait for each other instead of deadlocking.
/// `Some`: a bucket is empty, and nothing was taken.
pub(super) async fn take(
    app: &App,
    organization_id: Id<Organization>,
    buckets: &[Bucket],
) -> Result<Option<Throttled>> {
    let ids: Vec<Vec<u8>> = buckets.iter().map(|bucket| bucket.id.to_vec()).collect();
    let costs: Vec<f64> = buckets.iter().map(|bucket| seconds(bucket.cost)).collect();
    let capacities: Vec<f64> = buckets.iter().map(|bucket| seconds(bucket.capacity)).collect();
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    let taken = sqlx::query_scalar!(
        r#"
        with asked as (
            select bucket, make_interval(secs => cost) as cost, make_interval(secs => capacity) as capacity
            from unnest($2::bytea[], $3::float8[], $4::float8[]) as asked (bucket, cost, capacity)
            order by bucket
        )
        insert into throttles as t (organization_id, bucket, full_at)
        select $1, bucket, statement_timestamp() + cost from asked
        on conflict (organization_id, bucket) do update
        set full_at = (excluded.full_at - statement_timestamp()) + case
            when t.full_at > statement_timestamp() + (select capacity from asked where asked.bucket = t.bucket)
                then statement_timestamp()
            else greatest(t.full_at, statement_timestamp())
        end
        where greatest(t.full_at, statement_timestamp()) + (excluded.full_at - statement_timestamp())
                <= statement_timestamp() + (select capacity from asked where asked.bucket = t.bucket)
            -- Written while the database's clock was ahead.
            or t.full_at > statement_timestamp() + (select capacity from asked where asked.bucket = t.bucket)
        returning true as "taken!"
        "#,
        organization_id as Id<Organization>,
        &ids,
        &costs,
        &capacities,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if taken.len() == buckets.len() {
        transaction.commit().await?;
        return Ok(None);
    }
    transaction.rollback().await?;
    let waits = sqlx::query!(
        r#"
        select
            bucket,
            extract(epoch from full_at + make_interval(secs => cost) - make_interval(secs => capacity) - statement_timestamp())
                ::float8 as "wait!"
        from unnest($2::bytea[], $3::float8[], $4::float8[]) as asked (id, cost, capacity)
        join throttles t on t.organization_id = $1 and t.bucket = asked.id
        order by 2 desc
        limit 1
        "#,
        organization_id as Id<Organization>,
        &ids,
        &costs,
        &capacities,
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    let (bucket, wait) = waits.map_or((None, 0.0), |row| (Some(row.bucket), row.wait));
    let bucket = buckets.iter().find(|one| bucket.as_deref() == Some(&one.id[..])).map_or("account", |one| one.kind);
    let retry_after = Duration::try_from_secs_f64(wait).unwrap_or_default().max(Duration::from_secs(1));
    Ok(Some(Throttled { bucket, retry_after }))
}

/// Gives a token of each bucket back.
pub(super) async fn give_back(app: &App, organization_id: Id<Organization>, buckets: &[Bucket]) -> Result<()> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    give_back_in(&mut transaction, organization_id, buckets).await?;
    Ok(transaction.commit().await?)
}

/// As [`give_back`], in a transaction that does more.
pub(super) async fn give_back_in(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    buckets: &[Bucket],
) -> Result<()> {
    let ids: Vec<Vec<u8>> = buckets.iter().map(|bucket| bucket.id.to_vec()).collect();
    let costs: Vec<f64> = buckets.iter().map(|bucket| seconds(bucket.cost)).collect();
    sqlx::query!(
        r#"
        with asked as (
            select t.bucket, asked.cost
            from unnest($2::bytea[], $3::float8[]) as asked (id, cost)
            join throttles t on t.organization_id = $1 and t.bucket = asked.id
            order by t.bucket
            for update of t
        )
        update throttles t set full_at = t.full_at - make_interval(secs => asked.cost)
        from asked
        where t.organization_id = $1 and t.bucket = asked.bucket
        "#,
        organization_id as Id<Organization>,
        &ids,
        &costs,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to 1,000 rows of an organization that mean nothing any more, for the background work. Returns their number.
pub(crate) async fn delete_old(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    let deleted = sqlx::query!(
        r#"
        delete from throttles
        where organization_id = $1 and bucket in (
            select bucket from throttles
            where organization_id = $1 and full_at < now()
            order by bucket
            limit 1000
            for update skip locked
        )
        "#,
        organization_id as Id<Organization>,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected())
}

/// Sets a password that the user has chosen. With `replaced`, only if the current one was set at that time; `false`: it was not.
/// The membership is locked.
pub(super) async fn set(
    change: &mut Change,
    user_id: Id<User>,
    hash: &PasswordHash,
    replaced: Option<DateTime<Utc>>,
) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let set = match replaced {
        Some(set_at) => {
            sqlx::query!(
                r#"
                update passwords set phc = $3, must_change = false, set_at = $4
                where organization_id = $1 and user_id = $2 and set_at = $5
                "#,
                organization_id as Id<Organization>,
                user_id as Id<User>,
                hash.as_str(),
                now,
                set_at,
            )
            .execute(change.connection())
            .await?
        }
        None => {
            sqlx::query!(
                r#"
                insert into passwords (organization_id, user_id, phc, must_change, set_at)
                values ($1, $2, $3, false, $4)
                on conflict (organization_id, user_id) do update
                set phc = excluded.phc, must_change = false, set_at = excluded.set_at
                "#,
                organization_id as Id<Organization>,
                user_id as Id<User>,
                hash.as_str(),
                now,
            )
            .execute(change.connection())
            .await?
        }
    };
    Ok(set.rows_affected() == 1)
}

/// Replaces a hash by one of the same password, if it is still the same.
pub(super) async fn rehash(change: &mut Change, user_id: Id<User>, from: &str, to: &PasswordHash) -> Result<()> {
    let organization_id = change.organization_id();
    let replaced = sqlx::query!(
        "update passwords set phc = $4 where organization_id = $1 and user_id = $2 and phc = $3",
        organization_id as Id<Organization>,
        user_id as Id<User>,
        from,
        to.as_str(),
    )
    .execute(change.connection())
    .await?;
    match replaced.rows_affected() {
        0 => change.dry_run(),
        _ => change.record(Event::PasswordRehashed(user_id)),
    }
    Ok(())
}
