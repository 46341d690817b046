//! Looking at and changing groups and policies.

use reqwest::Method;
use serde::Serialize;

use crate::client::{Single, paged};
use crate::group::{Memberships, NewPolicy};
use crate::http::Write;
use crate::{
    Client, Error, Group, GroupChanged, GroupMember, GroupMembership, Page, Policy, PolicyBinding, UserPermissions,
};

/// How much longer than another read a list of everybody may take.
const EVERYBODY_TAKES: u32 = 10;

const POLICY: &str = "/api/v2/policy/organization/_";

/// What is sent to name a group.
#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

impl Client {
    /// Lists groups in the order in which they were made, `count` (1 to 50) at a time; pages as in
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_groups(&self, count: u8, paging_token: Option<&str>) -> Result<Page<Group>, Error> {
        self.http.get("/api/v2/user_groups/", &paged(Vec::new(), count, paging_token)).await
    }

    /// Tells about one group.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such group.
    pub async fn get_group(&self, group_id: &str) -> Result<Group, Error> {
        let single: Single<Group> = self.http.get(&path(group_id, "")?, &[]).await?;
        Ok(single.result)
    }

    /// Makes a group of nobody. Only for owners, as all that changes groups and policies.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when a group has this name, in any case.
    pub async fn create_group(&self, name: &str) -> Result<Group, Error> {
        let single: Single<Group> = self
            .http
            .write_for(Write::new(Method::POST, "/api/v2/user_groups/".to_owned()).body(&Name { name })?)
            .await?;
        Ok(single.result)
    }

    /// Gives a group another name.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 or 409, as [`get_group`](Self::get_group) and
    /// [`create_group`](Self::create_group); with 409 also when a directory keeps the group.
    pub async fn rename_group(&self, group_id: &str, name: &str) -> Result<Group, Error> {
        let single: Single<Group> =
            self.http.write_for(Write::new(Method::PATCH, path(group_id, "")?).body(&Name { name })?).await?;
        Ok(single.result)
    }

    /// Deletes a group; its members stay. Answers the group as it was.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404; with 409 and code `last_owner` when nobody would be an owner
    /// without it, or `conflict` when a directory keeps it.
    pub async fn delete_group(&self, group_id: &str) -> Result<Group, Error> {
        let single: Single<Group> = self.http.write_for(Write::new(Method::DELETE, path(group_id, "")?)).await?;
        Ok(single.result)
    }

    /// Lists who is in a group, `count` (1 to 50) at a time.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such group.
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
    /// Those of every call.
    pub async fn group_memberships(&self) -> Result<Vec<GroupMembership>, Error> {
        let path = "/api/v2/user_groups/memberships/list";
        let single: Single<Memberships> = self.http.get_within(path, &[], EVERYBODY_TAKES).await?;
        Ok(single.result.groups)
    }

    /// Puts users into a group: all of them, or none. Those who are in it already are no error. Rows are [`GroupUser`]s
    /// or any JSON. With `dry_run` nothing is changed, and the answer tells what would be.
    ///
    /// # Errors
    /// When some can't be put in, [`Error::rows`] tells every reason in every row.
    ///
    /// [`GroupUser`]: crate::GroupUser
    pub async fn add_group_members<R: Serialize>(
        &self,
        group_id: &str,
        rows: &[R],
        dry_run: bool,
    ) -> Result<GroupChanged, Error> {
        self.change_group_members(path(group_id, "/members/add")?, rows, dry_run).await
    }

    /// Takes users out of a group: all of them, or none. Those who are not in it are no error.
    ///
    /// # Errors
    /// As [`add_group_members`](Self::add_group_members); status 409 and code `last_owner` when nobody would
    /// be an owner without them in it.
    pub async fn remove_group_members<R: Serialize>(
        &self,
        group_id: &str,
        rows: &[R],
        dry_run: bool,
    ) -> Result<GroupChanged, Error> {
        self.change_group_members(path(group_id, "/members/remove")?, rows, dry_run).await
    }

    async fn change_group_members<R: Serialize>(
        &self,
        path: String,
        rows: &[R],
        dry_run: bool,
    ) -> Result<GroupChanged, Error> {
        let mut write = Write::new(Method::POST, path).body(rows)?;
        if dry_run {
            write = write.query("dry_run", "true");
        }
        let single: Single<GroupChanged> = self.http.write_for(write).await?;
        Ok(single.result)
    }

    /// Tells what the members of groups may do in the organization.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn policy(&self) -> Result<Policy, Error> {
        let single: Single<Policy> = self.http.get(POLICY, &[]).await?;
        Ok(single.result)
    }

    /// Replaces that: what is not in `bindings` ends. It holds at once.
    ///
    /// # Errors
    /// When a role or a group is unknown or there twice, [`Error::rows`] tells which. [`Error::Rejected`] with
    /// status 409 and code `last_owner` when nobody would be an owner.
    pub async fn set_policy(&self, bindings: &[PolicyBinding]) -> Result<Policy, Error> {
        let single: Single<Policy> =
            self.http.write_for(Write::new(Method::PUT, POLICY.to_owned()).body(&NewPolicy { bindings })?).await?;
        Ok(single.result)
    }

    /// Tells who is an owner, and who is there: all users, or one of them. Only for owners.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such user.
    pub async fn user_permissions(&self, user_id: Option<&str>) -> Result<UserPermissions, Error> {
        let query: Vec<_> = user_id.map(|user_id| ("user_id", user_id.to_owned())).into_iter().collect();
        let path = "/api/v2/scim/list-user-permissions";
        let single: Single<UserPermissions> = self.http.get_within(path, &query, EVERYBODY_TAKES).await?;
        Ok(single.result)
    }
}

/// Where a group is found. An id of another form is not sent: it could lead elsewhere.
fn path(group_id: &str, rest: &str) -> Result<String, Error> {
    if group_id.is_empty() || !group_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::Config(format!("`{}` is no id of a group; one looks like `ug_…`", group_id.escape_debug())));
    }
    Ok(format!("/api/v2/user_groups/{group_id}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_lead_elsewhere() {
        assert_eq!(path("ug_0aZ", "/members").unwrap(), "/api/v2/user_groups/ug_0aZ/members");
        for id in ["", "..", "ug_1/../../userinfo", "ug_1?x", "memberships/list"] {
            let sentence = format!("`{id}` is no id of a group; one looks like `ug_…`");
            assert_eq!(path(id, "").unwrap_err().to_string(), sentence);
        }
    }
}
