//! `/console/sessions/end`: ends the sessions of a person, or all but the visitor's own, after a review.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::numbers;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Id, User};
use crate::sessions::{self, EndedSessions};
use crate::users::{self, UserDetails};

#[derive(Template)]
#[template(path = "console/sessions_end.html")]
pub(super) struct EndPage {
    pub(super) shell: Shell,
    /// Whose sessions end; `None`: everybody's.
    pub(super) person: Option<UserDetails>,
    pub(super) is_self: bool,
    /// What would end.
    pub(super) ends: EndedSessions,
}

/// Whose sessions end. Without a person: everybody's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    user: Option<Id<User>>,
}

/// `GET`: says what would end.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Sessions).await?;
    let Whose { user } = extract::query(&request)?;
    let page = match user {
        None => EndPage {
            ends: sessions::end_everyone(&app, &visit.caller, true).await?,
            person: None,
            is_self: false,
            shell: visit.shell,
        },
        Some(user_id) => of_person(&app, visit, user_id).await?,
    };
    Ok(respond(&page))
}

async fn of_person(app: &App, visit: Visit, user_id: Id<User>) -> Result<EndPage> {
    let person = users::get(app, &visit.caller, user_id).await?;
    let listed = sessions::list(app, &visit.caller, Some(user_id)).await?;
    let ending = listed.iter().filter(|session| !session.is_of(visit.caller.principal)).count();
    let ends = EndedSessions { sessions: ending, users: 1 };
    Ok(EndPage { is_self: visit.caller.user_id() == Some(user_id), person: Some(person), ends, shell: visit.shell })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndForm {
    user: Option<Id<User>>,
    everyone: Option<String>,
}

/// `POST`: ends them.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<EndForm>(&request, &app, Place::Sessions, &mut body).await?;
    let ended = match (form.user, form.everyone) {
        (Some(user_id), _) => sessions::end_all(&app, &visit.caller, Some(user_id), true).await?,
        (None, Some(_)) => sessions::end_everyone(&app, &visit.caller, false).await?.sessions,
        (None, None) => return Err(Error::invalid("invalid form: whose sessions end is missing").into()),
    };
    let of = form.user.map(|user_id| format!("&user={user_id}")).unwrap_or_default();
    Ok(pages::redirect(&request, &format!("console/sessions?ended={ended}{of}")))
}
