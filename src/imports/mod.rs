//! Imports: files that become users on the pages of the console, through a draft in which they are corrected.
//!
//! 1. [`begin`] reads a file into a [`Sheet`] and keeps it as a draft.
//! 2. The person decides what the columns are, corrects cells and leaves rows out; [`save`] checks the whole list again.
//! 3. [`create`] creates the batch that was planned, and replaces the draft by its ID.
//!
//! # Decisions
//!
//! *A check is a dry run of the batch*, by the same operation as for the API: what passes here passes there. Its findings are kept with
//! the draft, so that a page is shown without another check.
//!
//! *The draft and its revision are the idempotency key of the batch.* A form that is sent twice creates one batch, and a draft that was
//! changed creates another one.

mod summary;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::app::App;
use crate::batches::{
    self, Answer, BatchFilter, BatchState, BatchSummary, IdempotencyKey, Mode, Plan, Planned, Request, SourceFile,
};
use crate::caller::{Caller, Source};
use crate::drafts::{self, DraftKey, DraftKind, DraftSummary};
use crate::error::{Code, Error, Result};
use crate::id::{self, Batch, Id};
use crate::page::PageRequest;
use crate::request_body::RequestBody;
use crate::users_file::{Sheet, SheetError, SheetFinding};

pub(crate) use summary::PlanSummary;

/// How long a request waits for its batch before the page shows the progress.
const WAIT: Duration = Duration::from_secs(2);

/// What the draft of an import contains.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) sheet: Sheet,
    /// The result of the last check; `None` before the first one.
    pub(crate) checked: Option<Checked>,
    /// The batch that is being created.
    pub(crate) batch_id: Option<Id<Batch>>,
}

/// The result of a check.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub(crate) at: DateTime<Utc>,
    pub(crate) findings: Vec<SheetFinding>,
    /// The number of findings that are not among them.
    pub(crate) more_findings: usize,
    /// What is probably a mistake. Known only without findings.
    pub(crate) warnings: Vec<SheetFinding>,
    /// What would be created; `None` with findings.
    pub(crate) planned: Option<PlanSummary>,
}

/// A draft that was opened.
#[derive(Debug)]
pub(crate) struct OpenImport {
    pub(crate) draft: DraftSummary,
    pub(crate) import: Import,
}

/// What a draft is now.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A list that is being corrected.
    Import(Box<OpenImport>),
    /// Its users were created.
    Created(Id<Batch>),
}

/// What replaces the content of a draft whose users were created.
#[derive(Serialize, Deserialize)]
struct Outcome {
    batch_id: Id<Batch>,
}

/// Reads a file and keeps it as a draft.
///
/// # Errors
/// `forbidden`; `conflict` and `overloaded` as [`drafts::create`].
pub(crate) async fn begin(
    app: &App,
    caller: &Caller,
    key: &DraftKey,
    file_name: Option<String>,
    file: Zeroizing<Vec<u8>>,
) -> Result<std::result::Result<Id<id::Draft>, SheetError>> {
    let max = app.config.batch.max_users;
    let label = file_name.clone().unwrap_or_else(|| "pasted list".to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let sheet = Sheet::read(file_name.as_deref(), &file, max)?;
        Ok(content(&Import { sheet, checked: None, batch_id: None }))
    });
    match read.await.map_err(Error::internal)? {
        Ok(content) => drafts::create(app, caller, DraftKind::Import, key, &label, &content?).await.map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn content(import: &Import) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(import).map(Zeroizing::new).map_err(Error::internal)
}

/// Opens the draft of an import.
///
/// # Errors
/// As [`drafts::open`].
pub(crate) async fn open(
    app: &App,
    caller: &Caller,
    key: Option<&DraftKey>,
    draft_id: Id<id::Draft>,
) -> Result<Opened> {
    let drafts::Draft { summary, content } = drafts::open(app, caller, DraftKind::Import, key, draft_id).await?;
    let outdated = |_| Error::new(Code::NotFound, "this list was begun with another version of muster; begin again");
    if summary.kind == DraftKind::Done {
        let outcome: Outcome = serde_json::from_slice(&content).map_err(outdated)?;
        return Ok(Opened::Created(outcome.batch_id));
    }
    let parse = move || serde_json::from_slice(&content);
    let import = tokio::task::spawn_blocking(parse).await.map_err(Error::internal)?.map_err(outdated)?;
    Ok(Opened::Import(Box::new(OpenImport { draft: summary, import })))
}

/// Checks a list, and keeps it with the result.
///
/// # Errors
/// `conflict` if the draft was changed meanwhile; `overloaded`; those of a dry run that are not about rows.
pub(crate) async fn save(app: &Arc<App>, caller: &Caller, key: &DraftKey, opened: OpenImport) -> Result<OpenImport> {
    let OpenImport { mut draft, import } = opened;
    let checked = check(app, caller, import.sheet).await?;
    let import = Import { sheet: checked.0, checked: Some(checked.1), batch_id: None };
    let serialize = move || content(&import).map(|content| (import, content));
    let (import, content) = tokio::task::spawn_blocking(serialize).await.map_err(Error::internal)??;
    draft.revision = drafts::update(app, caller, key, &draft, &content).await?;
    Ok(OpenImport { draft, import })
}

/// Checks a list by a dry run.
async fn check(app: &Arc<App>, caller: &Caller, sheet: Sheet) -> Result<(Sheet, Checked)> {
    let make = move || {
        let list = sheet.list();
        (sheet, list)
    };
    let (sheet, list) = tokio::task::spawn_blocking(make).await.map_err(Error::internal)?;
    let mut checked =
        Checked { at: app.clock.now(), findings: list.findings, more_findings: 0, warnings: Vec::new(), planned: None };
    if list.rows.is_empty() {
        return Ok((sheet, checked));
    }
    match Box::pin(batches::create(app, caller, request(&sheet, Mode::DryRun), body(app, &list.json))).await {
        Ok(Answer::Planned(planned)) => {
            checked.warnings = sheet.place(&list.rows, &planned.warnings);
            if checked.findings.is_empty() {
                checked.planned = Some(plan(&sheet, &list.rows, &planned));
            }
        }
        Ok(_) => return Err(Error::internal("a dry run that planned nothing")),
        Err(error) => {
            let Some(report) = error.report() else { return Err(error) };
            checked.findings.extend(sheet.place(&list.rows, report.findings()));
            checked.more_findings = report.more_findings().unwrap_or_default();
        }
    }
    sheet.sort(&mut checked.findings);
    Ok((sheet, checked))
}

fn plan(sheet: &Sheet, rows: &[usize], planned: &Planned) -> PlanSummary {
    PlanSummary::new(planned, |index| rows.get(index).map_or(0, |row| sheet.line(*row)))
}

fn request(sheet: &Sheet, mode: Mode) -> Request {
    let mut sha256 = [0; 32];
    let sha256 = hex::decode_to_slice(&sheet.sha256, &mut sha256).is_ok().then_some(sha256);
    Request {
        source: Source::Http,
        file: SourceFile { name: sheet.file_name.clone(), sha256 },
        key: None,
        plan: None,
        mode,
        is_strict: false,
        // Nobody reads the response of a batch that a page has created.
        render: |_| Ok(b"{}".to_vec()),
        slow: None,
    }
}

async fn body(app: &App, json: &[u8]) -> Result<RequestBody> {
    let mut body = RequestBody::new(&app.body_budget, json.len());
    body.push(json)?;
    Ok(body)
}

/// Creates the users that were planned. The batch may still be in progress.
///
/// # Errors
/// `plan_changed` if something else would be created by now; those of [`batches::create`].
pub(crate) async fn create(
    app: &Arc<App>,
    caller: &Caller,
    key: &DraftKey,
    opened: &mut OpenImport,
) -> Result<Id<Batch>> {
    let OpenImport { draft, import } = opened;
    let planned = import.checked.as_ref().and_then(|checked| checked.planned.as_ref());
    let plan: Option<Plan> = planned.and_then(|planned| planned.plan.parse().ok());
    let unchecked = || Error::new(Code::Conflict, "this list was not checked; nothing was written");
    let name = format!("{}-{}", draft.draft_id, draft.revision);
    let request = Request {
        key: Some(IdempotencyKey::parse(&name).map_err(Error::internal)?),
        plan: Some(plan.ok_or_else(unchecked)?),
        ..request(&import.sheet, Mode::Create { wait: Some(WAIT) })
    };
    let list = import.sheet.list();
    let answer = Box::pin(batches::create(app, caller, request, body(app, &list.json))).await?;
    drop(list);
    let (batch_id, kept) = match answer {
        Answer::Created(response) => {
            let outcome = serde_json::to_vec(&Outcome { batch_id: response.batch_id }).map_err(Error::internal)?;
            (response.batch_id, drafts::finish(app, caller, key, draft, &outcome).await)
        }
        Answer::Running(batch, _) => {
            import.batch_id = Some(batch.batch_id);
            (batch.batch_id, drafts::update(app, caller, key, draft, &content(import)?).await.map(drop))
        }
        Answer::InProgress(_) | Answer::Planned(_) => return Err(Error::internal("a batch without an outcome")),
    };
    // The batch is what counts. A form that was sent twice has changed the draft before.
    if let Err(error) = kept {
        app.db.observe(&error);
        tracing::info!(%batch_id, error = error.chain(), "failed to note a batch in its draft: {error}");
    }
    Ok(batch_id)
}

/// Replaces the draft of a batch by its ID, once its users are created.
///
/// # Errors
/// As [`drafts::finish`].
pub(crate) async fn finish(
    app: &App,
    caller: &Caller,
    key: &DraftKey,
    draft: &DraftSummary,
    batch_id: Id<Batch>,
) -> Result<()> {
    let outcome = serde_json::to_vec(&Outcome { batch_id }).map_err(Error::internal)?;
    drafts::finish(app, caller, key, draft, &outcome).await
}

/// The newest batch of the same file that is being created or was.
///
/// # Errors
/// `forbidden`; those of the database.
pub(crate) async fn earlier(app: &App, caller: &Caller, sheet: &Sheet) -> Result<Option<BatchSummary>> {
    let file_sha256 = request(sheet, Mode::DryRun).file.sha256;
    if file_sha256.is_none() {
        return Ok(None);
    }
    let filter = BatchFilter { state: None, file_sha256 };
    let page = batches::list(app, caller, &filter, &PageRequest { count: 50, after: None }).await?;
    let mut batches = page.rows.into_iter();
    Ok(batches.find(|batch| matches!(batch.state, BatchState::Running | BatchState::Created)))
}
