//! The numbers of each day: people, sign-ins, and refused sign-ins, for the pictures of the console.
//!
//! # Decisions
//!
//! *Numbers are counted again, never added to.* The rows of days that are not final are replaced by what the audit log has, so it does not
//! matter which instance counts, or how often.
//!
//! *A day is final an hour after its end.* Events have the time at which their transaction began, and no transaction lasts an hour.
//! Until then, and while the day lasts, it is counted again each hour.
//!
//! *People are counted now; the numbers of earlier days follow* from the creations and deletions since. The number of now and the events of
//! today are read by one statement, so that a concurrent change is in both or in neither.
//!
//! *The first time, days are counted from the creation of the organization*, 90 at most, each by a statement of its own: the time
//! that one takes depends on the events of a day, which can be a million: they have the time of a batch. If one fails, no day is
//! written, and the pictures stay as they are, with their time; a day that is missing would look like a day without people.

mod read;
mod write;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::app::App;
use crate::error::Result;
use crate::id::{Id, Organization};

pub use read::recent;

/// How many days before the current one are counted the first time.
const FILLED: TimeDelta = TimeDelta::days(89);

/// How long after its end a day is final.
const FINAL_AFTER: TimeDelta = TimeDelta::hours(1);

/// The numbers of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DailyCounts {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// People at the end of the day, without service accounts; of the current day, at `counted_at`.
    pub people: i64,
    /// People who were created.
    pub created: i64,
    /// People who were deleted.
    pub deleted: i64,
    /// Sign-ins.
    pub sign_ins: i64,
    /// Refused sign-ins.
    pub refused: i64,
    /// When the numbers were counted.
    pub counted_at: DateTime<Utc>,
}

/// Counts the days of an organization that are not final, unless that was done within this hour.
pub(crate) async fn refresh(app: &App, organization_id: Id<Organization>) -> Result<()> {
    let now = app.clock.now();
    let today = now.date_naive();
    let mut connection = app.reader(&app.db.batch).await?;
    let latest = read::latest(&mut connection, organization_id).await?;
    if latest.first().is_some_and(|(_, counted_at)| hour(*counted_at) >= hour(now)) {
        return Ok(());
    }
    let first = match (latest.iter().take_while(|day| !is_final(day)).last(), latest.first()) {
        (Some((day, _)), _) => *day,
        (None, Some((day, _))) => next(*day),
        (None, None) => read::creation(&mut connection, organization_id).await?.max(today - FILLED),
    };
    let mut days = Vec::new();
    for day in first.iter_days().take_while(|day| *day <= today) {
        let until = (day < today).then(|| start(next(day)));
        let counted = read::count(&mut connection, organization_id, start(day), until).await?;
        days.push((day, counted));
    }
    drop(connection);
    let mut people = days.last().and_then(|(_, counted)| counted.people).unwrap_or_default();
    let counts = days.into_iter().rev().map(|(day, counted)| {
        let read::Counted { created, deleted, sign_ins, refused, .. } = counted;
        let of_day = DailyCounts { day, people, created, deleted, sign_ins, refused, counted_at: now };
        people = (people - created + deleted).max(0);
        of_day
    });
    write::replace(app, organization_id, &counts.collect::<Vec<_>>()).await
}

fn is_final((day, counted_at): &(NaiveDate, DateTime<Utc>)) -> bool {
    *counted_at >= start(next(*day)) + FINAL_AFTER
}

fn hour(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(3600)
}

fn next(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(day)
}

/// The beginning of a day.
fn start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
