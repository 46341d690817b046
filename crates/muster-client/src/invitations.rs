//! Methods for invitations.

use reqwest::StatusCode;
use serde::Serialize;

use crate::client::by_id;
use crate::invitation::InvitedItem;
use crate::{
    AcceptInvitation, AcceptedInvitation, Client, CreatedInvitation, Error, Invitation, InvitationError, InvitedUsers,
    NewInvitation, Page,
};

const PATH: &str = "/api/v2/organization_invitations";

impl Client {
    /// Invites a list of people and returns one outcome for each, in the order of the list. An invitation replaces the
    /// open invitation for the same address. Requires an owner.
    ///
    /// The request is not retried. If its response is lost, so are the links; inviting again replaces them.
    ///
    /// # Errors
    /// On an error no one was invited, unless [`Error::outcome_unknown`] is true.
    pub async fn create_invitations(
        &self,
        invitations: &[NewInvitation],
    ) -> Result<Vec<Result<CreatedInvitation, InvitationError>>, Error> {
        let page: Page<InvitedItem> =
            self.http.post(&format!("{PATH}/batch_create")).body(invitations)?.parse().await?;
        let outcomes: Option<Vec<_>> = page.results.into_iter().map(InvitedItem::outcome).collect();
        outcomes.filter(|outcomes| outcomes.len() == invitations.len()).ok_or_else(|| {
            self.http.invalid_response(StatusCode::OK, "the results do not match the request".to_owned())
        })
    }

    /// Invites a list of people, all or none. Rows are any JSON with the fields of a new user, without a password. A person
    /// with an open invitation is skipped, unless `resend` replaces the link. With `dry_run`, nothing is written.
    /// Requires an owner.
    ///
    /// The request is not retried. If its response is lost, so are the links; `resend` replaces them.
    ///
    /// # Errors
    /// [`Error::rows`] contains all findings about all rows.
    pub async fn invite_users<R: Serialize>(
        &self,
        rows: &[R],
        resend: bool,
        dry_run: bool,
    ) -> Result<InvitedUsers, Error> {
        let write = self.http.post(&format!("{PATH}/admin_batch_create")).body(rows)?;
        write.flag("resend", resend).flag("dry_run", dry_run).parse().await
    }

    /// Lists all open invitations, or the one for an e-mail address.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_invitations(&self, email: Option<&str>) -> Result<Vec<Invitation>, Error> {
        let query: Vec<_> = email.map(|email| ("email", email.to_owned())).into_iter().collect();
        let page: Page<Invitation> = self.http.get(&format!("{PATH}/"), &query).await?;
        Ok(page.results)
    }

    /// Gets an invitation in any state.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the invitation does not exist.
    pub async fn get_invitation(&self, invitation_id: &str) -> Result<Invitation, Error> {
        self.http.get_one(&by_id(PATH, invitation_id, "", "orginv")?, &[]).await
    }

    /// Revokes an invitation.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the invitation does not exist, 409 if it is already accepted, revoked or
    /// replaced.
    pub async fn invalidate_invitation(&self, invitation_id: &str) -> Result<Invitation, Error> {
        let path = by_id(PATH, invitation_id, "/invalidate", "orginv")?;
        self.http.post(&path).one().await
    }

    /// Accepts an invitation, which creates the account. Requires no API key: see
    /// [`ClientBuilder::build_without_token`](crate::ClientBuilder::build_without_token).
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the link is not valid, 400 for invalid fields, 409 if an account with the
    /// address exists.
    pub async fn accept_invitation(&self, acceptance: &AcceptInvitation) -> Result<AcceptedInvitation, Error> {
        self.http.post(&format!("{PATH}/accept")).body(acceptance)?.one().await
    }
}
