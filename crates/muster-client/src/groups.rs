//! Methods for groups and policies.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::json;

use crate::batch_request::plan_header;
use crate::client::{by_id, paged};
use crate::group::Memberships;
use crate::http::Single;
use crate::{
    Client, Error, Group, GroupChanged, GroupMember, GroupMembership, Page, Policy, PolicyBinding, UserPermissions,
};

/// Factor by which the read timeout is extended for unpaged lists.
const FULL_LIST_TIMEOUT_FACTOR: u32 = 10;

const POLICY: &str = "/api/v2/policy/organization/_";

impl Client {
    /// Lists groups in the order of their creation, `count` (1 to 50) per page; for paging see
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_groups(&self, count: u8, paging_token: Option<&str>) -> Result<Page<Group>, Error> {
        self.http.get("/api/v2/user_groups/", &paged(Vec::new(), count, paging_token)).await
    }

    /// Gets a group.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the group does not exist.
    pub async fn get_group(&self, group_id: &str) -> Result<Group, Error> {
        self.http.get_one(&path(group_id, "")?, &[]).await
    }

    /// Creates an empty group. Like all methods that change groups and policies, it requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if a group has the name, regardless of case.
    pub async fn create_group(&self, name: &str) -> Result<Group, Error> {
        self.http.post("/api/v2/user_groups/").body(&json!({ "name": name }))?.one().await
    }

    /// Renames a group.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the group does not exist, 409 if another group has the name or a directory
    /// manages the group.
    pub async fn rename_group(&self, group_id: &str, name: &str) -> Result<Group, Error> {
        self.http.write(Method::PATCH, &path(group_id, "")?).body(&json!({ "name": name }))?.one().await
    }

    /// Deletes a group and returns its last state. The accounts of its members remain.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the group does not exist; 409 with code `last_owner` if no owner would
    /// remain, or `conflict` if a directory manages the group.
    pub async fn delete_group(&self, group_id: &str) -> Result<Group, Error> {
        self.http.write(Method::DELETE, &path(group_id, "")?).one().await
    }

    /// Lists the members of a group, `count` (1 to 50) per page.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the group does not exist.
    pub async fn list_group_members(
        &self,
        group_id: &str,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<GroupMember>, Error> {
        self.http.get(&path(group_id, "/members")?, &paged(Vec::new(), count, paging_token)).await
    }

    /// Lists all groups with all their members.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn group_memberships(&self) -> Result<Vec<GroupMembership>, Error> {
        let path = "/api/v2/user_groups/memberships/list";
        let single: Single<Memberships> = self.http.get_within(path, &[], FULL_LIST_TIMEOUT_FACTOR).await?;
        Ok(single.result.groups)
    }

    /// Adds users to a group, all or none. Users that already are members are not an error. Rows are [`GroupUser`]s or
    /// any JSON. With `dry_run`, nothing is written.
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all rows.
    ///
    /// [`GroupUser`]: crate::GroupUser
    pub async fn add_group_members<R: Serialize>(
        &self,
        group_id: &str,
        rows: &[R],
        dry_run: bool,
    ) -> Result<GroupChanged, Error> {
        let path = path(group_id, "/members/add")?;
        self.http.post(&path).body(rows)?.flag("dry_run", dry_run).one().await
    }

    /// Removes users from a group, all or none. Users that are not members are not an error.
    ///
    /// # Errors
    /// The same as [`add_group_members`](Self::add_group_members); 409 with code `last_owner` if no owner would remain.
    pub async fn remove_group_members<R: Serialize>(
        &self,
        group_id: &str,
        rows: &[R],
        dry_run: bool,
    ) -> Result<GroupChanged, Error> {
        let path = path(group_id, "/members/remove")?;
        self.http.post(&path).body(rows)?.flag("dry_run", dry_run).one().await
    }

    /// Gets the policy of the organization: the roles of its groups.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn policy(&self) -> Result<Policy, Error> {
        self.http.get_one(POLICY, &[]).await
    }

    /// Replaces the policy. It takes effect immediately.
    ///
    /// # Errors
    /// [`Error::rows`] contains unknown and duplicate roles and groups. [`Error::Rejected`] with status 409 and code
    /// `last_owner` if no owner would remain.
    pub async fn set_policy(&self, bindings: &[PolicyBinding]) -> Result<Policy, Error> {
        self.http.write(Method::PUT, POLICY).body(&json!({ "bindings": bindings }))?.one().await
    }

    /// Returns the policy that [`set_policy`](Self::set_policy) would set, with its [`changes`](Policy::changes). Nothing is
    /// written.
    ///
    /// # Errors
    /// The same as [`set_policy`](Self::set_policy).
    pub async fn plan_policy(&self, bindings: &[PolicyBinding]) -> Result<Policy, Error> {
        let write = self.http.write(Method::PUT, POLICY).flag("dry_run", true);
        write.body(&json!({ "bindings": bindings }))?.one().await
    }

    /// Replaces the policy, if that changes what [`plan_policy`](Self::plan_policy) returned.
    ///
    /// # Errors
    /// The same as [`set_policy`](Self::set_policy); [`Error::Rejected`] with status 409 and code `plan_changed` if the
    /// policy would change something else.
    pub async fn set_planned_policy(&self, bindings: &[PolicyBinding], plan: &str) -> Result<Policy, Error> {
        let headers = HeaderMap::from_iter([plan_header(plan)?]);
        let write = self.http.write(Method::PUT, POLICY).headers(headers);
        write.body(&json!({ "bindings": bindings }))?.one().await
    }

    /// Lists all owners, and all users or one of them. Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the user does not exist.
    pub async fn user_permissions(&self, user_id: Option<&str>) -> Result<UserPermissions, Error> {
        let query: Vec<_> = user_id.map(|user_id| ("user_id", user_id.to_owned())).into_iter().collect();
        let path = "/api/v2/scim/list-user-permissions";
        let single: Single<UserPermissions> = self.http.get_within(path, &query, FULL_LIST_TIMEOUT_FACTOR).await?;
        Ok(single.result)
    }
}

fn path(group_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/user_groups", group_id, rest, "ug")
}
