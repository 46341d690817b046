//! `/console/batches/{batch_id}/links`: links with which the people of a batch choose their passwords, shown once, as slips to print or
//! as a file.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::batch::Heading;
use super::download;
use super::person_edit::problems;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::batches;
use crate::caller::Action;
use crate::error::{Code, Result};
use crate::http::body::Body;
use crate::http::extract;
use crate::http::pages::{self, Moment};
use crate::http::public_url::{link_warning, public_url};
use crate::id::{Batch, Id};
use crate::links::{self, CreatedLinks, For, LinkRequest};
use crate::mail;

#[derive(Template)]
#[template(path = "console/batch_links.html")]
pub(super) struct LinksPage {
    pub(super) shell: Shell,
    pub(super) heading: Heading,
    pub(super) can_send: bool,
    pub(super) made: Option<Made>,
    pub(super) problem: Option<String>,
}

/// Links that were just made.
pub(super) struct Made {
    pub(super) slips: Vec<Slip>,
    /// Those who use single sign-on or are suspended, and those who have a password.
    pub(super) skipped: usize,
    pub(super) with_password: usize,
    /// Why the links may not work for others.
    pub(super) warning: Option<String>,
    pub(super) is_sent: bool,
}

pub(super) struct Slip {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) link: String,
    pub(super) expires: Moment,
}

/// `GET`: says what links do.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Batches).await?;
    app.authorize(&visit.caller, Action::PasswordLinkCreate).await?;
    let batch = batches::get(&app, &visit.caller, extract::id(&request, "batch_id", "batch")?).await?;
    let heading = Heading::of(&batch, visit.now);
    let can_send = mail::require(&app).is_ok();
    Ok(respond(&LinksPage { shell: visit.shell, heading, can_send, made: None, problem: None }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinksForm {
    /// `page` or `csv`.
    r#as: String,
    send: Option<String>,
}

/// `POST`: makes the links and shows them, or sends them as a file. The response is the only place where they are.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<LinksForm>(&request, &app, Place::Batches, &mut body).await?;
    let batch_id: Id<Batch> = extract::id(&request, "batch_id", "batch")?;
    let batch = batches::get(&app, &visit.caller, batch_id).await?;
    let heading = Heading::of(&batch, visit.now);
    let base = public_url(&request, &app.config.server)?;
    let send = form.send.is_some();
    let wanted = LinkRequest { users: For::Batch(batch_id), expires_in_hours: None, send };
    let created = match links::create(&app, &visit.caller, async { Ok(wanted) }).await {
        Ok(created) => created,
        Err(error) if error.code() == Code::ReauthenticationNeeded => return Ok(again(&request)),
        Err(error) => {
            let Some(problem) = problems(&error).into_iter().next() else { return Err(error.into()) };
            let (can_send, problem) = (mail::require(&app).is_ok(), Some(problem.message));
            return Ok(reject(error, &LinksPage { shell: visit.shell, heading, can_send, made: None, problem }));
        }
    };
    match form.r#as.as_str() {
        "csv" => Ok(csv(&created, &base, batch_id)?),
        _ => {
            let made = made(created, &visit, &base, send, &app);
            Ok(respond(&LinksPage { shell: visit.shell, heading, can_send: false, made: Some(made), problem: None }))
        }
    }
}

fn made(created: CreatedLinks, visit: &Visit, base: &str, is_sent: bool, app: &App) -> Made {
    let slips = created.links.into_iter().map(|link| Slip {
        expires: visit.moment(link.expires_at),
        link: format!("{base}/password/{}", link.token.expose()),
        name: link.name,
        email: link.email,
    });
    Made {
        slips: slips.collect(),
        skipped: created.skipped,
        with_password: created.with_password,
        warning: link_warning(base, &app.config.server).map(|warning| pages::sentence(&warning)),
        is_sent,
    }
}

/// The links as a file for a mail merge, with the columns of the command line.
fn csv(created: &CreatedLinks, base: &str, batch_id: Id<Batch>) -> Result<HttpResponse> {
    let names = ["email", "name", "user_id", "link", "expires_at"].map(str::to_owned);
    let rows = created.links.iter().map(|link| {
        let expires_at = link.expires_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let address = format!("{base}/password/{}", link.token.expose());
        [link.email.clone(), link.name.clone(), link.user_id.to_string(), address, expires_at]
    });
    download::csv(std::iter::once(names).chain(rows), &format!("links-{batch_id}"))
}
