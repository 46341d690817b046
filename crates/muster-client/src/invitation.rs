//! Invitations: each has a link with which one person creates an account.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::PermissionLevel;
use crate::secret::{expose, expose_option};

/// A person to invite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvitation {
    /// E-mail address.
    pub email: String,
    /// Permission level of the account; `None` means [`Collaborator`](PermissionLevel::Collaborator).
    /// An addition to the vendor's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
}

impl NewInvitation {
    /// Invites a person as a collaborator.
    #[must_use]
    pub fn new(email: impl Into<String>) -> Self {
        Self { email: email.into(), permission_level: None }
    }

    /// Invites the person as an owner.
    #[must_use]
    pub fn owner(self) -> Self {
        Self { permission_level: Some(PermissionLevel::Owner), ..self }
    }
}

/// A newly created invitation. `Debug` does not show the link, which is a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreatedInvitation {
    /// ID of the invitation, `orginv_…`.
    pub id: String,
    /// E-mail address, as in the request.
    pub email: String,
    /// Permission level of the account: `owner` or `collaborator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<String>,
    /// Expiration time.
    pub expires_at: DateTime<Utc>,
    /// The link to send to the person. The server shows it only once and does not store it.
    #[serde(serialize_with = "expose")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub link: SecretString,
}

/// Why a person was not invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationError {
    /// `invalid_request`, `conflict` (duplicate in the list), `email_taken` or `forbidden`.
    pub code: String,
    /// Error message for people; contains the e-mail address.
    pub detail: String,
}

/// The result of inviting a list of people, all or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InvitedUsers {
    /// The people, in the order of the list.
    pub results: Vec<InvitedUser>,
    /// How many of them were invited.
    pub metadata: InvitedUsersMetadata,
}

/// How many people of a list were invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InvitedUsersMetadata {
    /// Number of people in the list.
    pub total: usize,
    /// Always `null`: the list is complete.
    pub next_paging_token: Option<String>,
    /// Number of people who were invited.
    pub invited: usize,
    /// Number of people who already have an open invitation.
    pub already_invited: usize,
    /// Number of new links that replace others.
    pub replaced: usize,
    /// Why the links may not work for the people to whom they are sent.
    pub link_warning: Option<String>,
}

/// A person in a list of invitations. `Debug` does not show the link, which is a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InvitedUser {
    /// Whether the person was invited.
    pub outcome: InvitationOutcome,
    /// ID of the open invitation, `orginv_…`; absent for a new one in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// E-mail address.
    pub email: String,
    /// Permission level of the account: `owner` or `collaborator`.
    pub permission_level: String,
    /// Expiration time.
    pub expires_at: DateTime<Utc>,
    /// The link to send to the person, if one was created. The server shows it only once and does not store it.
    #[serde(default, serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub link: Option<SecretString>,
    /// ID of the invitation whose link the new one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// Whether a person was invited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum InvitationOutcome {
    /// Invited, with a new link.
    Invited,
    /// Skipped, because an open invitation exists.
    AlreadyInvited,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// ID of the invitation, `orginv_…`.
    pub id: String,
    /// E-mail address, as in the request.
    pub email: String,
    /// ID of the organization, `org_…`.
    pub organization_id: String,
    /// `owner` or `collaborator`; the vendor's servers do not send it.
    pub permission_level: Option<String>,
    /// Creation time.
    pub created_at: DateTime<Utc>,
    /// Expiration time.
    pub expires_at: DateTime<Utc>,
    /// Time of acceptance.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Time of revocation or replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidated_at: Option<DateTime<Utc>>,
}

/// The details that an invited person provides.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptInvitation {
    /// Token at the end of the link, `ami_…`.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// First name or full name.
    pub name: String,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Job title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Password; required unless `is_sso_user`.
    #[serde(serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// Whether the user signs in through SSO.
    pub is_sso_user: bool,
}

/// The account that was created from an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AcceptedInvitation {
    /// ID of the user, `usr_…`.
    pub user_id: String,
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
    /// Permission level: `owner` or `collaborator`.
    pub permission_level: String,
    /// ID of the organization, `org_…`.
    pub organization_id: String,
    /// Creation time.
    pub created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub(crate) struct InvitedItem {
    data: Option<CreatedInvitation>,
    error: Option<InvitationError>,
}

impl InvitedItem {
    /// `None` if the item has neither `data` nor `error`, or both.
    pub(crate) fn outcome(self) -> Option<Result<CreatedInvitation, InvitationError>> {
        match (self.data, self.error) {
            (Some(data), None) => Some(Ok(data)),
            (None, Some(error)) => Some(Err(error)),
            _ => None,
        }
    }
}
