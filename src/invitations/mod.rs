//! Invitations: links that each create one account.
//!
//! An owner invites addresses and gets a link for each. The invited person chooses a name and a password; the account
//! is active immediately. Invitations are not sent by mail: the links are shown once, to the caller who creates them.
//!
//! # Decisions
//!
//! *An invalid link is `not_found`, regardless of the reason.* Only a client with the secret of a link learns that the
//! invitation has expired, was revoked or was accepted. An unknown link and a wrong secret are indistinguishable.
//!
//! *An address has at most one open invitation.* A new invitation replaces it, so that only the latest link works.
//! Lists of one organization are written one after the other, so that concurrent lists can't both keep an invitation
//! open.
//!
//! *A list is all or none, except through the route of the vendor's client*, whose responses have one outcome for each
//! address. A list of muster's own has its own route, as lists of users have ([`create_all`]). An address with an open
//! invitation is skipped there, so that a list can be sent again; a new link only replaces one if the caller asks for that. An
//! open invitation with another permission level is a finding, because skipping it would not do what the list says, and so is
//! an address that has an account.
//!
//! *A repeated list needs no idempotency key.* The links are not stored, so no key could return them again. After a lost
//! response, the addresses are skipped, and `resend` replaces the lost links. A page of the console binds a list to its dry run by
//! an [`InvitationPlan`]: sending the form twice does not replace the links that the first response shows.
//!
//! *Rows of a list have the fields of new users, but no password and no SSO*: an invited person chooses a password. Such a
//! field is a finding, because the list was made to create users. Names and titles are the defaults of the form, and the
//! person may change them.
//!
//! *Attempts to accept an invitation are counted in its row*, so that all instances count together, and limited for each
//! link: with a link, a client without an API key can make muster check passwords, which is expensive.

mod accept;
mod browse;
mod create;
mod list;
mod read;
mod write;

use chrono::{DateTime, Duration, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Invitation, Organization};
use crate::token;
use crate::users::{EmailAddress, Expiry, Line, Name};

pub use accept::{Acceptance, Accepted, Invited, accept, open};
pub use browse::{InvitationFilter, InvitationState, ListedInvitation, browse};
pub use create::{InvitationRequest, create};
pub use list::{InvitationPlan, ListOptions, ListOutcome, create_all};
pub use read::{InvitationDetails, OpenCount, OpenInvitation, count_open, get, list};

/// The parsed token of an invitation link.
pub type Token = token::Token<Invitation>;

/// A person to invite. Each field is valid on its own.
#[derive(Clone, Debug)]
pub struct Invitee {
    /// The address.
    pub email: EmailAddress,
    /// The level of the future membership.
    pub permission_level: PermissionLevel,
    /// The defaults of the form.
    pub details: Details,
    /// When the account expires.
    pub account_expires_at: Option<Expiry>,
}

/// The defaults of the form with which an invitation is accepted.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// First name or full name.
    pub name: Option<Name>,
    /// Last name.
    pub lastname: Option<Line>,
    /// Title or position.
    pub title: Option<Line>,
}

/// A new invitation. The token is not stored, so it can be shown only now.
#[derive(Debug)]
pub struct NewInvitation {
    /// The ID of the invitation.
    pub invitation_id: Id<Invitation>,
    /// The invited person.
    pub invitee: Invitee,
    /// When the invitation expires.
    pub expires_at: DateTime<Utc>,
    /// The last part of the link.
    pub token: Token,
}

impl NewInvitation {
    fn generate(organization_id: Id<Organization>, now: DateTime<Utc>, lifetime: Duration, invitee: Invitee) -> Self {
        let invitation_id = Id::new(now);
        let token = Token::generate(organization_id, invitation_id);
        Self { invitation_id, invitee, expires_at: now + lifetime, token }
    }
}

/// Revokes an invitation: its link no longer works.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` for an invitation that was accepted, revoked or replaced.
pub async fn invalidate(app: &App, caller: &Caller, invitation_id: Id<Invitation>) -> Result<InvitationDetails> {
    app.change(caller, Action::InvitationInvalidate, Target::Invitation(invitation_id), async |change| {
        let found = read::lock(change, invitation_id).await?;
        let invitation = found.ok_or_else(|| Error::not_found("invitation", invitation_id))?;
        let ended = match (invitation.accepted_at, invitation.invalidated_at) {
            (Some(_), _) => Some("has already been accepted; suspend or delete the account instead"),
            (None, Some(_)) => Some("has already been revoked or replaced"),
            (None, None) => None,
        };
        if let Some(ended) = ended {
            return Err(Error::new(Code::Conflict, format!("invitation {invitation_id} {ended}")));
        }
        write::invalidate(change, invitation_id).await?;
        change.record(Event::InvitationInvalidated(invitation_id));
        Ok(invitation)
    })
    .await
}
