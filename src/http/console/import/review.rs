//! What would be created, and creating it.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::{Head, Step, counted};
use crate::app::App;
use crate::batches::BatchSummary;
use crate::caller::Action;
use crate::error::{Code, Error};
use crate::http::body::Body;
use crate::http::console::shell::Shell;
use crate::http::console::visit::Handled;
use crate::http::console::{again, reject, respond};
use crate::http::pages::{self, Moment};
use crate::imports::{self, Checked, Import, PlanSummary};
use crate::shell;
use crate::users_file::{Meaning, Recognized, Sheet};

#[derive(Template)]
#[template(path = "console/import_review.html")]
pub(in crate::http::console) struct ReviewPage {
    shell: Shell,
    head: Head,
    planned: PlanSummary,
    left_out: usize,
    to_check: usize,
    has_corrections: bool,
    checked: Moment,
    /// How long the passwords take to hash, in words.
    hashing: Option<String>,
    command: Option<String>,
    /// Whether creating the owners of the list needs another sign-in.
    needs_sign_in: bool,
    /// What the form lacks.
    problem: Option<&'static str>,
    /// What became of an earlier attempt.
    failed: Option<String>,
}

impl ReviewPage {
    fn verb(&self) -> String {
        format!("Create {}", counted(self.planned.users, "person", "people"))
    }
}

/// The page, or the path of the step that has to come first.
async fn page(app: &Arc<App>, step: Step, problem: Option<&'static str>) -> std::result::Result<ReviewPage, String> {
    let head = step.head();
    let path = step.path();
    let Import { sheet, checked, batch_id } = &step.opened.import;
    let Some(Checked { at, findings, warnings, planned, .. }) = checked else { return Err(format!("{path}/columns")) };
    let Some(planned) = planned.as_ref().filter(|_| findings.is_empty()) else { return Err(format!("{path}/rows")) };
    let hashing = (planned.with_password > 0).then(|| crate::error::about(app.hasher.estimate(planned.with_password)));
    let has_corrections = !sheet.fixes.is_empty() || !sheet.left_out.is_empty();
    // The command line reads the file as it is.
    let has_full_name = sheet.columns.iter().any(|column| column.meaning == Meaning::FullName);
    let is_plain =
        !has_corrections && sheet.words.is_empty() && sheet.default_sso.is_none() && !has_full_name && sheet.has_header;
    let command = sheet.file_name.as_ref().filter(|_| is_plain).map(|name| command(sheet, name));
    let failed = match batch_id {
        Some(batch_id) => crate::batches::get(app, &step.visit.caller, *batch_id).await.ok(),
        None => None,
    };
    let failed = failed.map(|batch| failure(&batch));
    let (left_out, to_check, checked) = (sheet.left_out.len(), warnings.len(), step.visit.moment(*at));
    let needs_sign_in = planned.owners > 0 && !step.visit.caller.may(Action::OwnerGrant);
    let planned = planned.clone();
    Ok(ReviewPage {
        shell: step.visit.shell,
        head,
        planned,
        left_out,
        to_check,
        has_corrections,
        checked,
        hashing,
        command,
        needs_sign_in,
        problem,
        failed,
    })
}

/// Why a batch created nobody, as a sentence.
fn failure(batch: &BatchSummary) -> String {
    let detail = batch.failure.as_ref().and_then(|failure| failure.get("detail")).and_then(Value::as_str);
    detail.map_or_else(|| "The batch was cancelled before it was written.".to_owned(), pages::sentence)
}

/// The command that creates the same users.
fn command(sheet: &Sheet, name: &str) -> String {
    let mut command = format!("muster user batch-create -f {}", shell::quote(name));
    for column in sheet.columns.iter().filter(|column| column.recognized != Recognized::ByName) {
        let option = match &column.meaning {
            Meaning::LeftOut => format!(" --ignore {}", shell::quote(&column.name)),
            meaning => format!(" --map {}", shell::quote(&format!("{}={}", column.name, meaning.text()))),
        };
        command.push_str(&option);
    }
    command
}

/// `GET /console/import/{draft_id}/review`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let app = app.into_inner();
    let step = Step::of(&request, &app).await?;
    match page(&app, step, None).await {
        Ok(page) => Ok(respond(&page)),
        Err(path) => Ok(pages::redirect(&request, &path)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    revision: i64,
    /// What was confirmed.
    owners: Option<String>,
    domains: Option<String>,
}

/// `POST /console/import/{draft_id}/review`: creates the people.
pub(in crate::http::console) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    let (step, form) = Step::with_form::<Form>(&request, &app, &mut body).await?;
    step.expect(form.revision)?;
    let planned = step.opened.import.checked.as_ref().and_then(|checked| checked.planned.as_ref());
    let Some(planned) = planned else { return Ok(pages::redirect(&request, &format!("{}/rows", step.path()))) };
    let is_confirmed =
        (planned.owners == 0 || form.owners.is_some()) && (planned.lone_domains == 0 || form.domains.is_some());
    if planned.owners > 0 && !step.visit.caller.may(Action::OwnerGrant) {
        return Ok(again(&request));
    }
    if !is_confirmed {
        let error = Error::invalid("something has to be confirmed");
        return match page(&app, step, Some("Confirm what is listed under “Confirm first”. Nothing was written.")).await
        {
            Ok(page) => Ok(reject(error, &page)),
            Err(path) => Ok(pages::redirect(&request, &path)),
        };
    }
    let (caller, path) = (step.visit.caller, step.path());
    let mut step = step;
    match imports::create(&app, &caller, &step.key, &mut step.opened).await {
        Ok(batch_id) => Ok(pages::redirect(&request, &format!("console/batches/{batch_id}"))),
        // Something has changed since the list was checked: it is checked again.
        Err(error) if matches!(error.code(), Code::PlanChanged | Code::BatchConflict | Code::BatchRejected) => {
            let opened = step.save(&app).await?;
            Ok(pages::redirect(&request, &format!("{path}/{}", super::next(&opened))))
        }
        Err(error) => Err(error.into()),
    }
}
