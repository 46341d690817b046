//! The client: one method per thing that can be asked of the server.

use std::env::VarError;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::http::Http;
use crate::{
    AdminCreateUser, AdminCreatedUser, AuditEvent, AuditFilter, ClientBuilder, Collaborator, CollaboratorFilter, Error,
    Page, UserInfo,
};

/// A connection to one muster server, with one API key. Cheap to clone; needs a tokio runtime.
///
/// All methods fail with [`Error::Rejected`] or [`Error::Server`] when the server says no,
/// [`Error::Unreachable`] when it says nothing, and [`Error::InvalidAnswer`] when something
/// else speaks in its place.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: Http,
}

impl Client {
    /// A client with default settings.
    ///
    /// `host` is the server's address, such as `https://muster.example.org`. It may have a
    /// path, which all requests then begin with; without a scheme it is `http`, as for the
    /// vendor's client.
    ///
    /// # Errors
    /// [`Error::Config`], as for [`ClientBuilder::build`].
    pub fn new(host: &str, token: impl Into<SecretString>) -> Result<Self, Error> {
        Self::builder(host).token(token).build()
    }

    /// A client with settings of its own.
    #[must_use]
    pub fn builder(host: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(host.into())
    }

    /// A client for the server that the environment names: its address in `MUSTER_HOST`, else
    /// `ANYSCALE_HOST`; the API key in `MUSTER_TOKEN`, else `ANYSCALE_CLI_TOKEN`. An empty
    /// variable counts as unset.
    ///
    /// # Errors
    /// [`Error::Config`], which says exactly which variables to set.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_variables(environment)?.build()
    }

    pub(crate) const fn new_with(http: Http) -> Self {
        Self { http }
    }

    /// The server's address, without a slash at its end.
    #[must_use]
    pub fn host(&self) -> String {
        self.http.base.to_string()
    }

    /// Creates users: all of them, or none. The answer is in the order of the request.
    ///
    /// The request carries a random key, so that it can be repeated without creating anybody twice.
    /// It is repeated by itself while the connection breaks or the server is busy, for as long as
    /// [`ClientBuilder::retry_for`] says. For more about the batch than its users, see
    /// [`batch`](Self::batch).
    ///
    /// # Errors
    /// When users can't be created, [`Error::rows`] tells every reason in every row. When the
    /// answer was lost and all repeats with it, [`Error::outcome_unknown`] is true, and
    /// [`Error::idempotency_key`] is the key to ask again with.
    pub async fn admin_batch_create(&self, users: &[AdminCreateUser]) -> Result<Vec<AdminCreatedUser>, Error> {
        self.admin_batch_create_rows(users).await
    }

    /// The same for rows that are any JSON, so that the server's report covers their shape as well.
    ///
    /// # Errors
    /// As [`admin_batch_create`](Self::admin_batch_create), and [`Error::Config`] for rows that
    /// JSON can't express.
    pub async fn admin_batch_create_rows<R: Serialize>(&self, rows: &[R]) -> Result<Vec<AdminCreatedUser>, Error> {
        Ok(self.batch(rows).create(|_| ()).await?.users)
    }

    /// Tells whom the API key belongs to.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 401 when the key opens nothing.
    pub async fn user_info(&self) -> Result<UserInfo, Error> {
        let single: Single<UserInfo> = self.http.get("/api/v2/userinfo/", &[]).await?;
        Ok(single.result)
    }

    /// Lists members of the organization, `count` (1 to 50) at a time.
    ///
    /// For the next page pass [`next_paging_token`](crate::PageMetadata::next_paging_token),
    /// with the same filter and count.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_collaborators(
        &self,
        filter: &CollaboratorFilter,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Collaborator>, Error> {
        let query = paged(filter.query(), count, paging_token);
        self.http.get("/api/v2/organization_collaborators/", &query).await
    }

    /// Finds a member by e-mail address or name: the first that the filter fits.
    ///
    /// # Errors
    /// [`Error::Config`] when the filter has neither, for then anybody would fit.
    pub async fn find_collaborator(&self, filter: &CollaboratorFilter) -> Result<Option<Collaborator>, Error> {
        if filter.email.is_none() && filter.name.is_none() {
            return Err(Error::Config("finding a collaborator takes an e-mail address or a name".to_owned()));
        }
        Ok(self.list_collaborators(filter, 1, None).await?.results.into_iter().next())
    }

    /// Lists the audit log, newest first, `count` (1 to 50) at a time; pages as in
    /// [`list_collaborators`](Self::list_collaborators). Only for owners.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 for everybody else.
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
    /// Shows the server's address, not the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.http.base.to_string()).finish_non_exhaustive()
    }
}

/// The envelope of an answer that is not a list.
#[derive(Deserialize)]
pub(crate) struct Single<T> {
    pub(crate) result: T,
}

/// Appends the paging to a filter, in the vendor's order.
pub(crate) fn paged(
    mut query: Vec<(&'static str, String)>,
    count: u8,
    paging_token: Option<&str>,
) -> Vec<(&'static str, String)> {
    query.extend(paging_token.map(|token| ("paging_token", token.to_owned())));
    query.push(("count", count.to_string()));
    query
}

/// Where one thing is found. An id of another form is not sent: it could lead elsewhere.
pub(crate) fn by_id(list: &str, id: &str, rest: &str, of_what: &str) -> Result<String, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::Config(format!("`{}` is no id of {of_what}", id.escape_debug())));
    }
    Ok(format!("{list}/{id}{rest}"))
}

/// One variable of the environment; an empty one counts as unset.
#[expect(clippy::disallowed_methods, reason = "`Client::from_env` is there to read the environment")]
fn environment(name: &str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::Config(format!("the value of `{name}` is not UTF-8"))),
    }
}
