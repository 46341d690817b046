//! Choosing a file, or pasting a list.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::{asks, next, number, path};
use crate::app::App;
use crate::caller::Action;
use crate::drafts::{self, DraftKey, DraftKind};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::console::download;
use crate::http::console::shell::{Place, Shell};
use crate::http::console::unusable::Unusable;
use crate::http::console::visit::{Handled, Visit};
use crate::http::console::{respond, respond_with};
use crate::http::pages::{self, Moment};
use crate::http::{extract, session};
use crate::id::{Draft, Id};
use crate::imports::{self, OpenImport, Opened};
use crate::users_file::{SheetError, TemplateFormat, template};

#[derive(Template)]
#[template(path = "console/import.html")]
pub(in crate::http::console) struct FilePage {
    pub(in crate::http::console) shell: Shell,
    pub(in crate::http::console) max_users: String,
    /// The largest file, in MiB.
    pub(in crate::http::console) max_size: usize,
    pub(in crate::http::console) drafts: Vec<Unfinished>,
    pub(in crate::http::console) unusable: Option<Unusable>,
    pub(in crate::http::console) is_discarded: bool,
}

/// A list that somebody has begun.
pub(in crate::http::console) struct Unfinished {
    draft_id: Id<Draft>,
    /// `None` in another browser.
    name: Option<String>,
    begun: Moment,
    until: Moment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
}

async fn page(app: &App, visit: Visit, key: Option<&DraftKey>, unusable: Option<Unusable>) -> Result<FilePage> {
    app.authorize(&visit.caller, Action::UserBatchCreate).await?;
    let drafts = drafts::list(app, &visit.caller, DraftKind::Import, key).await?;
    let unfinished = |draft: drafts::DraftSummary| Unfinished {
        draft_id: draft.draft_id,
        name: draft.label.map(|label| label.expose().to_owned()),
        begun: visit.moment(draft.created_at),
        until: visit.moment(draft.expires_at),
    };
    Ok(FilePage {
        max_users: number(app.config.batch.max_users),
        max_size: app.config.server.body_limit / (1024 * 1024),
        drafts: drafts.into_iter().map(unfinished).collect(),
        unusable,
        is_discarded: false,
        shell: visit.shell,
    })
}

/// `GET /console/import`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Import).await?;
    let query: Query = extract::query(&request)?;
    let page = page(&app, visit, session::draft_key(&request).as_ref(), None).await?;
    Ok(respond(&FilePage { is_discarded: query.done.as_deref() == Some("discarded"), ..page }))
}

/// `GET /console/import/template.csv`: an example that explains every column.
pub(in crate::http::console) async fn example(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Import).await?;
    app.authorize(&visit.caller, Action::UserBatchCreate).await?;
    Ok(download::text_of(template(TemplateFormat::Csv), "users"))
}

/// `POST /console/import`.
pub(in crate::http::console) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    // The body of somebody who may not import is not read.
    let visit = Visit::of(&request, &app, Place::Import).await?;
    app.authorize(&visit.caller, Action::UserBatchCreate).await?;
    let upload = body.upload().await?;
    let key = session::draft_key(&request).unwrap_or_else(DraftKey::generate);
    if upload.content.is_empty() {
        let unusable = Unusable::new("choose a file, or paste a list", Vec::new(), 0);
        return Ok(respond_with(StatusCode::BAD_REQUEST, &page(&app, visit, Some(&key), Some(unusable)).await?));
    }
    let draft_id = match imports::begin(&app, &visit.caller, &key, upload.name, upload.content).await? {
        Ok(draft_id) => draft_id,
        Err(error) => {
            let page = page(&app, visit, Some(&key), Some(unusable(error))).await?;
            return Ok(respond_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
        }
    };
    let opened = match imports::open(&app, &visit.caller, Some(&key), draft_id).await? {
        Opened::Import(opened) if !asks(&opened.import.sheet) => {
            imports::save(&app, &visit.caller, &key, *opened).await?
        }
        Opened::Import(opened) => *opened,
        Opened::Created(_) => return Err(Error::internal("a new draft that is finished").into()),
    };
    let mut response = pages::redirect(&request, &location(&app, &visit, &opened).await?);
    session::add(&mut response, session::DRAFT, key.text().expose(), drafts::LIFETIME);
    Ok(response)
}

/// The next step, or the page that says that the file was imported before.
async fn location(app: &App, visit: &Visit, opened: &OpenImport) -> Result<String> {
    let path = path(opened.draft.draft_id);
    match imports::earlier(app, &visit.caller, &opened.import.sheet).await? {
        Some(_) => Ok(path),
        None => Ok(format!("{path}/{}", next(opened))),
    }
}

fn unusable(error: SheetError) -> Unusable {
    let message = error.to_string();
    let SheetError::Form(places) = error else { return Unusable::new(&message, Vec::new(), 0) };
    Unusable::new(&message, places.into_iter().map(|place| (place.line, place.message)).collect(), 0)
}
