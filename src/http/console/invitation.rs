//! `/console/invitations/{invitation_id}`: one invitation; revoking it.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::invitations::Heading;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{reject, respond};
use crate::app::App;
use crate::caller::Action;
use crate::error::{Code, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Id, Invitation, User};
use crate::invitations::{self, InvitationState};

#[derive(Template)]
#[template(path = "console/invitation.html")]
pub(super) struct InvitationPage {
    pub(super) shell: Shell,
    pub(super) heading: Heading,
    /// The account that was created.
    pub(super) user_id: Option<Id<User>>,
    pub(super) may_revoke: bool,
    pub(super) problem: Option<String>,
}

async fn page(app: &App, visit: &Visit, invitation_id: Id<Invitation>) -> Result<InvitationPage> {
    let invitation = invitations::get(app, &visit.caller, invitation_id).await?;
    let heading = Heading::of(&invitation, visit.now);
    let may_revoke = heading.state == InvitationState::Open && visit.caller.may(Action::InvitationInvalidate);
    let shell = visit.shell.clone();
    Ok(InvitationPage { shell, heading, user_id: invitation.user_id, may_revoke, problem: None })
}

/// `GET`: shows it, and says what revoking does.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Invitations).await?;
    let invitation_id = extract::id(&request, "invitation_id", "invitation")?;
    Ok(respond(&page(&app, &visit, invitation_id).await?))
}

/// `POST`: revokes it.
pub(super) async fn revoke(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, _) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Invitations, &mut body).await?;
    let invitation_id = extract::id(&request, "invitation_id", "invitation")?;
    match invitations::invalidate(&app, &visit.caller, invitation_id).await {
        Ok(_) => Ok(pages::redirect(&request, "console/invitations?done=revoked")),
        Err(error) if error.code() == Code::Conflict => {
            let problem = Some(pages::sentence(&error.to_string()));
            Ok(reject(error, &InvitationPage { problem, ..page(&app, &visit, invitation_id).await? }))
        }
        Err(error) => Err(error.into()),
    }
}
