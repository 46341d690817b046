//! Writing the numbers. Not by a [`Change`](crate::change::Change): they are derived from the audit log, and no event is about them.

use chrono::{DateTime, NaiveDate, Utc};

use super::DailyCounts;
use crate::app::App;
use crate::error::Result;
use crate::id::{Id, Organization};

/// Writes the numbers of days, unless another instance has counted later.
pub(super) async fn replace(app: &App, organization_id: Id<Organization>, counts: &[DailyCounts]) -> Result<()> {
    let days: Vec<NaiveDate> = counts.iter().map(|counts| counts.day).collect();
    let counted_at: Vec<DateTime<Utc>> = counts.iter().map(|counts| counts.counted_at).collect();
    let column = |of: fn(&DailyCounts) -> i64| counts.iter().map(of).collect::<Vec<_>>();
    let (mut transaction, _) = app.begin(&app.db.interactive).await?;
    sqlx::query!(
        r#"
        insert into daily_counts (organization_id, day, people, created, deleted, sign_ins, refused, counted_at)
        select $1, day, people, created, deleted, sign_ins, refused, counted_at
        from unnest($2::date[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::timestamptz[])
            as counts (day, people, created, deleted, sign_ins, refused, counted_at)
        order by day
        on conflict on constraint daily_counts_pkey do update set
            people = excluded.people, created = excluded.created, deleted = excluded.deleted,
            sign_ins = excluded.sign_ins, refused = excluded.refused, counted_at = excluded.counted_at
        where daily_counts.counted_at < excluded.counted_at
        "#,
        organization_id as Id<Organization>,
        &days,
        &column(|counts| counts.people),
        &column(|counts| counts.created),
        &column(|counts| counts.deleted),
        &column(|counts| counts.sign_ins),
        &column(|counts| counts.refused),
        &counted_at,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}
