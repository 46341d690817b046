//! How the people of an organization sign in.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, Error};

const POLICY: &str = "/api/v2/organizations/sign_in_policy";

/// A sign-in policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignInPolicy {
    /// `off`, `optional` or `required`: whether people sign in through identity providers.
    pub sso_mode: String,
    /// `optional` or `required`: whether owners do, if `sso_mode` is `required`.
    pub owners_sso: String,
    /// When the policy was set; `None`: never.
    pub changed_at: Option<DateTime<Utc>>,
    /// Number of sessions that setting the policy has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_sessions: Option<usize>,
}

#[derive(Serialize)]
struct NewPolicy<'a> {
    sso_mode: &'a str,
    owners_sso: &'a str,
}

impl Client {
    /// Reads the sign-in policy. Requires an owner.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sign_in_policy(&self) -> Result<SignInPolicy, Error> {
        self.http.get_one(POLICY, &[]).await
    }

    /// Replaces the sign-in policy: `sso_mode` is `off`, `optional` or `required`, `owners_sso` is `optional` or `required`. Requires an
    /// owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if no owner could sign in any more.
    pub async fn set_sign_in_policy(&self, sso_mode: &str, owners_sso: &str) -> Result<SignInPolicy, Error> {
        self.http.write(Method::PUT, POLICY).body(&NewPolicy { sso_mode, owners_sso })?.one().await
    }
}
