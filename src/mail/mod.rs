//! Mail that muster sends, through the administrators' SMTP server (setting `mail.url`). Optional.
//!
//! A message is queued in the change that it is about: a row of the table `mails`. A worker of any instance leases the row, makes the
//! message, sends it and marks the row ([`run`]).
//!
//! # Decisions
//!
//! *The queue holds no secret.* The secret of a link that is sent is derived ([`crate::links`]) whenever the message is made, so any
//! instance can send it again after a crash, and who can only read the database can't use a link.
//!
//! *A message is sent at least once*: an instance that dies between the SMTP server's reply and the mark sends it again, with the same
//! `Message-ID`. It is not sent once its link has been used, replaced or revoked, or has expired; that is read immediately before.
//!
//! *A reply of 5xx ends a message at once*, except those about muster's own credentials (530, 534, 535, 538): these say nothing
//! about the message, and an administrator corrects them. Anything else is retried after 1, 5, 15 and 60 minutes, then every 4 hours,
//! until the link expires; a notice without a link, for a day.
//!
//! *Texts are fixed, and only text.* No name that a user chose is in a header or in the text. An address is one by its type,
//! so it has no line break.
//!
//! *TLS is required*, by STARTTLS or from the start, except to this machine (`mail.plaintext`): a message with a link is as
//! valuable as a password.
//!
//! *`server.public_url` must be set*: the `Host` of a request must not decide where a link leads.

mod message;
mod read;
mod smtp;
mod worker;
mod write;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, PasswordLink, User};
use crate::names::names;
use crate::page::{Page, PageRequest};

pub use smtp::{Mailer, SendError};
pub use worker::run;
pub(crate) use write::delete_old;

/// How long a notice is tried to be sent.
const NOTICE: TimeDelta = TimeDelta::days(1);

names! {
    /// What a message says.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Kind {
        /// A link from an administrator, with which to set a password.
        Link = "link",
        /// A link that the user asked for.
        Reset = "reset",
        /// The user's password was changed.
        PasswordChanged = "password_changed",
        /// To each owner: somebody signed in with a recovery link of the local operator.
        Recovery = "recovery",
    }
}

names! {
    /// What becomes of a message.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum MailState {
        /// To be sent.
        Queued = "queued",
        /// An instance is sending it.
        Sending = "sending",
        /// The SMTP server has accepted it.
        Sent = "sent",
        /// Given up.
        Failed = "failed",
    }
}

/// A message, as administrators see it.
#[derive(Debug)]
pub struct Mail {
    /// The ID.
    pub mail_id: Id<crate::id::Mail>,
    /// The recipient.
    pub user_id: Id<User>,
    /// The address.
    pub to_address: String,
    /// What it says. Later versions may have other kinds.
    pub kind: String,
    /// What became of it.
    pub state: MailState,
    /// The number of attempts to send it.
    pub attempts: i32,
    /// The time of the next attempt, while it is queued.
    pub next_at: DateTime<Utc>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// When the SMTP server accepted it.
    pub sent_at: Option<DateTime<Utc>>,
}

/// A message to queue.
#[derive(Debug)]
pub(crate) struct NewMail {
    pub(crate) user_id: Id<User>,
    pub(crate) to_address: String,
    /// The link that is sent, and when it expires; `None` for a notice.
    pub(crate) link: Option<(Id<PasswordLink>, DateTime<Utc>)>,
}

/// Checks that mail is configured.
///
/// # Errors
/// `mail_not_configured`.
pub(crate) fn require(app: &App) -> Result<()> {
    match app.mailer {
        Some(_) => Ok(()),
        None => Err(Error::new(
            Code::MailNotConfigured,
            "mail is not configured (settings `mail.url` and `mail.from`); ask an administrator for a link to set a password",
        )),
    }
}

/// Queues messages of one kind.
pub(crate) async fn queue(change: &mut Change, kind: Kind, mails: &[NewMail]) -> Result<()> {
    let (now, most) = (change.now(), change.now() + NOTICE);
    if mails.is_empty() {
        return Ok(());
    }
    write::queue(change, kind, now, most, mails).await
}

/// Queues a notice to a user, if mail is configured.
pub(crate) async fn notify(app: &App, change: &mut Change, user_id: Id<User>, kind: Kind) -> Result<()> {
    if app.mailer.is_none() {
        return Ok(());
    }
    let to = read::addresses(change, &[user_id]).await?;
    queue(change, kind, &to).await
}

/// Queues a notice to all active owners, if mail is configured.
pub(crate) async fn notify_owners(app: &App, change: &mut Change, kind: Kind) -> Result<()> {
    if app.mailer.is_none() {
        return Ok(());
    }
    let owners = read::owners(change).await?;
    queue(change, kind, &owners).await
}

/// Lists messages, newest first.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(
    app: &App,
    caller: &Caller,
    state: Option<MailState>,
    page: &PageRequest<crate::id::Mail>,
) -> Result<Page<Mail>> {
    let mut connection = app.read(caller, Action::MailList).await?;
    let rows = read::list(&mut connection, caller.organization_id, state, page.after, page.limit()).await?;
    Ok(Page::new(page, rows, |row| row.mail_id))
}

/// The number of queued messages that can't be made, because the seal key from which their links are derived is not configured.
///
/// The server starts nevertheless: the messages wait, others are sent, and their links can be made again.
///
/// # Errors
/// Those of the database.
pub async fn count_unreadable(app: &App) -> Result<i64> {
    let needed = read::seal_keys(app).await?;
    Ok(needed.iter().filter(|(id, _)| !app.seal_keys.has(id)).map(|(_, messages)| messages).sum())
}

/// The number of queued messages that need another seal key than the first one.
///
/// # Errors
/// `seal_key_missing`; those of the database.
pub async fn count_of_old_keys(app: &App) -> Result<i64> {
    let first_key = app.seal_keys.current_id()?;
    let needed = read::seal_keys(app).await?;
    Ok(needed.iter().filter(|(id, _)| *id != first_key).map(|(_, messages)| messages).sum())
}

/// Queues a failed message again.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` for a message that has not failed, or whose link can no longer be used; `mail_not_configured`.
pub async fn retry(app: &App, caller: &Caller, mail_id: Id<crate::id::Mail>) -> Result<Mail> {
    app.change(caller, Action::MailRetry, Target::Nothing, async |change| {
        require(app)?;
        let mail = read::lock(change, mail_id).await?.ok_or_else(|| Error::not_found("message", mail_id))?;
        if mail.state != MailState::Failed {
            let message = format!("the message is {}; only a failed one can be sent again", mail.state);
            return Err(Error::new(Code::Conflict, message));
        }
        if !mail.may_be_sent {
            let message = "the link of the message has expired or was used, replaced or revoked; make a new link";
            return Err(Error::new(Code::Conflict, message));
        }
        write::retry(change, mail_id, change.now() + NOTICE).await?;
        change.record(Event::MailRetried { user_id: mail.user_id, mail_id });
        read::get(change, mail_id).await?.ok_or_else(|| Error::not_found("message", mail_id))
    })
    .await
}
