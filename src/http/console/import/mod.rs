//! `/console/import`: a file becomes people, in four steps: file, columns, rows, review.
//!
//! | file | step |
//! |---|---|
//! | `file.rs` | choosing or pasting a file |
//! | `columns.rs` | what each column is |
//! | `rows.rs`, `grid.rs`, `corrections.rs` | correcting cells, leaving rows out |
//! | `review.rs` | what would be created; creating it |
//! | `wrong.rs` | what is wrong, as CSV |
//!
//! # Decisions
//!
//! *A step that has nothing to ask is skipped*: a file with muster's own header goes to its rows, and one without findings to the review.
//!
//! *Each form has the revision of the draft*, so that two tabs do not overwrite each other's corrections.

pub(super) mod columns;
mod corrections;
pub(super) mod file;
mod grid;
pub(super) mod review;
pub(super) mod rows;
pub(super) mod wrong;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::de::DeserializeOwned;

use super::numbers::{counted, number};
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{respond, respond_with};
use crate::app::App;
use crate::batches::{self, BatchState, BatchSummary};
use crate::drafts::{self, DraftKey, DraftKind};
use crate::error::{Code, Error};
use crate::field::UserField;
use crate::http::body::Body;
use crate::http::pages::{self, Moment};
use crate::http::{extract, session};
use crate::id::{Draft, Id};
use crate::imports::{self, OpenImport, Opened};
use crate::users_file::{Encoding, FileFormat, Meaning, Recognized, Sheet};

/// A visit of a step: the visitor, and the list.
struct Step {
    visit: Visit,
    key: DraftKey,
    opened: OpenImport,
}

impl Step {
    /// Opens the list of a request. A list whose people were created leads to their batch.
    async fn of(request: &HttpRequest, app: &Arc<App>) -> Handled<Self> {
        let visit = Visit::of(request, app, Place::Import).await?;
        Self::open(request, app, visit).await
    }

    /// As [`Step::of`], for a form.
    async fn with_form<T: DeserializeOwned>(
        request: &HttpRequest,
        app: &Arc<App>,
        body: &mut Body,
    ) -> Handled<(Self, T)> {
        let (visit, form) = Visit::with_form(request, app, Place::Import, body).await?;
        Ok((Self::open(request, app, visit).await?, form))
    }

    async fn open(request: &HttpRequest, app: &Arc<App>, visit: Visit) -> Handled<Self> {
        let draft_id: Id<Draft> = extract::id(request, "draft_id", "list")?;
        let key = session::draft_key(request);
        let to_batch = |batch_id| Err(pages::redirect(request, &format!("console/batches/{batch_id}")).into());
        let opened = match imports::open(app, &visit.caller, key.as_ref(), draft_id).await? {
            Opened::Created(batch_id) => return to_batch(batch_id),
            Opened::Import(opened) => *opened,
        };
        let key = key.ok_or_else(|| Error::internal("a draft that was opened without its key"))?;
        if let Some(batch_id) = opened.import.batch_id {
            match batches::get(app, &visit.caller, batch_id).await?.state {
                BatchState::Running => return to_batch(batch_id),
                BatchState::Created | BatchState::Undone => {
                    imports::finish(app, &visit.caller, &key, &opened.draft, batch_id).await?;
                    return to_batch(batch_id);
                }
                BatchState::Failed | BatchState::Cancelled => {}
            }
        }
        Ok(Self { visit, key, opened })
    }

    /// Ends the handling of a form that another tab has overtaken.
    fn expect(&self, revision: i64) -> Handled<()> {
        match self.opened.draft.revision == revision {
            true => Ok(()),
            false => Err(overtaken(self.visit.shell.clone(), self.opened.draft.draft_id).into()),
        }
    }

    /// Checks the list and keeps it.
    async fn save(self, app: &Arc<App>) -> Handled<OpenImport> {
        let draft_id = self.opened.draft.draft_id;
        match imports::save(app, &self.visit.caller, &self.key, self.opened).await {
            Err(error) if error.code() == Code::Conflict => Err(overtaken(self.visit.shell, draft_id).into()),
            saved => Ok(saved?),
        }
    }

    /// The path of the list, relative to the root.
    fn path(&self) -> String {
        path(self.opened.draft.draft_id)
    }

    fn head(&self) -> Head {
        Head::of(&self.visit, &self.opened)
    }
}

fn overtaken(shell: Shell, draft_id: Id<Draft>) -> HttpResponse {
    respond_with(StatusCode::CONFLICT, &Overtaken { shell, draft_id })
}

fn path(draft_id: Id<Draft>) -> String {
    format!("console/import/{draft_id}")
}

/// What every step says about the list.
pub(super) struct Head {
    pub(super) draft_id: Id<Draft>,
    /// The name of the file, or what it is instead.
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) revision: i64,
    pub(super) until: Moment,
}

impl Head {
    fn of(visit: &Visit, opened: &OpenImport) -> Self {
        Self {
            draft_id: opened.draft.draft_id,
            name: opened.import.sheet.file_name.clone().unwrap_or_else(|| "pasted list".to_owned()),
            rows: opened.import.sheet.rows.len(),
            revision: opened.draft.revision,
            until: visit.moment(opened.draft.expires_at),
        }
    }
}

#[derive(Template)]
#[template(path = "console/import_overtaken.html")]
pub(super) struct Overtaken {
    shell: Shell,
    draft_id: Id<Draft>,
}

#[derive(Template)]
#[template(path = "console/import_again.html")]
pub(super) struct AgainPage {
    pub(super) shell: Shell,
    pub(super) head: Head,
    pub(super) batch: BatchSummary,
    pub(super) created: Moment,
    pub(super) next: String,
}

/// `GET /console/import/{draft_id}`: whether the file was imported before; otherwise the next step.
pub(super) async fn overview(request: HttpRequest, app: web::Data<App>) -> Handled {
    let app = app.into_inner();
    let step = Step::of(&request, &app).await?;
    let next = next(&step.opened);
    match imports::earlier(&app, &step.visit.caller, &step.opened.import.sheet).await? {
        Some(batch) => {
            let (head, created) = (step.head(), step.visit.moment(batch.created_at));
            Ok(respond(&AgainPage { shell: step.visit.shell, head, batch, created, next }))
        }
        None => Ok(pages::redirect(&request, &format!("{}/{next}", step.path()))),
    }
}

/// `POST /console/import/{draft_id}/discard`.
pub(super) async fn discard(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let sent = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Import, &mut body).await?;
    let (visit, _) = sent;
    let draft_id = extract::id(&request, "draft_id", "list")?;
    drafts::discard(&app, &visit.caller, DraftKind::Import, draft_id).await?;
    Ok(pages::redirect(&request, "console/import?done=discarded"))
}

/// The step that has something to ask.
fn next(opened: &OpenImport) -> String {
    match &opened.import.checked {
        _ if asks(&opened.import.sheet) => "columns".to_owned(),
        None => "columns".to_owned(),
        Some(checked) if !checked.findings.is_empty() => "rows".to_owned(),
        Some(checked) if !checked.warnings.is_empty() => "rows?show=check".to_owned(),
        Some(_) => "review".to_owned(),
    }
}

/// Whether somebody has to decide what the columns are.
fn asks(sheet: &Sheet) -> bool {
    if sheet.is_confirmed {
        return false;
    }
    let is_unusual = |(word, _, _): &(String, usize, Option<bool>)| !Sheet::is_usual_flag(word);
    let has_name = sheet.columns.iter().any(|column| column.meaning == Meaning::FullName) || sheet.has(UserField::Name);
    sheet.columns.iter().any(|column| column.recognized != Recognized::ByName)
        || !has_name
        || !sheet.has(UserField::Email)
        || (!sheet.has(UserField::IsSsoUser) && sheet.default_sso.is_none())
        || sheet.flag_words().iter().any(is_unusual)
}

/// What the file is, such as "semicolons, UTF-8, 1,302 rows".
fn describe(sheet: &Sheet) -> String {
    let format = match (sheet.format, sheet.separator) {
        (FileFormat::Csv, Some(';')) => "semicolons",
        (FileFormat::Csv, Some('\t')) => "tabs",
        (FileFormat::Csv, Some('|')) => "vertical bars",
        (FileFormat::Csv, _) => "commas",
        (FileFormat::Xlsx, _) => "Excel workbook",
        (FileFormat::Yaml, _) => "YAML",
        (FileFormat::Json, _) => "JSON",
        (FileFormat::Ndjson, _) => "lines of JSON",
    };
    let encoding = match sheet.encoding {
        Encoding::Utf8 | Encoding::Utf8WithMark => ", UTF-8",
        Encoding::Utf16 => ", UTF-16",
        Encoding::Workbook => "",
    };
    let blank = match sheet.blank_rows {
        0 => String::new(),
        1 => ", 1 blank row".to_owned(),
        blank => format!(", {} blank rows", number(blank)),
    };
    let header = if sheet.has_header { "" } else { ", no header" };
    format!("{format}{encoding}{header} · {}{blank}", counted(sheet.rows.len(), "row", "rows"))
}

/// What a field is called on pages.
pub(super) fn field_label(field: &str) -> &str {
    match field {
        "name" => "First name",
        "lastname" => "Last name",
        "email" => "Address",
        "title" => "Title",
        "is_sso_user" => "SSO",
        "password" => "Password",
        "password_hash" => "Password hash",
        "must_change_password" => "Must change password",
        "permission_level" => "Level",
        "expires_at" => "Expires",
        field => field,
    }
}
