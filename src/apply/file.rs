//! Files of changes on the pages of the console: read, reviewed, and applied, all or none.
//!
//! 1. [`begin`] reads a file and keeps its rows as a draft, unless a row has a finding.
//! 2. [`review`] says what would change by now.
//! 3. [`finish`] applies exactly what was reviewed, and replaces the draft by what came of it.
//!
//! # Decisions
//!
//! *A file with findings is not kept.* Its values are those of existing people, which the person has in a spreadsheet: they are
//! corrected there, and the file is chosen again.

use std::sync::Arc;

use muster_client::RowFinding;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Applied, Request, UserAction, apply, count};
use crate::app::App;
use crate::caller::Caller;
use crate::drafts::{self, DraftKey, DraftKind, DraftSummary};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id};
use crate::request_body::RequestBody;
use crate::users_file::{Contents, FileError, LocatedFinding, UsersFile};

/// A file that is being reviewed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangesFile {
    /// The name of the file; `None` for a list that was pasted.
    pub(crate) name: Option<String>,
    rows: Vec<Value>,
}

/// What came of a file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) created: usize,
    pub(crate) changed: usize,
    pub(crate) suspended: usize,
    pub(crate) unchanged: usize,
}

impl Outcome {
    pub(crate) fn of(applied: &Applied) -> Self {
        let of = |action| count(&applied.users, action);
        let (created, changed) = (of(UserAction::Create), of(UserAction::Change));
        Self {
            created,
            changed,
            suspended: of(UserAction::Suspend),
            unchanged: applied.total.saturating_sub(created + changed),
        }
    }

    /// The people who are written.
    pub(crate) const fn written(&self) -> usize {
        self.created + self.changed + self.suspended
    }
}

/// Why a file can't be used: in one sentence, and by place.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) message: String,
    pub(crate) places: Vec<LocatedFinding>,
    /// The number of findings that are not among them.
    pub(crate) more: usize,
}

/// A draft that was opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A file that is being reviewed.
    File(DraftSummary, ChangesFile),
    /// It was applied.
    Applied(Outcome),
}

/// Reads a file and keeps it as a draft.
///
/// # Errors
/// `forbidden`; `conflict` and `overloaded` as [`drafts::create_anyway`]; those of a dry run that are not about rows.
pub(crate) async fn begin(
    app: &Arc<App>,
    caller: &Caller,
    key: &DraftKey,
    name: Option<String>,
    bytes: Zeroizing<Vec<u8>>,
) -> Result<std::result::Result<Id<id::Draft>, Unusable>> {
    let shown = name.clone();
    let read = move || {
        let mut file = UsersFile::of_bytes(shown.as_deref(), bytes.to_vec(), Contents::APPLIED)?;
        file.clear_empty();
        Ok(file)
    };
    let file = match tokio::task::spawn_blocking(read).await.map_err(Error::internal)? {
        Ok(file) => file,
        Err(FileError::Form(form)) => {
            let message = "the file is not a list of people".to_owned();
            return Ok(Err(Unusable { message, places: form.locate(), more: 0 }));
        }
        Err(error) => return Ok(Err(Unusable { message: error.to_string(), places: Vec::new(), more: 0 })),
    };
    let label = name.clone().unwrap_or_else(|| "pasted list".to_owned());
    let changes = ChangesFile { name, rows: file.rows().cloned().collect() };
    if let Err(error) = review(app, caller, &changes, false).await
        // Who has to sign in again finds the file kept.
        && error.code() != Code::ReauthenticationNeeded
    {
        let Some(report) = error.report() else { return Err(error) };
        let findings: Vec<RowFinding> = report.findings().iter().map(|finding| (*finding).clone().into()).collect();
        let places = file.locate(&findings);
        let more = report.more_findings().unwrap_or_default();
        return Ok(Err(Unusable { message: error.to_string(), places, more }));
    }
    drafts::create_anyway(app, caller, DraftKind::Changes, key, &label, &content(&changes)?).await.map(Ok)
}

fn content(changes: &ChangesFile) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(changes).map(Zeroizing::new).map_err(Error::internal)
}

/// Opens the draft of a file.
///
/// # Errors
/// As [`drafts::open`].
pub(crate) async fn open(
    app: &App,
    caller: &Caller,
    key: Option<&DraftKey>,
    draft_id: Id<id::Draft>,
) -> Result<Opened> {
    let drafts::Draft { summary, content } = drafts::open(app, caller, DraftKind::Changes, key, draft_id).await?;
    let outdated = |_| Error::new(Code::NotFound, "this list was begun with another version of muster; begin again");
    match summary.kind {
        DraftKind::Done => serde_json::from_slice(&content).map(Opened::Applied).map_err(outdated),
        _ => serde_json::from_slice(&content).map(|file| Opened::File(summary, file)).map_err(outdated),
    }
}

/// What the file would change by now.
///
/// # Errors
/// As [`apply`].
pub(crate) async fn review(
    app: &Arc<App>,
    caller: &Caller,
    file: &ChangesFile,
    suspend_missing: bool,
) -> Result<Applied> {
    Box::pin(run(app, caller, file, Request { dry_run: true, suspend_missing, plan: None })).await
}

/// Counts an attempt to apply a file, so that a second one at the same time does not apply it. `false` if there is one.
///
/// # Errors
/// As [`drafts::update`], except for `conflict`.
pub(crate) async fn claim(
    app: &App,
    caller: &Caller,
    key: &DraftKey,
    draft: &mut DraftSummary,
    file: &ChangesFile,
) -> Result<bool> {
    match drafts::update(app, caller, key, draft, &content(file)?).await {
        Ok(revision) => {
            draft.revision = revision;
            Ok(true)
        }
        Err(error) if error.code() == Code::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// Applies what was reviewed.
///
/// # Errors
/// As [`apply`]; `plan_changed` if something else would change by now.
pub(crate) async fn finish(
    app: &Arc<App>,
    caller: &Caller,
    key: &DraftKey,
    (draft, file): (&DraftSummary, &ChangesFile),
    request: Request,
) -> Result<()> {
    let outcome = Outcome::of(&Box::pin(run(app, caller, file, request)).await?);
    let content = serde_json::to_vec(&outcome).map_err(Error::internal)?;
    drafts::finish(app, caller, key, draft, &content).await
}

async fn run(app: &Arc<App>, caller: &Caller, file: &ChangesFile, request: Request) -> Result<Applied> {
    let list = Zeroizing::new(serde_json::to_vec(&file.rows).map_err(Error::internal)?);
    let body = async {
        let mut body = RequestBody::new(&app.body_budget, list.len());
        body.push(&list)?;
        Ok(body)
    };
    apply(app, caller, &request, body).await
}
