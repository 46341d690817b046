//! Members of an organization: searched, looked at, changed, removed.

use reqwest::Method;
use serde::Serialize;

use crate::client::{Single, by_id};
use crate::http::Write;
use crate::{Client, Collaborator, CollaboratorType, Error, Page, PermissionLevel};

/// Whom to search for: those who meet all conditions that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollaboratorSearch {
    /// A piece of the name, of name and last name, or of the address, in any case.
    pub query: String,
    /// People, service accounts, or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collaborator_type: Option<CollaboratorType>,
    /// What they may do, by their own level and by their groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// Only service accounts, or everything but them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_service_account: Option<bool>,
    /// `active` or `suspended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl CollaboratorSearch {
    /// Looks for a piece of a name or an address.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }
}

/// A search with its page.
#[derive(Serialize)]
struct PagedSearch<'a> {
    #[serde(flatten)]
    search: &'a CollaboratorSearch,
    count: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    paging_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Level {
    permission_level: PermissionLevel,
}

impl Client {
    /// Searches members of the organization, `count` (1 to 50) at a time; pages as in
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// Those of every call.
    pub async fn search_collaborators(
        &self,
        search: &CollaboratorSearch,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Collaborator>, Error> {
        let write = Write::new(Method::POST, "/api/v2/organization_collaborators/search".to_owned());
        self.http.write_for(write.body(&PagedSearch { search, count, paging_token })?).await
    }

    /// Tells about one membership, by its own id (`ide_…`).
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such membership.
    pub async fn get_collaborator(&self, identity_id: &str) -> Result<Collaborator, Error> {
        let single: Single<Collaborator> = self.http.get(&path(identity_id)?, &[]).await?;
        Ok(single.result)
    }

    /// Changes what a member may do by themselves; what their groups allow stays. With a `revision` only if that is still
    /// the user's. Only for owners. The request is sent once.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 and code `last_owner` when no owner would be left; with 412 when the revision
    /// is another.
    pub async fn set_permission_level(
        &self,
        identity_id: &str,
        permission_level: PermissionLevel,
        revision: Option<i64>,
    ) -> Result<Collaborator, Error> {
        let write = Write::new(Method::PUT, path(identity_id)?).body(&Level { permission_level })?.only_if(revision);
        let single: Single<Collaborator> = self.http.write_for(write).await?;
        Ok(single.result)
    }

    /// Ends a membership and deletes the account, a person's or a program's. Only for owners. The request is sent once.
    ///
    /// # Errors
    /// As [`set_permission_level`](Self::set_permission_level).
    pub async fn remove_collaborator(&self, identity_id: &str, revision: Option<i64>) -> Result<(), Error> {
        self.http.write(Write::new(Method::DELETE, path(identity_id)?).only_if(revision)).await.map(|_| ())
    }
}

fn path(identity_id: &str) -> Result<String, Error> {
    by_id("/api/v2/organization_collaborators", identity_id, "", "a membership; one looks like `ide_…`")
}
