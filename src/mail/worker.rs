//! The worker that sends messages.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::message::{self, Content};
use super::smtp::{Mailer, Outgoing, SendError};
use super::write::{Ended, Leased};
use super::{Kind, read, write};
use crate::app::App;
use crate::error::Result;
use crate::id::{self, Id, Organization};
use crate::links::LinkKey;

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often the queue is measured.
const MEASURED: Duration = Duration::from_secs(60);

/// The most messages of a round, and those that are sent at once.
const ROUND: i64 = 100;
const AT_ONCE: usize = 4;

/// Sends queued messages for as long as the future is polled. Without a mail server, it does nothing.
pub async fn run(app: Arc<App>) {
    let Some(mailer) = app.mailer.clone() else { return };
    let mut measured: Option<Instant> = None;
    loop {
        if let Err(error) = round(&app, &mailer).await {
            app.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to look up queued mail");
        }
        if measured.is_none_or(|measured| measured.elapsed() >= MEASURED) {
            match read::queue(&app).await {
                Ok((length, since)) => {
                    let oldest = since.map_or(TimeDelta::zero(), |since| app.clock.now() - since);
                    app.metrics.mails.measure(length, oldest);
                    measured = Some(Instant::now());
                }
                Err(error) => app.db.observe(&error),
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Sends the messages that are due. A shutdown waits for a short time for those that are being sent.
async fn round(app: &Arc<App>, mailer: &Arc<Mailer>) -> Result<()> {
    let mut sending = JoinSet::new();
    for (organization_id, mail_id) in read::due(app, ROUND).await? {
        if sending.len() >= AT_ONCE {
            sending.join_next().await;
        }
        let (app, mailer) = (Arc::clone(app), Arc::clone(mailer));
        let task = app.clone();
        sending.spawn(task.start_task(async move {
            if let Err(error) = deliver(&app, &mailer, organization_id, mail_id).await {
                app.db.observe(&error);
                tracing::warn!(%mail_id, error = error.chain(), "failed to write the state of a message; its lease will expire");
            }
        }));
    }
    while sending.join_next().await.is_some() {}
    Ok(())
}

async fn deliver(app: &App, mailer: &Mailer, organization_id: Id<Organization>, mail_id: Id<id::Mail>) -> Result<()> {
    let Some(leased) = write::lease(app, organization_id, mail_id).await? else { return Ok(()) };
    let ended = match send(app, mailer, &leased).await? {
        Ok(()) => Ended::Sent,
        Err(error) if error.is_permanent => Ended::Failed(error.to_string()),
        Err(error) => Ended::Later(after(leased.attempts), error.to_string()),
    };
    let state = write::end(app, &leased, &ended).await?;
    match (state.as_deref(), ended) {
        (Some("sent"), _) => app.metrics.mails.count("sent"),
        (Some("queued"), Ended::Later(_, reason)) => {
            app.metrics.mails.count("retried");
            tracing::warn!(%mail_id, attempts = leased.attempts, reason, "failed to send a message; retrying");
        }
        (Some(_), Ended::Later(_, reason) | Ended::Failed(reason)) => {
            app.metrics.mails.count("failed");
            tracing::warn!(%mail_id, attempts = leased.attempts, reason, "failed to send a message; giving up");
        }
        (None | Some(_), _) => {}
    }
    Ok(())
}

/// Makes a message and sends it. An error of the database leaves the lease as it is.
async fn send(app: &App, mailer: &Mailer, leased: &Leased) -> Result<std::result::Result<(), SendError>> {
    let give_up = |reason: &str| Ok(Err(SendError::permanent(reason)));
    let Some(kind) = Kind::parse(&leased.kind) else {
        // A later version has queued it, and sends it.
        return Ok(Err(SendError::transient("this version of muster does not know the kind of the message")));
    };
    let details = read::details(app, leased.organization_id, leased.link_id).await?;
    let link = match leased.link_id {
        None => None,
        Some(_) if !details.is_link_open => {
            return give_up("the link has expired or was used, replaced or revoked before it was sent");
        }
        Some(link_id) => {
            let Some(key) = details.derived_key_id.and_then(|id| LinkKey::find(app, &id)) else {
                return Ok(Err(SendError::transient(
                    "the seal key of the link is not configured (`secrets.seal_key`)",
                )));
            };
            let token = key.token(leased.organization_id, link_id).text();
            Some((format!("{}/password/{}", mailer.public_url(), token.expose()), details.link_expires_at))
        }
    };
    let content = Content {
        kind,
        organization: &details.organization_name,
        public_url: mailer.public_url(),
        link: link.as_ref().map(|(link, expires_at)| (link.as_str(), expires_at.unwrap_or(leased.expires_at))),
        at: leased.created_at,
    };
    let (subject, body) = (message::subject(kind), message::body(&content));
    Ok(mailer.send(Outgoing { id: leased.mail_id.to_string(), to: &leased.to_address, subject, body }).await)
}

/// The pause after an attempt.
const fn after(attempts: i32) -> TimeDelta {
    match attempts {
        ..=1 => TimeDelta::minutes(1),
        2 => TimeDelta::minutes(5),
        3 => TimeDelta::minutes(15),
        4 => TimeDelta::minutes(60),
        5.. => TimeDelta::hours(4),
    }
}
