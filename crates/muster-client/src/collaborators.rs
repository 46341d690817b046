//! Methods for members of the organization.

use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::client::by_id;
use crate::{Client, Collaborator, CollaboratorType, Error, Page, PermissionLevel};

/// A search for members. A member must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollaboratorSearch {
    /// Part of the name, the full name or the e-mail address, case-insensitive.
    pub query: String,
    /// Kind of account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collaborator_type: Option<CollaboratorType>,
    /// Effective permission level, including groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// Whether the member is a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_service_account: Option<bool>,
    /// `active` or `suspended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl CollaboratorSearch {
    /// Searches for part of a name or an e-mail address.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }
}

#[derive(Serialize)]
struct PagedSearch<'a> {
    #[serde(flatten)]
    search: &'a CollaboratorSearch,
    count: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    paging_token: Option<&'a str>,
}

impl Client {
    /// Searches the members of the organization, `count` (1 to 50) per page; for paging see
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search_collaborators(
        &self,
        search: &CollaboratorSearch,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Collaborator>, Error> {
        let body = PagedSearch { search, count, paging_token };
        self.http.post("/api/v2/organization_collaborators/search").body(&body)?.parse().await
    }

    /// Gets a member by the ID of the membership (`ide_…`).
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the membership does not exist.
    pub async fn get_collaborator(&self, identity_id: &str) -> Result<Collaborator, Error> {
        self.http.get_one(&path(identity_id)?, &[]).await
    }

    /// Sets the permission level of a membership, if `revision` is `None` or the current revision of the user. The
    /// permissions of groups are unaffected. Requires an owner. The request is not retried.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 and code `last_owner` if no owner would remain, 412 if the revision differs.
    pub async fn set_permission_level(
        &self,
        identity_id: &str,
        permission_level: PermissionLevel,
        revision: Option<i64>,
    ) -> Result<Collaborator, Error> {
        self.http
            .write(Method::PUT, &path(identity_id)?)
            .body(&json!({ "permission_level": permission_level }))?
            .if_match(revision)
            .one()
            .await
    }

    /// Removes a member and deletes the account. Requires an owner. The request is not retried.
    ///
    /// # Errors
    /// The same as [`set_permission_level`](Self::set_permission_level).
    pub async fn remove_collaborator(&self, identity_id: &str, revision: Option<i64>) -> Result<(), Error> {
        self.http.write(Method::DELETE, &path(identity_id)?).if_match(revision).send().await.map(|_| ())
    }
}

fn path(identity_id: &str) -> Result<String, Error> {
    by_id("/api/v2/organization_collaborators", identity_id, "", "ide")
}
