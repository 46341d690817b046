//! `/console/batches/{batch_id}/undo`: shows who would be removed and who stays, then removes them.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::batch::Heading;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::batches::{self, BatchMember, UndoOptions, Undone, Use};
use crate::error::{Code, Error};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Batch, Id};

/// The most people that the page names on each side.
const MOST_NAMED: usize = 50;

#[derive(Template)]
#[template(path = "console/batch_undo.html")]
pub(super) struct UndoPage {
    pub(super) shell: Shell,
    pub(super) heading: Heading,
    pub(super) removed: usize,
    pub(super) kept: usize,
    /// The first of those who would be removed.
    pub(super) leaving: Vec<BatchMember>,
    /// The first of those who stay, and why.
    pub(super) staying: Vec<(BatchMember, Use)>,
    /// Why nothing was removed.
    pub(super) problem: Option<String>,
}

impl UndoPage {
    fn new(shell: Shell, heading: Heading, undone: Undone, problem: Option<String>) -> Self {
        let Undone { removed: mut leaving, kept: mut staying } = undone;
        let (removed, kept) = (leaving.len(), staying.len());
        leaving.truncate(MOST_NAMED);
        staying.truncate(MOST_NAMED);
        Self { shell, heading, removed, kept, leaving, staying, problem }
    }
}

const DRY_RUN: UndoOptions = UndoOptions { dry_run: true, keep_used: true };

/// `GET`: shows what would be removed.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Batches).await?;
    let batch_id: Id<Batch> = extract::id(&request, "batch_id", "batch")?;
    let batch = batches::get(&app, &visit.caller, batch_id).await?;
    let heading = Heading::of(&batch, visit.now);
    match batches::undo(&app, &visit.caller, batch_id, DRY_RUN).await {
        Ok(undone) => Ok(respond(&UndoPage::new(visit.shell, heading, undone, None))),
        Err(error) if is_of_batch(&error) => {
            let problem = Some(pages::sentence(&error.to_string()));
            Ok(reject(error, &UndoPage::new(visit.shell, heading, NOBODY, problem)))
        }
        Err(error) => Err(error.into()),
    }
}

const NOBODY: Undone = Undone { removed: Vec::new(), kept: Vec::new() };

/// Whether an error is about the state of the batch or its people, so that the page explains it.
const fn is_of_batch(error: &Error) -> bool {
    matches!(error.code(), Code::BatchInUse | Code::Conflict | Code::LastOwner)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The number of people, typed.
    confirm: String,
}

/// `POST`: removes them, if still as many would be removed as the page said.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Confirmation>(&request, &app, Place::Batches, &mut body).await?;
    let batch_id: Id<Batch> = extract::id(&request, "batch_id", "batch")?;
    let batch = batches::get(&app, &visit.caller, batch_id).await?;
    let heading = Heading::of(&batch, visit.now);
    let would = match batches::undo(&app, &visit.caller, batch_id, DRY_RUN).await {
        Err(error) if is_of_batch(&error) => {
            let problem = Some(pages::sentence(&error.to_string()));
            return Ok(reject(error, &UndoPage::new(visit.shell, heading, NOBODY, problem)));
        }
        would => would?,
    };
    if form.confirm.trim().parse() != Ok(would.removed.len()) {
        let problem = format!("Type {} to remove that many people. Nothing was removed.", would.removed.len());
        let error = Error::invalid("the number that was typed is another one");
        return Ok(reject(error, &UndoPage::new(visit.shell, heading, would, Some(problem))));
    }
    let options = UndoOptions { dry_run: false, keep_used: true };
    match batches::undo(&app, &visit.caller, batch_id, options).await {
        Ok(_) => Ok(pages::redirect(&request, &format!("console/batches/{batch_id}?done=undone"))),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => Err(error.into()),
    }
}
