//! Invitations: links that each end in one account.
//!
//! An owner invites addresses and gets a link for each. Whoever opens a link chooses a name and a password, and
//! has an account that is active at once. muster sends no mail: the links are shown once, to the one who invites.
//!
//! # Decisions
//!
//! *A link that opens nothing is `not_found`, whatever the reason.* Only those who show the secret of a link
//! are told that it has expired, was taken back or was used; an unknown link and a wrong secret look the same.
//!
//! *An address has one open invitation.* A newer one replaces it, so that the latest link works and no other.
//! Lists of one organization are written one after another, so that two never decide it differently.

mod accept;
mod create;
mod read;
mod write;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Invitation};
use crate::token;
use crate::users::EmailAddress;

pub use accept::{Acceptance, Accepted, Invited, accept, open};
pub use create::{Asked, create};
pub use read::{Summary, list};

/// The text of a link's token, taken apart.
pub type Token = token::Token<Invitation>;

/// An invitation that was just made. The token is nowhere else: shown once or lost.
#[derive(Debug)]
pub struct NewInvitation {
    /// Which.
    pub invitation_id: Id<Invitation>,
    /// For whom.
    pub email: EmailAddress,
    /// What the account will be allowed.
    pub permission_level: PermissionLevel,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// What the link ends in.
    pub token: Token,
}

/// Takes an invitation back: its link opens nothing from now on.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when it was accepted, taken back or replaced before.
pub async fn invalidate(app: &App, caller: &Caller, invitation_id: Id<Invitation>) -> Result<Summary> {
    app.change(caller, Action::InvitationInvalidate, Target::Invitation(invitation_id), async |change| {
        let found = read::locked(change, invitation_id).await?;
        let (summary, invalidated_at) =
            found.ok_or_else(|| Error::new(Code::NotFound, format!("there is no invitation {invitation_id}")))?;
        let ended = match (summary.accepted_at, invalidated_at) {
            (Some(_), _) => Some("has been accepted: the account can be suspended or deleted"),
            (None, Some(_)) => Some("has been taken back or replaced before"),
            (None, None) => None,
        };
        if let Some(ended) = ended {
            return Err(Error::new(Code::Conflict, format!("the invitation {invitation_id} {ended}")));
        }
        write::invalidate(change, invitation_id).await?;
        change.record(Event::InvitationInvalidated(invitation_id));
        Ok(summary)
    })
    .await
}
