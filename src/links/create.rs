//! Creating links.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::{LinkKey, NewLink, Purpose, Token, read, write};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, User};
use crate::mail::{self, NewMail};
use crate::report::{Finding, Findings, Report};
use crate::users::user_ref::{self, UserRef};

/// How long a link of the local operator works.
const RECOVERY: TimeDelta = TimeDelta::minutes(15);

/// The maximum lifetime of a link in hours, 30 days.
pub const MOST_HOURS: u32 = 720;

/// The users for whom links are made.
#[derive(Debug)]
pub enum For {
    /// These users, by IDs or addresses. Each must be able to use a link.
    Users(Vec<String>),
    /// Those users of a batch who can use a link, and have not chosen a password yet.
    Batch(Id<Batch>),
}

/// Links to make.
#[derive(Debug)]
pub struct LinkRequest {
    /// The users.
    pub users: For,
    /// The lifetime in hours; `None` for the setting `links.hours`.
    pub expires_in_hours: Option<u32>,
    /// Whether to send the links by mail, too.
    pub send: bool,
}

/// Links that were made.
#[derive(Debug)]
pub struct CreatedLinks {
    /// The links, in the order of the request, or of the batch.
    pub links: Vec<NewLink>,
    /// The number of users of a batch who can't use a link: they sign in through the identity provider, or are suspended.
    pub skipped: usize,
    /// The number of users of a batch who can sign in with a password that they chose or brought, and need no link.
    pub with_password: usize,
}

/// Makes links, for all users or none. The request is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the request; `reauthentication_needed` for links of owners; `invalid_request`; `empty_batch`; `too_large`; `batch_rejected` with
/// a finding for each user who does not exist, can't use a link or is in the list twice; `not_found` for an unknown batch.
pub async fn create(
    app: &App,
    caller: &Caller,
    request: impl Future<Output = Result<LinkRequest>>,
) -> Result<CreatedLinks> {
    app.authorize(caller, Action::PasswordLinkCreate).await?;
    let request = request.await?;
    let hours = request.expires_in_hours.unwrap_or(app.config.links.hours);
    if !(1..=MOST_HOURS).contains(&hours) {
        return Err(Error::invalid(format!("`expires_in_hours` must be from 1 to {MOST_HOURS}")));
    }
    let lifetime = TimeDelta::hours(i64::from(hours));
    if request.send {
        mail::require(app)?;
    }
    let key = request.send.then(|| LinkKey::current(app)).transpose()?;
    let refs = match &request.users {
        For::Users(texts) if texts.is_empty() => {
            return Err(Error::new(Code::EmptyBatch, "the list is empty; name at least one user"));
        }
        For::Users(texts) if texts.len() > app.config.batch.max_users => {
            let max = app.config.batch.max_users;
            return Err(Error::new(
                Code::TooLarge,
                format!("the list has more than {max} users (setting `batch.max_users`)"),
            ));
        }
        For::Users(texts) => Some(parse(app, texts)),
        For::Batch(_) => None,
    };
    let target = match request.users {
        For::Batch(batch_id) => Target::Batch(batch_id),
        For::Users(_) => Target::Nothing,
    };
    app.change_many(caller, Action::PasswordLinkCreate, target, false, async |change| {
        let OfBatch { users, skipped, with_password } = match (&request.users, &refs) {
            (&For::Batch(batch_id), _) => of_batch(change, batch_id).await?,
            (For::Users(_), Some((refs, report))) => {
                OfBatch { users: of_list(change, refs, report.clone()).await?, skipped: 0, with_password: 0 }
            }
            (For::Users(_), None) => return Err(Error::internal("a list of users without references")),
        };
        if users.iter().any(|user| user.permission_level == PermissionLevel::Owner) {
            change.authorize(Action::PasswordLinkCreateForOwner)?;
        }
        let links = make(change, users, Purpose::Set, lifetime, key.as_ref()).await?;
        if request.send {
            mail::queue(change, mail::Kind::Link, &to_send(&links)).await?;
        }
        Ok(CreatedLinks { links, skipped, with_password })
    })
    .await
}

/// Makes a link with which the local operator lets a user back in: for 15 minutes, also a user with single sign-on.
///
/// # Errors
/// `not_found`; `conflict` for a service account, or a suspended or expired user.
pub async fn recover(app: &App, caller: &Caller, user_id: Id<User>) -> Result<NewLink> {
    app.change(caller, Action::PasswordLinkCreateForOwner, Target::User(user_id), async |change| {
        let mut users = read::lock(change, &[user_id]).await?;
        let user = users.pop().ok_or_else(|| Error::not_found("user", user_id))?;
        if let Some((_, why)) = user.unable(Purpose::Recover, change.now()) {
            return Err(Error::new(Code::Conflict, format!("{}: {why}", user.email)));
        }
        let mut links = make(change, vec![user], Purpose::Recover, RECOVERY, None).await?;
        links.pop().ok_or_else(|| Error::internal("no link"))
    })
    .await
}

/// The users of a list, with the findings on texts that are no references.
fn parse(app: &App, texts: &[String]) -> (Vec<(usize, UserRef)>, Report) {
    let mut findings = Findings::new(app.config.batch.max_findings);
    let mut refs = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match UserRef::parse(text) {
            Some(user) => refs.push((index, user)),
            None => {
                let message = "must be a user ID (`usr_…`) or an e-mail address";
                findings.push(Finding::field(index, "user", "user_invalid", message));
            }
        }
    }
    (refs, Report::on(texts.len(), "given a link", findings))
}

async fn of_list(change: &mut Change, refs: &[(usize, UserRef)], mut report: Report) -> Result<Vec<read::Candidate>> {
    let users: Vec<&UserRef> = refs.iter().map(|(_, user)| user).collect();
    let ids_of_rows = user_ref::ids(change, &users).await?;
    let ids: Vec<Id<User>> = ids_of_rows.iter().flatten().copied().collect();
    let locked = read::lock(change, &ids).await?;
    let mut locked: HashMap<Id<User>, read::Candidate> = locked.into_iter().map(|user| (user.user_id, user)).collect();
    // The address may have moved to another user before the row was locked.
    let is_found = |user: &UserRef, id| locked.get(&id).is_some_and(|locked| user.is_of(&locked.email_key));
    let rows = refs.iter().map(|(index, user)| (*index, user, "user"));
    let places = user_ref::distinct(rows, ids_of_rows, is_found, &mut report);
    let mut found = Vec::with_capacity(places.len());
    for (place, id) in places {
        let (Some((index, _)), Some(user)) = (refs.get(place), locked.remove(&id)) else { continue };
        match user.unable(Purpose::Set, change.now()) {
            Some((code, why)) => report.add(Finding::about(*index, &user.email, code, why)),
            None => found.push(user),
        }
    }
    match report.is_empty() {
        true => Ok(found),
        false => Err(Error::rejected(report)),
    }
}

/// The users of a batch who get links, and how many don't.
struct OfBatch {
    users: Vec<read::Candidate>,
    skipped: usize,
    with_password: usize,
}

/// A link of a person who has a password would only be one more secret: a batch is given links again to remind the others.
async fn of_batch(change: &mut Change, batch_id: Id<Batch>) -> Result<OfBatch> {
    let ids = read::of_batch(change, batch_id).await?.ok_or_else(|| Error::not_found("batch", batch_id))?;
    let locked = read::lock(change, &ids).await?;
    let (all, now) = (locked.len(), change.now());
    let able = locked.into_iter().filter(|user| user.unable(Purpose::Set, now).is_none());
    let (with_password, without): (Vec<_>, Vec<_>) = able.partition(|user| user.has_own_password);
    let (with_password, skipped) = (with_password.len(), all - with_password.len() - without.len());
    let mut without: HashMap<Id<User>, read::Candidate> =
        without.into_iter().map(|user| (user.user_id, user)).collect();
    let users: Vec<read::Candidate> = ids.into_iter().filter_map(|id| without.remove(&id)).collect();
    if users.is_empty() {
        let why = "no user of the batch needs a link and can use one: they have a password, sign in through the identity provider, are \
                   suspended, have expired, or were deleted";
        return Err(Error::new(Code::Conflict, why));
    }
    Ok(OfBatch { users, skipped, with_password })
}

/// The messages with links.
pub(crate) fn to_send(links: &[NewLink]) -> Vec<NewMail> {
    let mail = |link: &NewLink| NewMail {
        user_id: link.user_id,
        to_address: link.email.clone(),
        link: Some((link.link_id, link.expires_at)),
    };
    links.iter().map(mail).collect()
}

/// Makes links for locked users, which replace those that are open. With a key, their secrets are derived, so that they can be sent.
pub(crate) async fn make(
    change: &mut Change,
    users: Vec<read::Candidate>,
    purpose: Purpose,
    lifetime: TimeDelta,
    key: Option<&LinkKey>,
) -> Result<Vec<NewLink>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let expires_at = now + lifetime;
    let token = |id| match key {
        Some(key) => key.token(organization_id, id),
        None => Token::generate(organization_id, id),
    };
    let links: Vec<(Token, read::Candidate)> = users.into_iter().map(|user| (token(Id::new(now)), user)).collect();
    write::create(change, &links, purpose, expires_at, key).await?;
    let made = links.into_iter().map(|(token, user)| {
        let (link_id, user_id) = (token.id, user.user_id);
        change.record(match purpose {
            Purpose::Reset => Event::PasswordResetRequested { link_id, user_id, expires_at },
            Purpose::Set | Purpose::Recover => {
                Event::PasswordLinkCreated { link_id, user_id, purpose: purpose.as_str(), expires_at }
            }
        });
        NewLink {
            link_id: token.id,
            user_id: user.user_id,
            name: user.full_name(),
            email: user.email,
            token: token.text(),
            expires_at,
        }
    });
    Ok(made.collect())
}
