//! Users who exist: looked at, changed, suspended, reactivated, deleted; one, or a list of them.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::client::{Single, by_id};
use crate::http::Write;
use crate::{Client, Error, Page};

/// A user's account, or a program's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's id, `usr_…`.
    pub user_id: String,
    /// Id of the membership, `ide_…`.
    pub identity_id: String,
    /// E-mail address.
    pub email: String,
    /// First name, or the whole name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Title, such as a position in the company.
    pub title: Option<String>,
    /// Signs in through SSO.
    pub is_sso_user: bool,
    /// Whether it is a service account.
    pub is_service_account: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// What they may do, by their own level and by their groups: `owner` or `collaborator`.
    pub permission_level: String,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// Goes up with every change: what a change can be held to.
    pub revision: i64,
}

/// What is to be different about a user. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserChange {
    /// First name, or the whole name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Last name; `Some(None)` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<Option<String>>,
    /// Title; `Some(None)` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
}

/// Somebody in a list, and what is to be different about them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// Who: a user's id, or their address as it is before the change.
    pub user: String,
    /// What is to be different: for [`Client::update_users`] only.
    #[serde(flatten)]
    pub change: UserChange,
    /// Only if the user's [`revision`](User::revision) is still this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_match: Option<i64>,
}

impl UserRow {
    /// Somebody, by id or address.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into(), ..Self::default() }
    }
}

impl Client {
    /// Tells about one user.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such user.
    pub async fn get_user(&self, user_id: &str) -> Result<User, Error> {
        let single: Single<User> = self.http.get(&path(user_id, "")?, &[]).await?;
        Ok(single.result)
    }

    /// Changes one user. With a `revision` only if that is still theirs. Only for owners, as everything that changes
    /// users. The request is sent once, as those of all methods here.
    ///
    /// # Errors
    /// [`Error::Rejected`]: with status 409 when the address is somebody else's, with 412 when the revision is another, with
    /// 422 and [`Error::rows`] when fields can't be used.
    pub async fn update_user(&self, user_id: &str, change: &UserChange, revision: Option<i64>) -> Result<User, Error> {
        let write = Write::new(Method::PATCH, path(user_id, "")?).body(change)?.only_if(revision);
        let single: Single<User> = self.http.write_for(write).await?;
        Ok(single.result)
    }

    /// Keeps a user out: their API keys open nothing until they are reactivated.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when they are suspended, or the last owner (code `last_owner`); with 412 when the
    /// revision is another.
    pub async fn suspend_user(&self, user_id: &str, revision: Option<i64>) -> Result<User, Error> {
        let write = Write::new(Method::POST, path(user_id, "/suspend")?).only_if(revision);
        let single: Single<User> = self.http.write_for(write).await?;
        Ok(single.result)
    }

    /// Lets a suspended user in again.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when they are active; with 412 when the revision is another.
    pub async fn reactivate_user(&self, user_id: &str, revision: Option<i64>) -> Result<User, Error> {
        let write = Write::new(Method::POST, path(user_id, "/reactivate")?).only_if(revision);
        let single: Single<User> = self.http.write_for(write).await?;
        Ok(single.result)
    }

    /// Deletes a user, with everything that names them.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when they are the last owner; with 412 when the revision is another.
    pub async fn delete_user(&self, user_id: &str, revision: Option<i64>) -> Result<(), Error> {
        self.http.write(Write::new(Method::DELETE, path(user_id, "")?).only_if(revision)).await.map(|_| ())
    }

    /// Changes a list of users: all of them, or none. They come back in the order of the list. Rows are [`UserRow`]s, or any
    /// JSON. With `dry_run` nothing is changed, and the answer tells what would be.
    ///
    /// # Errors
    /// [`Error::rows`] tells every reason in every row.
    pub async fn update_users<R: Serialize>(&self, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        self.change_users("update", rows, dry_run).await
    }

    /// Suspends a list of users: all of them, or none; as [`update_users`](Self::update_users).
    ///
    /// # Errors
    /// As there; code `last_owner` when no owner would be left.
    pub async fn suspend_users<R: Serialize>(&self, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        self.change_users("suspend", rows, dry_run).await
    }

    /// Reactivates a list of users: all of them, or none; as [`update_users`](Self::update_users).
    ///
    /// # Errors
    /// As there.
    pub async fn reactivate_users<R: Serialize>(&self, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        self.change_users("reactivate", rows, dry_run).await
    }

    /// Deletes a list of users: all of them, or none; as [`update_users`](Self::update_users). They come back as
    /// they were.
    ///
    /// # Errors
    /// As there; code `last_owner` when no owner would be left.
    pub async fn delete_users<R: Serialize>(&self, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        self.change_users("delete", rows, dry_run).await
    }

    async fn change_users<R: Serialize>(&self, what: &str, rows: &[R], dry_run: bool) -> Result<Vec<User>, Error> {
        let mut write = Write::new(Method::POST, format!("/api/v2/users/admin_batch_{what}")).body(rows)?;
        if dry_run {
            write = write.query("dry_run", "true");
        }
        let page: Page<User> = self.http.write_for(write).await?;
        Ok(page.results)
    }
}

fn path(user_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/users", user_id, rest, "a user; one looks like `usr_…`")
}
