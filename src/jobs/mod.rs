//! Background work of the service that no request waits for: failing batches whose process died, suspending users whose
//! accounts have expired, expiring idempotency keys, deleting old sessions, throttle rows and drafts, counting days, and appending the counts of repeated
//! denials to the audit log.
//!
//! # Decisions
//!
//! *Each round reads the rows that are due, then writes to them for each organization in a transaction of its own*,
//! under the same conditions. A round with nothing due writes nothing, a row lock in one organization delays the
//! others by one lock timeout at most, and an error in one does not stop the others.
//!
//! *Every instance runs the same rounds.* The conditions of the writes make a second instance update no row.

mod daily_counts;
mod expired_users;
mod idempotency_keys;
mod lapsed_batches;
mod old_sign_ins;
mod repeated_denials;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::app::App;
use crate::change;
use crate::error::{Error, Result};
use crate::id::{Batch, Id, Kind, Organization};

pub(crate) use idempotency_keys::expire_key;
pub(crate) use lapsed_batches::fail_if_lapsed;

/// The pause between two deletions of old rows.
const HOUR: Duration = Duration::from_secs(3600);

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(2);

/// Runs housekeeping rounds for as long as the future is polled.
pub async fn run_housekeeping(app: Arc<App>) {
    let mut was_away = false;
    let mut deleted_at = None::<Instant>;
    let mut due = daily_counts::Due::default();
    loop {
        // After an outage all leases have expired: one round is left out, so that live attempts renew theirs first.
        let round = match ping(&app).await {
            Ok(()) if !was_away => lapsed_batches::fail_all(&app).await,
            pinged => pinged,
        };
        was_away = round.is_err();
        if let Err(error) = round {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to look up batches with expired leases");
        }
        if let Err(error) = expired_users::suspend_all(&app).await {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to look up expired users");
        }
        if let Err(error) = idempotency_keys::expire_all(&app).await {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to look up expired idempotency keys");
        }
        if deleted_at.is_none_or(|at| at.elapsed() >= HOUR) {
            deleted_at = Some(Instant::now());
            if let Err(error) = old_sign_ins::delete_all(&app).await {
                app.db.observe(&error);
                tracing::warn!(error = error.chain(), "failed to delete old sessions");
            }
        }
        append_repeated_denials(&app, Some(app.clock.now())).await;
        if let Err(error) = due.refresh_some(&app).await {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to look up organizations whose days are to be counted");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Appends the counts of denials to the audit log, before the process ends.
pub async fn finish(app: &App) {
    append_repeated_denials(app, None).await;
}

async fn append_repeated_denials(app: &App, now: Option<DateTime<Utc>>) {
    if let Err(error) = repeated_denials::append(app, now).await {
        app.db.observe(&error);
        tracing::error!(error = error.chain(), "failed to record the number of repeated denials in the audit log");
    }
}

/// Also corrects the clock of an instance that has nothing to do, so that keys expire when the database says so.
async fn ping(app: &App) -> Result<()> {
    Ok(change::read_clock(&mut *app.reader(&app.db.interactive).await?, &app.clock).await?)
}

/// A batch that a round writes to.
struct Due {
    organization_id: Id<Organization>,
    batch_id: Id<Batch>,
}

impl From<Due> for (Id<Organization>, Id<Batch>) {
    fn from(due: Due) -> Self {
        (due.organization_id, due.batch_id)
    }
}

/// What is due, by organization.
fn by_organization<K: Kind>(
    due: impl IntoIterator<Item = (Id<Organization>, Id<K>)>,
) -> Vec<(Id<Organization>, Vec<Id<K>>)> {
    let mut due: Vec<_> = due.into_iter().collect();
    due.sort_by_key(|(organization_id, _)| Uuid::from(*organization_id));
    let of_one = due.chunk_by(|a, b| a.0 == b.0);
    of_one.filter_map(|due| Some((due.first()?.0, due.iter().map(|(_, id)| *id).collect()))).collect()
}

/// Logs a failure to write to an organization's rows, which are due again in the next round.
fn log_failure(app: &App, organization_id: Id<Organization>, error: &Error) {
    app.db.observe(error);
    tracing::warn!(%organization_id, error = error.chain(), "housekeeping of an organization failed; retrying");
}

/// Begins the transaction of an organization, and returns it with the time.
async fn begin(app: &App) -> Result<(Transaction<'static, Postgres>, DateTime<Utc>)> {
    app.begin(&app.db.interactive).await
}
