//! Device login: a one-time password that a signed-in user approves is exchanged for an API key.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::client::{by_id, present};
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
    /// Code by which a user approves the login, `BDWP-HQPK`; absent if the server has none, and then the one-time password is
    /// approved instead.
    #[serde(default)]
    pub code: Option<String>,
}

impl fmt::Debug for StartedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedLogin").finish_non_exhaustive()
    }
}

/// A login that waits for its approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoginRequest {
    /// Time at which the client started the login.
    pub requested_at: DateTime<Utc>,
    /// Time until which the login can be approved.
    pub expires_at: DateTime<Utc>,
    /// IP address of the client, as the server sees it.
    pub client_address: Option<String>,
    /// Program that asks, as it says.
    pub user_agent: Option<String>,
    /// Machine that the program runs on, as it says.
    pub machine: Option<String>,
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
    /// the key; zero for the server's maximum. `machine` is the name of this machine, which the approver sees and which the key is
    /// named after.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_login(&self, lifetime: Duration, machine: Option<&str>) -> Result<StartedLogin, Error> {
        let lifetime = Some(lifetime.as_secs().to_string());
        let query = present([("duration_seconds", lifetime), ("machine", machine.map(str::to_owned))]);
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

    /// Shows who asks for a login, by its code or its one-time password.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the code is unknown or expired, 429 after too many wrong codes.
    pub async fn get_login(&self, code: &str) -> Result<LoginRequest, Error> {
        let code: String = code.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Error::Config(format!(
                "invalid code `{}`; expected 8 letters, such as BDWP-HQPK",
                code.escape_debug()
            )));
        }
        self.http.get_one(&format!("/api/v2/users/otp_tokens/{code}"), &[]).await
    }

    /// Approves a login, by its code or its one-time password: its holder receives an API key that acts as the caller and has the permissions of the calling
    /// key.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the code is unknown or expired, 409 if the login is already approved.
    pub async fn approve_login(&self, otp: &str) -> Result<ApprovedLogin, Error> {
        let body = serde_json::json!({ "otp": otp });
        self.http.post("/api/v2/users/approve_otp_token").body(&body)?.one().await
    }
}
