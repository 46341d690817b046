//! The caller: `GET /api/v2/userinfo/`. Fields for the vendor's hosted service only (feature flags, billing, support
//! chat) are omitted.

use serde::{Deserialize, Serialize};

/// The user that the API key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// ID of the user, `usr_…`, or of a key without a user, `key_…`.
    pub id: String,
    /// E-mail address.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Name to sign in with.
    pub username: String,
    /// Whether the e-mail address is verified.
    pub verified: bool,
    /// Permission level: `owner` or `collaborator`.
    pub organization_permission_level: String,
    /// IDs of the caller's organizations, `org_…`.
    pub organization_ids: Vec<String>,
    /// The same organizations with details.
    pub organizations: Vec<OrganizationInfo>,
    /// Whether the user has a password.
    pub has_password: Option<bool>,
}

/// An organization of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationInfo {
    /// ID of the organization, `org_…`.
    pub id: String,
    /// Name of the organization.
    pub name: String,
    /// Name of the organization in URLs.
    pub public_identifier: String,
    /// Whether users can sign in through SSO only.
    pub sso_required: Option<bool>,
    /// `off`, `optional` or `required`.
    pub sso_mode: Option<String>,
    /// Whether the organization is deactivated.
    pub is_deactivated: Option<bool>,
}
