//! Counting the days of all organizations, each hour.

use std::time::{Duration, Instant};

use super::{HOUR, log_failure};
use crate::app::App;
use crate::daily_counts;
use crate::error::Result;
use crate::id::{Id, Organization};

/// The longest part of a round. The other organizations follow in the next one, so that expired leases don't wait for thousands of them.
const LONGEST: Duration = Duration::from_secs(1);

/// The organizations that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The hour, in hours since 1970, in which they became due.
    hour: Option<u64>,
    organizations: Vec<Id<Organization>>,
}

impl Due {
    /// Counts the days of some organizations.
    pub(super) async fn refresh_some(&mut self, app: &App) -> Result<()> {
        let hour = u64::try_from(app.clock.now().timestamp()).unwrap_or_default() / HOUR.as_secs();
        if self.hour != Some(hour) {
            let organizations = sqlx::query_scalar!(
                r#"select organization_id as "organization_id: Id<Organization>" from organizations order by organization_id"#
            );
            self.organizations = organizations.fetch_all(&mut *app.reader(&app.db.interactive).await?).await?;
            self.hour = Some(hour);
        }
        let start = Instant::now();
        while start.elapsed() < LONGEST
            && let Some(organization_id) = self.organizations.pop()
        {
            if let Err(error) = daily_counts::refresh(app, organization_id).await {
                log_failure(app, organization_id, &error);
            }
        }
        Ok(())
    }
}
