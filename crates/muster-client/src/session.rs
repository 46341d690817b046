//! Sessions of users who have signed in, and links with which users set their passwords.

use chrono::{DateTime, Utc};
use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::client::by_id;
use crate::secret::expose;
use crate::{Client, Error, Page};

const SESSIONS: &str = "/api/v2/users/sessions";
const LINKS: &str = "/api/v2/users/password_links";

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Session {
    /// ID of the session, `ses_…`.
    pub id: String,
    /// ID of the user.
    pub user_id: String,
    /// `full`, or `must_change` until the user has chosen a password.
    pub stage: String,
    /// How the user authenticated: `password`, `sso`, `link` or `recovery`.
    pub method: String,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// The latest use, with a precision of one minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
    /// Network of the client at the sign-in: /24, or /48 for IPv6.
    pub network: Option<String>,
    /// Browser and system, such as `Firefox on Linux`.
    pub browser: String,
    /// Whether it is the session of the request.
    pub is_this: bool,
    /// E-mail address of the user, in lists of the sessions of all users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// The number of sessions that were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EndedSessions {
    /// Number of sessions.
    pub ended: usize,
}

/// A link with which a user sets a password. `Debug` does not show the link, which is a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PasswordLink {
    /// ID of the link, `lnk_…`.
    pub id: String,
    /// ID of the user.
    pub user_id: String,
    /// E-mail address of the user.
    pub email: String,
    /// First and last name of the user.
    pub name: String,
    /// The link to give to the user. The server shows it only once and does not store it.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub link: SecretString,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
}

/// Links with which users set their passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PasswordLinks {
    /// The links, in the order of the request, or of the batch.
    pub results: Vec<PasswordLink>,
    /// How many there are.
    pub metadata: PasswordLinksMetadata,
}

/// How many links there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PasswordLinksMetadata {
    /// Number of links.
    pub total: usize,
    /// Number of users of the batch who can't use a link.
    pub skipped: usize,
    /// Number of users of the batch who have a password that they chose or that was imported, and get no link.
    #[serde(default)]
    pub with_password: usize,
    /// Always `null`: the list is complete.
    pub next_paging_token: Option<String>,
    /// Why the links may not work for the users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Users for whom links are made.
#[derive(Clone, Copy, Debug)]
pub enum LinksFor<'a> {
    /// These users, by IDs or e-mail addresses. Each must be able to use a link.
    Users(&'a [String]),
    /// Those users of a batch, by its ID, who can use a link and have not chosen a password yet.
    Batch(&'a str),
}

#[derive(Serialize)]
struct LinkUser<'a> {
    user: &'a str,
}

#[derive(Serialize)]
struct NewLinks<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<LinkUser<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_hours: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    send: bool,
}

#[derive(Serialize)]
struct EndAll<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    everyone: bool,
}

impl Client {
    /// Lists the sessions of the caller's user that are not over, or those of another user, which requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_sessions(&self, user_id: Option<&str>) -> Result<Vec<Session>, Error> {
        let query: Vec<_> = user_id.map(|user_id| ("user_id", user_id.to_owned())).into_iter().collect();
        let page: Page<Session> = self.http.get(SESSIONS, &query).await?;
        Ok(page.results)
    }

    /// Lists the sessions of all users that are not over, the latest first. A page can have fewer than `count` although more follow.
    /// Requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_all_sessions(
        &self,
        count: Option<u8>,
        paging_token: Option<&str>,
    ) -> Result<Page<Session>, Error> {
        let mut query = vec![("everyone", "true".to_owned())];
        query.extend(count.map(|count| ("count", count.to_string())));
        query.extend(paging_token.map(|token| ("paging_token", token.to_owned())));
        self.http.get(SESSIONS, &query).await
    }

    /// Ends a session. Succeeds for a session that has ended, too. For sessions of other users, requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the session does not exist.
    pub async fn end_session(&self, session_id: &str) -> Result<(), Error> {
        self.http.write(Method::DELETE, &by_id(SESSIONS, session_id, "", "ses")?).send().await.map(drop)
    }

    /// Ends all sessions of the caller's user, or those of another user, which requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_sessions(&self, user_id: Option<&str>) -> Result<EndedSessions, Error> {
        self.http.post(&format!("{SESSIONS}/end_all")).body(&EndAll { user_id, everyone: false })?.one().await
    }

    /// Ends the sessions of all users, except for that of the request. Requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_all_sessions(&self) -> Result<EndedSessions, Error> {
        let everyone = EndAll { user_id: None, everyone: true };
        self.http.post(&format!("{SESSIONS}/end_all")).body(&everyone)?.one().await
    }

    /// Makes links with which users set their passwords, for all users or none. They replace open links. Requires an owner.
    ///
    /// The request is not retried. If its response is lost, so are the links; another request replaces them.
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all users.
    pub async fn create_password_links(
        &self,
        users: LinksFor<'_>,
        expires_in_hours: Option<u32>,
    ) -> Result<PasswordLinks, Error> {
        self.post_links(users, expires_in_hours, false).await
    }

    /// Makes links as [`Client::create_password_links`] does, and sends each to its user by mail, too.
    ///
    /// # Errors
    /// As [`Client::create_password_links`]; status 409 if the server has no mail.
    pub async fn send_password_links(
        &self,
        users: LinksFor<'_>,
        expires_in_hours: Option<u32>,
    ) -> Result<PasswordLinks, Error> {
        self.post_links(users, expires_in_hours, true).await
    }

    async fn post_links(
        &self,
        users: LinksFor<'_>,
        expires_in_hours: Option<u32>,
        send: bool,
    ) -> Result<PasswordLinks, Error> {
        let (users, batch_id) = match users {
            LinksFor::Users(users) => (Some(users.iter().map(|user| LinkUser { user }).collect()), None),
            LinksFor::Batch(batch_id) => (None, Some(batch_id)),
        };
        self.http.post(LINKS).body(&NewLinks { users, batch_id, expires_in_hours, send })?.parse().await
    }
}
