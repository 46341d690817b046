//! Inviting people, and accepting.

use reqwest::{Method, StatusCode};

use crate::client::Single;
use crate::http::Write;
use crate::invitation::{InvitedBody, InvitedOne};
use crate::{
    AcceptInvitation, AcceptedInvitation, Client, CreatedInvitation, Error, Invitation, InvitationError, NewInvitation,
    Page,
};

const PATH: &str = "/api/v2/organization_invitations";

impl Client {
    /// Invites a list of addresses. The outcomes are in the order of the list: those who can be invited are; the
    /// others each have an error. An open invitation for the same address is replaced. Only for owners.
    ///
    /// The request is sent once: when its answer was lost, so were the links; inviting again replaces them.
    ///
    /// # Errors
    /// Those of every call; then nobody was invited, unless [`Error::outcome_unknown`] says otherwise.
    pub async fn create_invitations(
        &self,
        invitations: &[NewInvitation],
    ) -> Result<Vec<Result<CreatedInvitation, InvitationError>>, Error> {
        let write = Write::new(Method::POST, format!("{PATH}/batch_create")).body(invitations)?;
        let body: InvitedBody = self.http.write_for(write).await?;
        let outcomes: Option<Vec<_>> = body.results.into_iter().map(InvitedOne::outcome).collect();
        outcomes.filter(|outcomes| outcomes.len() == invitations.len()).ok_or_else(|| {
            self.http.invalid_answer(StatusCode::OK, "it does not tell what became of each address".to_owned())
        })
    }

    /// Lists all invitations that can be accepted, or the one for an address.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_invitations(&self, email: Option<&str>) -> Result<Vec<Invitation>, Error> {
        let query: Vec<_> = email.map(|email| ("email", email.to_owned())).into_iter().collect();
        let page: Page<Invitation> = self.http.get(&format!("{PATH}/"), &query).await?;
        Ok(page.results)
    }

    /// Takes an invitation back: its link opens nothing any more.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such invitation, 409 when it was accepted, taken back or
    /// replaced before.
    pub async fn invalidate_invitation(&self, invitation_id: &str) -> Result<Invitation, Error> {
        let single: Single<Invitation> = self.http.post(&path(invitation_id)?, &[]).await?;
        Ok(single.result)
    }

    /// Makes the account that an invitation is for. Needs no API key: see
    /// [`ClientBuilder::build_without_token`](crate::ClientBuilder::build_without_token).
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when the link opens nothing, 400 for fields that can't be used, 409 when
    /// the address has an account meanwhile.
    pub async fn accept_invitation(&self, acceptance: &AcceptInvitation) -> Result<AcceptedInvitation, Error> {
        let write = Write::new(Method::POST, format!("{PATH}/accept")).body(acceptance)?;
        let single: Single<AcceptedInvitation> = self.http.write_for(write).await?;
        Ok(single.result)
    }
}

/// Where an invitation is taken back. An id of another form is not sent: it could lead elsewhere.
fn path(invitation_id: &str) -> Result<String, Error> {
    if invitation_id.is_empty() || !invitation_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::Config(format!(
            "`{}` is no id of an invitation; one looks like `orginv_…`",
            invitation_id.escape_debug()
        )));
    }
    Ok(format!("{PATH}/{invitation_id}/invalidate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_lead_elsewhere() {
        assert_eq!(path("orginv_0aZ").unwrap(), "/api/v2/organization_invitations/orginv_0aZ/invalidate");
        for id in ["", "..", "orginv_1/../../userinfo", "orginv_1?x", "orginv_1#"] {
            let sentence = format!("`{id}` is no id of an invitation; one looks like `orginv_…`");
            assert_eq!(path(id).unwrap_err().to_string(), sentence);
        }
    }
}
