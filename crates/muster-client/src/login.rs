//! Device login: a one-time password that a signed-in user approves is exchanged for an API key.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::client::by_id;
use crate::secret::expose;
use crate::{Client, Error};

/// A started login.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StartedLogin {
    /// Page that explains how to approve the login.
    pub url: String,
    /// One-time password, `otp_…`, valid for 10 minutes and one key. It is a credential: its holder receives the key.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub otp: SecretString,
}

impl fmt::Debug for StartedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedLogin").finish_non_exhaustive()
    }
}

/// An approved login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApprovedLogin {
    /// ID of the user that the key acts as, `usr_…`; absent for a key without a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Permission level of the key: `owner` or `collaborator`.
    pub permission_level: String,
    /// Time until which the key can be fetched.
    pub expires_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct FetchedLogin {
    valid: bool,
    server_session_id: SecretString,
}

impl Client {
    /// Starts a login. Requires no API key
    /// ([`ClientBuilder::build_without_token`](crate::ClientBuilder::build_without_token)). `lifetime` is the lifetime of
    /// the key; zero for the server's maximum.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_login(&self, lifetime: Duration) -> Result<StartedLogin, Error> {
        let query = [("duration_seconds", lifetime.as_secs().to_string())];
        self.http.get_one("/api/v2/users/create_otp_token", &query).await
    }

    /// Fetches the API key of a login: `None` until the login is approved. The key is returned once. Requires no API key.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the one-time password has expired (after 10 minutes).
    pub async fn fetch_login(&self, otp: &SecretString) -> Result<Option<SecretString>, Error> {
        let path = by_id("/api/v2/users/request_otp_token", otp.expose_secret(), "", "otp")?;
        let login: FetchedLogin = self.http.get_one(&path, &[]).await?;
        Ok(login.valid.then_some(login.server_session_id))
    }

    /// Approves a login: its holder receives an API key that acts as the caller and has the permissions of the calling
    /// key.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the one-time password is unknown or expired, 409 if it is already approved.
    pub async fn approve_login(&self, otp: &str) -> Result<ApprovedLogin, Error> {
        let body = serde_json::json!({ "otp": otp });
        self.http.post("/api/v2/users/approve_otp_token").body(&body)?.one().await
    }
}
