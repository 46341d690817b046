//! Logging in: getting an API key with a one-time password that somebody approves.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::api_key::check_id;
use crate::client::Single;
use crate::{Client, Error};

/// A login that was started.
#[derive(Clone, Deserialize)]
pub struct StartedLogin {
    /// A page that says how it is approved.
    pub url: String,
    /// The one-time password. Whoever has it gets the key.
    pub otp: SecretString,
}

impl fmt::Debug for StartedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedLogin").finish_non_exhaustive()
    }
}

/// A login that was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedLogin {
    /// Who acts when its key is used, `usr_…`; `None` when that is the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What its key will allow; taken as it comes.
    pub permission_level: String,
    /// Until when the key can be fetched.
    pub expires_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct FetchedLogin {
    valid: bool,
    server_session_id: SecretString,
}

impl Client {
    /// Starts a login, for which no token is needed
    /// ([`ClientBuilder::build_without_token`](crate::ClientBuilder::build_without_token)). `lifetime` is for how
    /// long the key is wanted; zero: for as long as the server allows.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn start_login(&self, lifetime: Duration) -> Result<StartedLogin, Error> {
        let query = [("duration_seconds", lifetime.as_secs().to_string())];
        let single: Single<StartedLogin> = self.http.get("/api/v2/users/create_otp_token", &query).await?;
        Ok(single.result)
    }

    /// Asks for the API key of a login: `None` until it is approved. It is given once. Needs no token.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 404 when the one-time password has expired, after 10 minutes.
    pub async fn fetch_login(&self, otp: &SecretString) -> Result<Option<SecretString>, Error> {
        check_id(otp.expose_secret(), "otp")?;
        let path = format!("/api/v2/users/request_otp_token/{}", otp.expose_secret());
        let single: Single<FetchedLogin> = self.http.get(&path, &[]).await?;
        Ok(Some(single.result).filter(|fetched| fetched.valid).map(|fetched| fetched.server_session_id))
    }

    /// Approves a login: whoever started it gets an API key that acts as the caller, with all that the caller's key
    /// may.
    ///
    /// # Errors
    /// [`Error::Rejected`]: 404 when there is no such one-time password or it has expired, 409 when it was approved
    /// before.
    pub async fn approve_login(&self, otp: &str) -> Result<ApprovedLogin, Error> {
        let body = serde_json::json!({ "otp": otp });
        let single: Single<ApprovedLogin> = self.http.post_json("/api/v2/users/approve_otp_token", &body).await?;
        Ok(single.result)
    }
}
