//! Methods for existing users: one user, or a list of them.

use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch_request::plan_header;
use crate::client::by_id;
use crate::{Client, Error, PermissionLevel, RowFinding};

/// An account of a person or a service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct User {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// ID of the membership, `ide_…`.
    pub identity_id: String,
    /// E-mail address.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Whether the user signs in through SSO.
    pub is_sso_user: bool,
    /// Whether the account is a service account.
    pub is_service_account: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// Effective permission level, including groups: `owner` or `collaborator`.
    pub permission_level: String,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Revision, incremented by each change. The `ETag` contains it in quotes.
    pub revision: i64,
    /// When the account expires. At that time, access ends and the user is suspended.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// Last sign-in of a person, by password, link or SSO; absent before the first one. The revision does not change with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_signed_in_at: Option<DateTime<Utc>>,
    /// How a person signs in: `sso`, `password`, `initial_password` (which must be changed at the next sign-in) or `none` (a password
    /// has to be set); absent for service accounts. The revision does not change with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Custom attributes: texts, numbers and booleans.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub attributes: Map<String, Value>,
}

/// The result of a change to a list of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChangedUsers {
    /// The users after the change, or the last state of deleted ones, in the order of the list.
    pub results: Vec<User>,
    /// What has changed.
    pub metadata: ChangedUsersMetadata,
}

/// What a change to a list of users has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChangedUsersMetadata {
    /// Number of users in the list.
    pub total: usize,
    /// Always `null`: the list is complete.
    pub next_paging_token: Option<String>,
    /// Number of users that were changed.
    pub changed: usize,
    /// Number of users that already were as requested.
    pub unchanged: usize,
    /// The changed fields of an update, in the order of the list.
    pub changes: Vec<FieldChange>,
    /// Number of users that were left out, with `skip_blocked`; absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Why they were left out, in the order of the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped_rows: Vec<RowFinding>,
    /// Number of sessions that a suspension or a deletion ends; absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended_sessions: u64,
    /// Number of API keys that a suspension or a deletion makes invalid; absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended_keys: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Options of a change to a list of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Validate without writing.
    pub dry_run: bool,
    /// Leave out the users who can't be changed, instead of rejecting the list.
    pub skip_blocked: bool,
}

impl From<bool> for ChangeOptions {
    /// A dry run or not; one user who can't be changed rejects the list.
    fn from(dry_run: bool) -> Self {
        Self { dry_run, skip_blocked: false }
    }
}

/// A changed field of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// ID of the user, `usr_…`.
    pub user_id: String,
    /// Name of the field.
    #[cfg_attr(feature = "schema", schema(example = "title"))]
    pub field: String,
    /// Value before the change; `null` if there was none.
    pub before: Option<String>,
    /// Value after the change; `null` if it was removed.
    pub after: Option<String>,
}

/// The result of applying a list, or of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AppliedUsers {
    /// The users that differ from the list: in its order, then those that are missing from it.
    pub results: Vec<AppliedUser>,
    /// What was done, or would be.
    pub metadata: AppliedUsersMetadata,
    /// Plan of a dry run, `plan1_…`, for [`ApplyOptions::plan`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// How many users differ from a list that is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AppliedUsersMetadata {
    /// Number of users in the list.
    pub total: usize,
    /// Always `null`: the list is complete.
    pub next_paging_token: Option<String>,
    /// Number of users that were created.
    pub created: usize,
    /// Number of users of the list that were changed.
    pub changed: usize,
    /// Number of users that were suspended because they are missing from the list.
    pub suspended: usize,
    /// Number of users of the list that already were as requested.
    pub unchanged: usize,
    /// Warnings about rows, such as `weak_hash`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<RowFinding>,
}

/// A user that differs from a list that is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AppliedUser {
    /// `create`, `change`, or `suspend` for a user that is missing from the list.
    #[cfg_attr(feature = "schema", schema(example = "change"))]
    pub action: String,
    /// ID of the user, `usr_…`; `null` for a user that a dry run would create.
    pub user_id: Option<String>,
    /// E-mail address before the change.
    pub email: String,
    /// The fields that change, or those of a new user.
    pub changes: Vec<ChangedField>,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChangedField {
    /// Name of the field.
    #[cfg_attr(feature = "schema", schema(example = "title"))]
    pub field: String,
    /// Value before the change; `null` if there was none.
    pub before: Option<String>,
    /// Value after the change; `null` if it was removed.
    pub after: Option<String>,
}

/// Options of [`Client::apply_users`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Returns the differences and a plan without writing.
    pub dry_run: bool,
    /// Suspends active people that are not in the list. Owners and service accounts are never suspended for that.
    pub suspend_missing: bool,
    /// Plan of a dry run. The server rejects the request with the code `plan_changed` if the list or one of its users has
    /// changed since.
    pub plan: Option<String>,
}

/// A change of a user. Fields that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserChange {
    /// First name or full name: 1 to 255 characters, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New e-mail address. Compared without regard to case and encoding (Unicode or punycode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Last name; `null` (`Some(None)`) removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<Option<String>>,
    /// Job title; `null` (`Some(None)`) removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
    /// Whether the user signs in through SSO; `true` removes the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_sso_user: Option<bool>,
    /// Permission level of the membership itself, without groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// When the account expires: the last day of access in UTC, such as `2027-12-31`, or a time of RFC 3339 with its zone;
    /// `null` (`Some(None)`) removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<String>>,
    /// Custom attributes: the given ones replace their values, `null` removes one, the others stay.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// A row of a list of users: the user and, for [`Client::update_users`], the change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// ID (`usr_…`) or current e-mail address of the user.
    pub user: String,
    /// The change, for [`Client::update_users`] only.
    #[serde(flatten)]
    pub change: UserChange,
    /// Expected [`revision`](User::revision); the row is rejected if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_match: Option<i64>,
}

impl UserRow {
    /// A user, by ID or e-mail address.
    #[must_use]
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into(), ..Self::default() }
    }
}

impl Client {
    /// Gets a user.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the user does not exist.
    pub async fn get_user(&self, user_id: &str) -> Result<User, Error> {
        self.http.get_one(&path(user_id, "")?, &[]).await
    }

    /// Changes a user, if `revision` is `None` or the current revision. Like all methods that change users, it requires
    /// an owner and is not retried.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the address belongs to another account, 412 if the revision differs, 422
    /// with [`Error::rows`] for invalid fields.
    pub async fn update_user(&self, user_id: &str, change: &UserChange, revision: Option<i64>) -> Result<User, Error> {
        self.http.write(Method::PATCH, &path(user_id, "")?).body(change)?.if_match(revision).one().await
    }

    /// Suspends a user. Their API keys are invalid until the user is reactivated. Idempotent.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the user is the last owner (`last_owner`), 412 if the revision differs.
    pub async fn suspend_user(&self, user_id: &str, revision: Option<i64>) -> Result<User, Error> {
        self.http.post(&path(user_id, "/suspend")?).if_match(revision).one().await
    }

    /// Reactivates a suspended user. Idempotent.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 412 if the revision differs.
    pub async fn reactivate_user(&self, user_id: &str, revision: Option<i64>) -> Result<User, Error> {
        self.http.post(&path(user_id, "/reactivate")?).if_match(revision).one().await
    }

    /// Deletes a user and everything that refers to them.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the user is the last owner, 412 if the revision differs.
    pub async fn delete_user(&self, user_id: &str, revision: Option<i64>) -> Result<(), Error> {
        self.http.write(Method::DELETE, &path(user_id, "")?).if_match(revision).send().await.map(|_| ())
    }

    /// Changes a list of users, all or none. Rows are [`UserRow`]s or any
    /// JSON. The options can be `true` for a dry run, which writes nothing, and `false` otherwise.
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all rows.
    pub async fn update_users<R: Serialize>(
        &self,
        rows: &[R],
        options: impl Into<ChangeOptions>,
    ) -> Result<ChangedUsers, Error> {
        self.change_users("update", rows, options.into()).await
    }

    /// Suspends a list of users, all or none; see [`update_users`](Self::update_users). Idempotent.
    ///
    /// # Errors
    /// The same; code `last_owner` if no owner would remain.
    pub async fn suspend_users<R: Serialize>(
        &self,
        rows: &[R],
        options: impl Into<ChangeOptions>,
    ) -> Result<ChangedUsers, Error> {
        self.change_users("suspend", rows, options.into()).await
    }

    /// Reactivates a list of users, all or none; see [`update_users`](Self::update_users). Idempotent.
    ///
    /// # Errors
    /// The same.
    pub async fn reactivate_users<R: Serialize>(
        &self,
        rows: &[R],
        options: impl Into<ChangeOptions>,
    ) -> Result<ChangedUsers, Error> {
        self.change_users("reactivate", rows, options.into()).await
    }

    /// Deletes a list of users, all or none, and returns their last state; see [`update_users`](Self::update_users).
    ///
    /// # Errors
    /// The same; code `last_owner` if no owner would remain.
    pub async fn delete_users<R: Serialize>(
        &self,
        rows: &[R],
        options: impl Into<ChangeOptions>,
    ) -> Result<ChangedUsers, Error> {
        self.change_users("delete", rows, options.into()).await
    }

    /// Applies a list of users as the wished state, all or none: creates, changes and suspends users. Rows are any JSON with
    /// the fields of a new user and, for an existing one, `user` (its ID or address). Not retried; a repeated list changes nothing.
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all rows; code `last_owner` if no owner would remain, `plan_changed` if
    /// the plan no longer applies.
    pub async fn apply_users<R: Serialize>(&self, rows: &[R], options: &ApplyOptions) -> Result<AppliedUsers, Error> {
        let mut write = self.http.post("/api/v2/users/admin_batch_apply").body(rows)?;
        if let Some(plan) = &options.plan {
            write = write.headers(HeaderMap::from_iter([plan_header(plan)?]));
        }
        write.flag("dry_run", options.dry_run).flag("suspend_missing", options.suspend_missing).parse().await
    }

    async fn change_users<R: Serialize>(
        &self,
        action: &str,
        rows: &[R],
        options: ChangeOptions,
    ) -> Result<ChangedUsers, Error> {
        let write = self.http.post(&format!("/api/v2/users/admin_batch_{action}")).body(rows)?;
        write.flag("dry_run", options.dry_run).flag("skip_blocked", options.skip_blocked).parse().await
    }
}

fn path(user_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/users", user_id, rest, "usr")
}
