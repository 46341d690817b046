//! Appending the counts of denials that repeat.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit;
use crate::error::Result;

/// Appends the counts of all minutes that ended before `now`, and `None`: of all, before the process ends.
///
/// # Errors
/// Those of the database. The counts are lost then.
pub(super) async fn append(app: &App, now: Option<DateTime<Utc>>) -> Result<()> {
    for repeated in app.repeats.take(now) {
        let (mut transaction, now) = app.begin(&app.db.interactive).await?;
        audit::write::append_repeated(&mut transaction, now, repeated).await?;
        transaction.commit().await?;
    }
    Ok(())
}
