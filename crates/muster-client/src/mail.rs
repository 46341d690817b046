//! Messages that the server sends by mail.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::client::by_id;
use crate::{Client, Error, Page};

const MAILS: &str = "/api/v2/mails";

/// A message that was sent by mail, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Mail {
    /// ID of the message, `mail_…`.
    pub id: String,
    /// ID of the recipient.
    pub user_id: String,
    /// Address to which it is sent.
    pub email: String,
    /// What it says: `link`, `reset`, `password_changed` or `recovery`.
    pub kind: String,
    /// `queued`, `sending`, `sent` or `failed`.
    pub state: String,
    /// Number of attempts to send it.
    pub attempts: u32,
    /// When it is tried next; `null` unless it is queued.
    pub next_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// When the mail server accepted it.
    pub sent_at: Option<DateTime<Utc>>,
}

impl Client {
    /// Lists a page of the messages, newest first, optionally only those in one state. Requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_mails(
        &self,
        state: Option<&str>,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Mail>, Error> {
        let mut query = vec![("count", count.to_string())];
        query.extend(state.map(|state| ("state", state.to_owned())));
        query.extend(paging_token.map(|token| ("paging_token", token.to_owned())));
        self.http.get(MAILS, &query).await
    }

    /// Queues a failed message again. Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the message does not exist, and 409 if it has not failed or can't be sent any more.
    pub async fn retry_mail(&self, mail_id: &str) -> Result<Mail, Error> {
        self.http.post(&by_id(MAILS, mail_id, "/retry", "mail")?).one().await
    }
}
