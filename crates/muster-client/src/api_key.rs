//! API keys.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::client::{Single, paged};
use crate::{Client, Error, Page, PermissionLevel};

/// An API key. Its token is not kept by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id, `key_…`.
    pub key_id: String,
    /// Who acts when it is used, `usr_…`; `None`: the key acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `active`, or `suspended` when that user is kept out, and the key with them; `None`: the key acts for itself,
    /// or was just made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_status: Option<String>,
    /// What it is for.
    pub name: String,
    /// `owner` or `collaborator`: what it allows, if its user may that. Taken as it comes.
    pub permission_level: String,
    /// What of that it may be used for; `None`: all.
    pub scopes: Option<Vec<String>>,
    /// `active`, `expired` or `revoked`; taken as it comes.
    pub status: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The API key that it was made with, `key_…`; `None`: the local operator made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
    /// Its latest use, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it got its secret, if that is not its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<DateTime<Utc>>,
    /// Until when the secret before opens as well; `None` when it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

/// An API key with its token, which is nowhere else: shown once or lost.
#[derive(Clone, Deserialize)]
pub struct ApiKeyWithToken {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// What to show when calling.
    pub token: SecretString,
}

impl fmt::Debug for ApiKeyWithToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyWithToken").field("key", &self.key).finish_non_exhaustive()
    }
}

/// An API key to be made. What is `None` is as for the key that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// Whose: a service account's. `None`: one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What it allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// What of that it may be used for, such as `users:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// For how long it works; `None`: as long as the server's setting says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

impl NewApiKey {
    /// A key of one's own.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A key of a service account.
    #[must_use]
    pub fn for_user(self, user_id: impl Into<String>) -> Self {
        Self { user_id: Some(user_id.into()), ..self }
    }
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
    /// Lists API keys, oldest first, `count` (1 to 50) at a time; pages as in
    /// [`list_collaborators`](Self::list_collaborators). Owners see all of them, or those of a user; everybody else
    /// their own.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 403 for keys of others, except for owners.
    pub async fn list_api_keys(
        &self,
        user_id: Option<&str>,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<ApiKey>, Error> {
        let filter = user_id.map(|user_id| ("user_id", user_id.to_owned())).into_iter().collect();
        self.http.get("/api/v2/api_keys", &paged(filter, count, paging_token)).await
    }

    /// Makes an API key: one's own, or as an owner a service account's. It never allows more than the key that asks.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 403 for more than that, or another person's key; 404 for a user who isn't there.
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<ApiKeyWithToken, Error> {
        let single: Single<ApiKeyWithToken> = self.http.post_json("/api/v2/api_keys", key).await?;
        Ok(single.result)
    }

    /// Tells about one API key: one's own, or as an owner any.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such key.
    pub async fn get_api_key(&self, key_id: &str) -> Result<ApiKey, Error> {
        let single: Single<ApiKey> = self.http.get(&path(key_id, "")?, &[]).await?;
        Ok(single.result)
    }

    /// Gives an API key a new secret. The old one opens as well for `overlap` (up to 7 days; `None`: as long as the
    /// server's setting says). A client that rotates its own key has to be made anew with the token.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 409 when it is revoked or has expired. The request is sent once; when its answer was
    /// lost, the old secret still opens for the overlap, and the key can be rotated again.
    pub async fn rotate_api_key(&self, key_id: &str, overlap: Option<Duration>) -> Result<ApiKeyWithToken, Error> {
        let body = Rotation { overlap_seconds: overlap.map(|overlap| overlap.as_secs()) };
        let single: Single<ApiKeyWithToken> = self.http.post_json(&path(key_id, "/rotate")?, &body).await?;
        Ok(single.result)
    }

    /// Revokes an API key, also the very one that asks.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when it had been revoked before.
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<ApiKey, Error> {
        let single: Single<ApiKey> = self.http.delete(&path(key_id, "")?).await?;
        Ok(single.result)
    }

    /// Makes an API key for a service account as the vendor's client does: a lifetime above what the server allows
    /// is cut to that. [`create_api_key`](Self::create_api_key) can be told more.
    ///
    /// # Errors
    /// As [`create_api_key`](Self::create_api_key).
    pub async fn create_api_key_for(
        &self,
        user_id: &str,
        lifetime: Duration,
        name: Option<&str>,
    ) -> Result<SecretString, Error> {
        let body = VendorKey { duration: lifetime.as_secs(), user_id, name };
        let single: Single<ServerSession> = self.http.post_json("/api/v2/users/create_api_key", &body).await?;
        Ok(single.result.server_session_id)
    }

    /// Revokes all API keys of a user, and tells how many there were. Only for owners.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 404 for a user who isn't there; 409 for one without a key that works.
    pub async fn rotate_api_keys_for_user(&self, user_id: &str) -> Result<usize, Error> {
        check_id(user_id, "usr")?;
        let path = format!("/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}");
        let single: Single<Rotated> = self.http.post(&path, &[]).await?;
        Ok(single.result.keys)
    }
}

impl ApiKeyWithToken {
    /// The token itself, to be put where it is needed.
    #[must_use]
    pub fn expose_token(&self) -> &str {
        self.token.expose_secret()
    }
}

fn path(key_id: &str, rest: &str) -> Result<String, Error> {
    check_id(key_id, "key")?;
    Ok(format!("/api/v2/api_keys/{key_id}{rest}"))
}

/// An id of another form is not sent: it could lead elsewhere.
pub(crate) fn check_id(id: &str, prefix: &str) -> Result<(), Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::Config(format!("`{}` is no id; one looks like `{prefix}_…`", id.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_lead_elsewhere() {
        assert_eq!(path("key_0aZ", "/rotate").unwrap(), "/api/v2/api_keys/key_0aZ/rotate");
        for id in ["", "..", "key_1/../../userinfo", "key_1?x", "kéy_1"] {
            assert_eq!(path(id, "").unwrap_err().to_string(), format!("`{id}` is no id; one looks like `key_…`"));
        }
    }

    #[test]
    fn a_key_to_be_made_says_only_what_is_asked_for() {
        let json = |key: &NewApiKey| serde_json::to_value(key).unwrap();
        assert_eq!(json(&NewApiKey::new("ci")), serde_json::json!({"name": "ci"}));
        let all = NewApiKey {
            permission_level: Some(PermissionLevel::Owner),
            scopes: Some(vec!["users:read".to_owned()]),
            expires_in_seconds: Some(60),
            ..NewApiKey::new("ci").for_user("usr_1")
        };
        assert_eq!(
            json(&all),
            serde_json::json!({"name": "ci", "user_id": "usr_1", "permission_level": "owner", "scopes": ["users:read"],
                "expires_in_seconds": 60})
        );
    }
}
