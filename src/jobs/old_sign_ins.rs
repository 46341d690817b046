//! Deleting sessions that have been over for a while, and rows of the throttle that mean nothing any more.

use crate::app::App;
use crate::error::Result;
use crate::id::{Id, Organization};
use crate::{sessions, sign_in};

use super::log_failure;

/// Deletes some rows of each organization, until a round deletes none.
pub(super) async fn delete_all(app: &App) -> Result<()> {
    let mut organizations = sqlx::query_scalar!(
        r#"select organization_id as "organization_id: Id<Organization>" from organizations order by organization_id"#
    )
    .fetch_all(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    // Attempts at organizations that do not exist count under the nil ID.
    organizations.push(Id::MIN);
    for organization_id in organizations {
        for _ in 0..MOST_CHUNKS {
            let sessions = sessions::delete_old(app, organization_id).await;
            let deleted = match sessions {
                Ok(sessions) => sign_in::delete_old_throttles(app, organization_id).await.map(|rows| rows + sessions),
                Err(error) => Err(error),
            };
            match deleted {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    log_failure(app, organization_id, &error);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The most chunks of an organization in one round; the rest is left to the next one.
const MOST_CHUNKS: usize = 1_000;
