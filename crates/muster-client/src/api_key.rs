//! API keys.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::client::{by_id, paged};
use crate::secret::expose;
use crate::{Client, Error, Page, PermissionLevel};

/// An API key. The server does not store its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApiKey {
    /// ID of the key, `key_…`.
    pub key_id: String,
    /// ID of the user that the key acts as, `usr_…`; absent for a key without a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Status of that user: `active`, or `suspended`, which suspends the key too. Absent for a key without a user and
    /// for a newly created key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_status: Option<String>,
    /// Name of the key.
    pub name: String,
    /// Permission level: `owner` or `collaborator`. The key never has more permissions than its user.
    pub permission_level: String,
    /// Scopes that restrict the permission level; `null` for no restriction.
    pub scopes: Option<Vec<String>>,
    /// `active`, `expired` or `revoked`.
    pub status: String,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// ID of the API key that created this key, `key_…`; absent if the local operator created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Expiration time.
    pub expires_at: DateTime<Utc>,
    /// Time of the last use, with a resolution of one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Time of the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<DateTime<Utc>>,
    /// Time until which the previous secret remains valid; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// Time of revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// An API key with its token, which the server shows only once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApiKeyWithToken {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The bearer token, `amk_…`, for the header `Authorization: Bearer …`.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub token: SecretString,
}

/// A request to create an API key. Fields that are `None` default to those of the calling key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// Name of the key: 1 to 100 characters on one line.
    pub name: String,
    /// ID of the service account that the key acts as; `None` for a key of the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Permission level; never higher than that of the calling key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// Scopes, such as `users:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Lifetime in seconds; `None` for the server setting `keys.default_days`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

impl NewApiKey {
    /// A key of the caller's own.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Creates the key for a service account.
    #[must_use]
    pub fn for_user(self, user_id: impl Into<String>) -> Self {
        Self { user_id: Some(user_id.into()), ..self }
    }
}

/// The organization's maximum lifetime of API keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyExpiration {
    /// In days; `null` for no maximum but the server setting `keys.max_days`.
    pub max_api_key_expiration_days: Option<u32>,
}

#[derive(Serialize)]
struct Rotation {
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap_seconds: Option<u64>,
}

#[derive(Serialize)]
struct VendorKey<'a> {
    duration: u64,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Deserialize)]
struct ServerSession {
    server_session_id: SecretString,
}

#[derive(Deserialize)]
struct Rotated {
    keys: usize,
}

impl Client {
    /// Lists API keys, oldest first, `count` (1 to 50) per page; for paging see
    /// [`list_collaborators`](Self::list_collaborators). Owners see all keys; other callers see their own.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 if the caller is not an owner and `user_id` is another user.
    pub async fn list_api_keys(
        &self,
        user_id: Option<&str>,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<ApiKey>, Error> {
        let filter = user_id.map(|user_id| ("user_id", user_id.to_owned())).into_iter().collect();
        self.http.get("/api/v2/api_keys", &paged(filter, count, paging_token)).await
    }

    /// Creates an API key for the caller or, as an owner, for a service account. The new key never has more permissions
    /// than the calling key.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 if the caller lacks the permission, 404 if the user does not exist.
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<ApiKeyWithToken, Error> {
        self.http.post("/api/v2/api_keys").body(key)?.one().await
    }

    /// Gets an API key: one of the caller's own or, as an owner, any.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the key does not exist.
    pub async fn get_api_key(&self, key_id: &str) -> Result<ApiKey, Error> {
        self.http.get_one(&path(key_id, "")?, &[]).await
    }

    /// Rotates the secret of an API key. The previous secret remains valid for `overlap`: up to 7 days; `None` for the
    /// server setting `keys.rotation_overlap_hours`. After rotating its own key, a client must be rebuilt with the new
    /// token.
    ///
    /// The request is not retried. If its response is lost, the previous secret is valid for the overlap, and the key
    /// can be rotated again.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the key is revoked or expired.
    pub async fn rotate_api_key(&self, key_id: &str, overlap: Option<Duration>) -> Result<ApiKeyWithToken, Error> {
        let body = Rotation { overlap_seconds: overlap.map(|overlap| overlap.as_secs()) };
        self.http.post(&path(key_id, "/rotate")?).body(&body)?.one().await
    }

    /// Revokes an API key. A key can revoke itself.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the key is already revoked.
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<ApiKey, Error> {
        self.http.write(Method::DELETE, &path(key_id, "")?).one().await
    }

    /// Creates an API key for a service account through the vendor's route, which caps the lifetime at the server's
    /// maximum. [`create_api_key`](Self::create_api_key) has more options.
    ///
    /// # Errors
    /// The same as [`create_api_key`](Self::create_api_key).
    pub async fn create_api_key_for(
        &self,
        user_id: &str,
        lifetime: Duration,
        name: Option<&str>,
    ) -> Result<SecretString, Error> {
        let body = VendorKey { duration: lifetime.as_secs(), user_id, name };
        let session: ServerSession = self.http.post("/api/v2/users/create_api_key").body(&body)?.one().await?;
        Ok(session.server_session_id)
    }

    /// Gets the organization's maximum lifetime of API keys, in days; `None` for no maximum but the server's. Requires an
    /// owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 if the caller is not an owner.
    pub async fn max_api_key_days(&self) -> Result<Option<u32>, Error> {
        let expiration: KeyExpiration = self.http.get_one(EXPIRATION, &[]).await?;
        Ok(expiration.max_api_key_expiration_days)
    }

    /// Sets the organization's maximum lifetime of API keys that are created or rotated from now on. Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 400 for 0 days or more than 36,500.
    pub async fn set_max_api_key_days(&self, days: Option<u32>) -> Result<(), Error> {
        let body = KeyExpiration { max_api_key_expiration_days: days };
        self.http.write(Method::PUT, EXPIRATION).body(&body)?.one::<KeyExpiration>().await.map(drop)
    }

    /// Revokes all API keys of a user and returns their number. Requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the user does not exist, 409 if the user has no active key.
    pub async fn rotate_api_keys_for_user(&self, user_id: &str) -> Result<usize, Error> {
        let path = by_id("/api/v2/organization_collaborators/rotate_api_key_for_user", user_id, "", "usr")?;
        Ok(self.http.post(&path).one::<Rotated>().await?.keys)
    }
}

impl ApiKeyWithToken {
    /// The token in plain text.
    #[must_use]
    pub fn expose_token(&self) -> &str {
        self.token.expose_secret()
    }
}

const EXPIRATION: &str = "/api/v2/organizations/api_key_expiration";

fn path(key_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/api_keys", key_id, rest, "key")
}
