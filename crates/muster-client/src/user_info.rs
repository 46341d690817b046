//! Who the token belongs to, as `GET /api/v2/userinfo/` tells. What only the vendor's
//! hosted service needs (feature flags, billing, support chat) is left out.

use serde::{Deserialize, Serialize};

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// The user's id, `usr_…`.
    pub id: String,
    /// E-mail address.
    pub email: String,
    /// First name, or the whole name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// The name to sign in with.
    pub username: String,
    /// Whether the e-mail address counts as verified.
    pub verified: bool,
    /// `owner` or `collaborator`; taken as it comes, for servers that know more levels.
    pub organization_permission_level: String,
    /// Ids of the caller's organizations, `org_…`.
    pub organization_ids: Vec<String>,
    /// The same organizations, described.
    pub organizations: Vec<OrganizationInfo>,
    /// Whether a password is set.
    pub has_password: Option<bool>,
}

/// One of the caller's organizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationInfo {
    /// Its id, `org_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name in addresses.
    pub public_identifier: String,
    /// Whether signing in is possible through SSO only.
    pub sso_required: Option<bool>,
    /// `off`, `optional` or `required`.
    pub sso_mode: Option<String>,
    /// Whether it was closed.
    pub is_deactivated: Option<bool>,
}
