//! Invitations: links that each end in one account.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::PermissionLevel;
use crate::user::expose;

/// An address to be invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvitation {
    /// E-mail address of the person.
    pub email: String,
    /// What the account will be allowed; `None` means [`Collaborator`](PermissionLevel::Collaborator).
    /// muster's own addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
}

impl NewInvitation {
    /// Invites an address as a collaborator.
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self { email: email.into(), permission_level: None }
    }

    /// Invites it as an owner.
    #[must_use]
    pub fn owner(self) -> Self {
        Self { permission_level: Some(PermissionLevel::Owner), ..self }
    }
}

/// An invitation that was made.
///
/// Whoever has the link gets the account: `Debug` does not show it.
#[derive(Clone, Debug, Deserialize)]
pub struct CreatedInvitation {
    /// `orginv_…`
    pub id: String,
    /// E-mail address of the person, as it was written.
    pub email: String,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// What to send to the person; the server shows it this once.
    pub link: SecretString,
}

/// Why an address was not invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationError {
    /// `invalid_request`, `conflict` (twice in the list), `email_taken` or `forbidden`.
    pub code: String,
    /// For people; names the address.
    pub detail: String,
}

/// An invitation that is, or was, open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// `orginv_…`
    pub id: String,
    /// E-mail address of the person, as it was written.
    pub email: String,
    /// `org_…`
    pub organization_id: String,
    /// `owner` or `collaborator`; `None` from servers that don't say.
    pub permission_level: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When it became an account.
    pub accepted_at: Option<DateTime<Utc>>,
}

/// What somebody who was invited says about themselves.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptInvitation {
    /// What the link ends in, `ami_…`.
    #[serde(serialize_with = "expose_one")]
    pub token: SecretString,
    /// First name, or the whole name.
    pub name: String,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Title, such as a position in the company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The password of their choice; `None` with `is_sso_user` only.
    #[serde(serialize_with = "expose", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// Signs in through SSO instead.
    pub is_sso_user: bool,
}

/// The account that an invitation has become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedInvitation {
    /// `usr_…`
    pub user_id: String,
    /// E-mail address.
    pub email: String,
    /// First name, or the whole name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Signs in through SSO.
    pub is_sso_user: bool,
    /// `owner` or `collaborator`.
    pub permission_level: String,
    /// `org_…`
    pub organization_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

fn expose_one<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secrecy::ExposeSecret::expose_secret(secret))
}

/// The answer to a list of addresses.
#[derive(Deserialize)]
pub(crate) struct InvitedBody {
    pub(crate) results: Vec<InvitedOne>,
}

/// What became of one address.
#[derive(Deserialize)]
pub(crate) struct InvitedOne {
    data: Option<CreatedInvitation>,
    error: Option<InvitationError>,
}

impl InvitedOne {
    /// One of the two; `None` when the answer has neither, or both.
    pub(crate) fn outcome(self) -> Option<Result<CreatedInvitation, InvitationError>> {
        match (self.data, self.error) {
            (Some(data), None) => Some(Ok(data)),
            (None, Some(error)) => Some(Err(error)),
            _ => None,
        }
    }
}
