//! Deleting sessions and messages that have been over for a while, rows of the throttle that mean nothing any more, drafts that
//! have expired, and what was used once long ago.

use crate::app::App;
use crate::error::Result;
use crate::id::{Id, Organization};
use crate::{drafts, mail, sessions, sign_in, sso};

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
            match delete_some(app, organization_id).await {
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

async fn delete_some(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let sessions = sessions::delete_old(app, organization_id).await?;
    let throttles = sign_in::delete_old_throttles(app, organization_id).await?;
    let mails = mail::delete_old(app, organization_id).await?;
    let drafts = drafts::delete_expired(app, organization_id).await?;
    Ok(sessions + throttles + mails + drafts + sso::delete_old_uses(app, organization_id).await?)
}

/// The most chunks of an organization in one round; the rest is left to the next one.
const MOST_CHUNKS: usize = 1_000;
