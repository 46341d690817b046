//! Asking for a link to set a new password, by mail.

use super::{read, throttle};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, Principal};
use crate::error::Result;
use crate::id::{Id, Organization};
use crate::links::{self, LinkKey, Purpose};
use crate::mail;
use crate::sessions::Client;
use crate::users::EmailAddress;

use chrono::TimeDelta;

/// A request for a link.
#[derive(Debug)]
pub struct ResetRequest {
    /// The address.
    pub email: String,
    /// The ID, the short name or the display name of the organization. `None` if this server has one.
    pub organization: Option<String>,
}

/// Makes a link and sends it, if the address is that of a user who can have a password. Whether it is, is not told: the work begins
/// after the outcome is decided, which is the same for every address.
///
/// # Errors
/// `mail_not_configured`, `seal_key_missing`; `throttled`; `invalid_request` without an organization where there are several.
pub async fn request_reset(app: &App, request: ResetRequest, client: &Client) -> Result<()> {
    mail::require(app)?;
    let key = LinkKey::current(app)?;
    let organization_id = read::organization(app, request.organization.as_deref()).await?;
    let address = EmailAddress::parse(&request.email).ok();
    let text = address.as_ref().map_or_else(|| request.email.trim().to_lowercase(), |address| address.key().to_owned());
    let buckets = throttle::of_reset(app, &text, client.origin.address);
    // An organization that does not exist counts under the nil ID.
    throttle::take(app, organization_id.unwrap_or(Id::MIN), buckets).await?;
    let (Some(organization_id), Some(address)) = (organization_id, address) else { return Ok(()) };
    let (detached, client) = (app.clone(), client.clone());
    drop(app.start_task(async move {
        if let Err(error) = send(&detached, organization_id, &address, &client, &key).await {
            detached.db.observe(&error);
            tracing::warn!(error = error.chain(), "failed to make a link that was asked for");
        }
    }));
    Ok(())
}

async fn send(
    app: &App,
    organization_id: Id<Organization>,
    address: &EmailAddress,
    client: &Client,
    key: &LinkKey,
) -> Result<()> {
    let account = read::account(app, organization_id, address).await?;
    let user_id = account.as_ref().map(|account| account.user_id);
    // The client that asks for the link has no permission: muster makes it.
    let caller = Caller { organization_id, principal: Principal::System, origin: client.origin };
    let made = match user_id {
        None => Err("unknown_account"),
        Some(user_id) => {
            let lifetime = TimeDelta::hours(i64::from(app.config.links.hours));
            app.change(&caller, Action::PasswordResetRequest, Target::User(user_id), async |change| {
                let user = links::lock_candidates(change, &[user_id]).await?.pop();
                let refusal = match &user {
                    None => Some("unknown_account"),
                    // The address may have moved to another user before the row was locked.
                    Some(user) if user.email_key != address.key() => Some("unknown_account"),
                    Some(user) => user.unable(Purpose::Reset, change.now()).map(|(code, _)| code),
                };
                match (user, refusal) {
                    (Some(user), None) => {
                        let links = links::make(change, vec![user], Purpose::Reset, lifetime, Some(key)).await?;
                        mail::queue(change, mail::Kind::Reset, &links::to_send(&links)).await?;
                        Ok(Ok(()))
                    }
                    (_, refusal) => {
                        change.dry_run();
                        Ok(Err(refusal.unwrap_or("unknown_account")))
                    }
                }
            })
            .await?
        }
    };
    if let Err(reason) = made {
        let attribution =
            Attribution { organization_id, actor: ActorRef::ANONYMOUS, user_id: None, origin: client.origin };
        app.record_denial(attribution, Action::PasswordResetRequest, &AuditDenial::sign_in(user_id, reason)).await;
    }
    Ok(())
}
