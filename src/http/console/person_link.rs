//! `/console/people/{user_id}/link`: a link with which a person chooses a password, shown once.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::person_edit::problems;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::Action;
use crate::error::Code;
use crate::http::body::Body;
use crate::http::pages::Moment;
use crate::http::public_url::{link_warning, public_url};
use crate::http::{extract, pages};
use crate::id::{Id, User};
use crate::links::{self, For, LinkRequest};
use crate::mail;
use crate::users::{self, UserDetails};

#[derive(Template)]
#[template(path = "console/person_link.html")]
pub(super) struct LinkPage<'a> {
    pub(super) shell: Shell,
    pub(super) user: &'a UserDetails,
    /// Whether this server sends mail.
    pub(super) can_send: bool,
    pub(super) made: Option<Made>,
    pub(super) problem: Option<String>,
}

/// A link that was just made.
pub(super) struct Made {
    pub(super) link: String,
    pub(super) expires: Moment,
    /// Why the link may not work for the person.
    pub(super) warning: Option<String>,
    pub(super) is_sent: bool,
}

/// `GET`: says what a link does.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    app.authorize(&visit.caller, Action::PasswordLinkCreate).await?;
    let user = users::get(&app, &visit.caller, extract::id(&request, "user_id", "person")?).await?;
    let can_send = mail::require(&app).is_ok();
    Ok(respond(&LinkPage { shell: visit.shell, user: &user, can_send, made: None, problem: None }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkForm {
    send: Option<String>,
}

/// `POST`: makes the link and shows it. The response is the page itself: a redirect would have to store the link.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<LinkForm>(&request, &app, Place::People, &mut body).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    let user = users::get(&app, &visit.caller, user_id).await?;
    let base = public_url(&request, &app.config.server)?;
    let (can_send, send) = (mail::require(&app).is_ok(), form.send.is_some());
    let wanted = LinkRequest { users: For::Users(vec![user_id.to_string()]), expires_in_hours: None, send };
    let page = |made, problem| LinkPage { shell: visit.shell.clone(), user: &user, can_send, made, problem };
    match links::create(&app, &visit.caller, async { Ok(wanted) }).await {
        Ok(created) => {
            let made = created.links.into_iter().next().map(|link| Made {
                expires: visit.moment(link.expires_at),
                link: format!("{base}/password/{}", link.token.expose()),
                warning: link_warning(&base, &app.config.server).map(|warning| pages::sentence(&warning)),
                is_sent: send,
            });
            Ok(respond(&page(made, None)))
        }
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => match problems(&error).into_iter().next() {
            Some(problem) => Ok(reject(error, &page(None, Some(problem.message)))),
            None => Err(error.into()),
        },
    }
}
