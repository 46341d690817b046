//! The client.

use std::env::VarError;
use std::fmt;

use secrecy::SecretString;
use serde::Serialize;

use crate::http::Http;
use crate::{
    AdminCreateUser, AdminCreatedUser, AuditEvent, AuditFilter, ClientBuilder, Collaborator, CollaboratorFilter, Error,
    Page, UserInfo,
};

/// A client for one muster server with one API key. Cheap to clone; requires a tokio runtime.
///
/// All methods return [`Error::Rejected`] or [`Error::Server`] for an error response, [`Error::Unreachable`] without a
/// response, and [`Error::InvalidResponse`] for a response that is not from muster.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: Http,
}

impl Client {
    /// Creates a client with default settings.
    ///
    /// `host` is the URL of the server, such as `https://muster.example.org`. A path in it is a prefix for all requests.
    /// The default scheme is `http`, as in the vendor's client.
    ///
    /// # Errors
    /// [`Error::Config`], see [`ClientBuilder::build`].
    pub fn new(host: &str, token: impl Into<SecretString>) -> Result<Self, Error> {
        Self::builder(host).token(token).build()
    }

    /// Creates a builder for a client with other settings.
    #[must_use]
    pub fn builder(host: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(host.into())
    }

    /// Creates a client from environment variables: the URL of the server from `MUSTER_HOST` or `ANYSCALE_HOST`, the API
    /// key from `MUSTER_TOKEN` or `ANYSCALE_CLI_TOKEN`. An empty variable counts as unset.
    ///
    /// # Errors
    /// [`Error::Config`] with the names of the missing variables.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_variables(environment)?.build()
    }

    pub(crate) const fn new_with(http: Http) -> Self {
        Self { http }
    }

    /// The URL of the server without a trailing slash.
    #[must_use]
    pub fn host(&self) -> String {
        self.http.base.to_string()
    }

    /// Creates users, all or none, and returns them in the order of the request.
    ///
    /// The request has a random idempotency key. The client retries it for the duration of [`ClientBuilder::retry_for`]
    /// while the connection fails or the server is overloaded. For more options see [`batch`](Self::batch).
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all rows. If the responses to all attempts are lost,
    /// [`Error::outcome_unknown`] is true, and [`Error::idempotency_key`] is the key for another attempt.
    pub async fn admin_batch_create(&self, users: &[AdminCreateUser]) -> Result<Vec<AdminCreatedUser>, Error> {
        self.admin_batch_create_rows(users).await
    }

    /// Creates users from rows of any JSON, so that the server also validates their structure.
    ///
    /// # Errors
    /// The same as [`admin_batch_create`](Self::admin_batch_create), and [`Error::Config`] for rows that can't be
    /// serialized.
    pub async fn admin_batch_create_rows<R: Serialize>(&self, rows: &[R]) -> Result<Vec<AdminCreatedUser>, Error> {
        Ok(self.batch(rows).create(|_| ()).await?.users)
    }

    /// Gets the user that the API key belongs to.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 401 if the key is invalid.
    pub async fn user_info(&self) -> Result<UserInfo, Error> {
        self.http.get_one("/api/v2/userinfo/", &[]).await
    }

    /// Lists the members of the organization, `count` (1 to 50) per page.
    ///
    /// For the next page, pass its [`next_paging_token`](crate::PageMetadata::next_paging_token) with the same filter and
    /// count.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_collaborators(
        &self,
        filter: &CollaboratorFilter,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Collaborator>, Error> {
        let query = paged(filter.query(), count, paging_token);
        self.http.get("/api/v2/organization_collaborators/", &query).await
    }

    /// Finds a member by e-mail address or name: the first that matches the filter.
    ///
    /// # Errors
    /// [`Error::Config`] if the filter has neither.
    pub async fn find_collaborator(&self, filter: &CollaboratorFilter) -> Result<Option<Collaborator>, Error> {
        if filter.email.is_none() && filter.name.is_none() {
            return Err(Error::Config(
                "a filter to find a collaborator requires an e-mail address or a name".to_owned(),
            ));
        }
        Ok(self.list_collaborators(filter, 1, None).await?.results.into_iter().next())
    }

    /// Lists the audit log, newest first, `count` (1 to 50) per page; for paging see
    /// [`list_collaborators`](Self::list_collaborators). Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 if the caller is not an owner.
    pub async fn audit_events(
        &self,
        filter: &AuditFilter,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<AuditEvent>, Error> {
        self.http.get("/api/v2/audit/events", &paged(filter.query(), count, paging_token)).await
    }
}

impl fmt::Debug for Client {
    /// Omits the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.http.base.to_string()).finish_non_exhaustive()
    }
}

/// The parameters that have a value.
pub(crate) fn present<const N: usize>(query: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Appends the paging parameters in the order of the vendor's client.
pub(crate) fn paged(
    mut query: Vec<(&'static str, String)>,
    count: u8,
    paging_token: Option<&str>,
) -> Vec<(&'static str, String)> {
    query.extend(paging_token.map(|token| ("paging_token", token.to_owned())));
    query.push(("count", count.to_string()));
    query
}

/// The path of a resource. A malformed ID is rejected, because it could change the path.
pub(crate) fn by_id(collection: &str, id: &str, rest: &str, prefix: &str) -> Result<String, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::Config(format!("invalid ID `{}`; expected `{prefix}_…`", id.escape_debug())));
    }
    Ok(format!("{collection}/{id}{rest}"))
}

/// Reads an environment variable. An empty one counts as unset.
#[expect(clippy::disallowed_methods, reason = "`Client::from_env` is there to read the environment")]
fn environment(name: &str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::Config(format!("the value of `{name}` is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_id_is_rejected() {
        let path = |id| by_id("/api/v2/batches", id, "/undo", "bat");
        assert_eq!(path("bat_0aZ").unwrap(), "/api/v2/batches/bat_0aZ/undo");
        for id in ["", "..", "bat_1/../../userinfo", "bat_1?x", "bat_1#", "bät_1"] {
            assert_eq!(path(id).unwrap_err().to_string(), format!("invalid ID `{id}`; expected `bat_…`"));
        }
    }
}
