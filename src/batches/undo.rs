//! Cancelling a running batch, and undoing one that was created.

use std::sync::Arc;

use super::BatchState;
use super::read::{self, BatchMember, BatchSummary, Use};
use super::write;
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, User};
use crate::jobs;
use crate::report::{Finding, Findings, Report};

/// Cancels a batch that is in progress. No user of it is created.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when the batch is not running.
pub async fn cancel(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<BatchSummary> {
    app.authorize(caller, Action::BatchCancel).await?;
    // A batch whose process died is marked as failed, not as cancelled.
    jobs::fail_if_lapsed(app, caller.organization_id, batch_id).await?;
    app.change_many(caller, Action::BatchCancel, Target::Batch(batch_id), false, async |change| {
        match write::locked_state(change, batch_id).await? {
            None => Err(read::not_found(batch_id)),
            Some(BatchState::Running) => write::cancel(change, batch_id).await,
            Some(state) => {
                let message = format!("batch {batch_id} is {state}; only a running batch can be cancelled");
                Err(Error::new(Code::Conflict, message))
            }
        }
    })
    .await?;
    read::find(app, caller, batch_id).await
}

/// Options for [`undo`].
#[derive(Clone, Copy, Debug, Default)]
pub struct UndoOptions {
    /// Only return the users who would be removed.
    pub dry_run: bool,
    /// Keep users who have been used, and remove the others, instead of rejecting the request.
    pub keep_used: bool,
}

/// The users of an undone batch.
#[derive(Debug)]
pub struct Undone {
    /// Users who are removed, or would be, in the order of the list.
    pub removed: Vec<BatchMember>,
    /// Users who are kept, and the reason.
    pub kept: Vec<(BatchMember, Use)>,
}

/// Undoes a batch: removes its users who have never signed in and were not changed since, with their memberships and
/// passwords. If one was used, no user is removed, unless `keep_used` is set.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when the batch was not created, or was undone before; `batch_in_use` and
/// `last_owner`, each with a finding for each affected user by index.
pub async fn undo(app: &App, caller: &Caller, batch_id: Id<Batch>, options: UndoOptions) -> Result<Undone> {
    let UndoOptions { dry_run, keep_used } = options;
    app.change_many(caller, Action::BatchUndo, Target::Batch(batch_id), dry_run, async |change| {
        // A batch can have created owners.
        owners::lock(change).await?;
        match write::locked_state(change, batch_id).await? {
            None => return Err(read::not_found(batch_id)),
            Some(BatchState::Created) => {}
            Some(BatchState::Undone) => {
                return Err(Error::new(Code::Conflict, format!("batch {batch_id} was undone before")));
            }
            Some(state) => {
                let message = format!("batch {batch_id} is {state}; only a created batch can be undone");
                return Err(Error::new(Code::Conflict, message));
            }
        }
        let (removed, kept) = members(change, batch_id, keep_used, app.config.batch.max_findings).await?;
        let ids: Vec<Id<User>> = removed.iter().map(|(_, member)| member.user_id).collect();
        let owners = owners::among(change, &ids).await?;
        write::undo(change, batch_id, &ids, kept.len()).await?;
        let findings = Findings::new(app.config.batch.max_findings);
        let mut report = Report::on(removed.len() + kept.len(), "removed", findings);
        for (index, member) in removed.iter().filter(|(_, member)| owners.contains(&member.user_id)) {
            report.add(Finding::last_owner(*index, None, &member.email));
        }
        owners::require_one_or_report(change, report).await?;
        Ok(Undone { removed: removed.into_iter().map(|(_, member)| member).collect(), kept })
    })
    .await
}

/// Users who can be removed, with their index in the list.
type Removed = Vec<(usize, BatchMember)>;

/// Locks the users of a batch, and divides them into those who can be removed and those who were used.
async fn members(
    change: &mut Change,
    batch_id: Id<Batch>,
    keep_used: bool,
    max_findings: usize,
) -> Result<(Removed, Vec<(BatchMember, Use)>)> {
    let found = read::members(change, batch_id).await?;
    let mut report = Report::on(found.len(), "removed", Findings::new(max_findings));
    let (mut removed, mut kept) = (Vec::with_capacity(found.len()), Vec::new());
    for (index, member) in found.into_iter().enumerate() {
        match member.used {
            None => removed.push((index, member)),
            Some(reason) => {
                report.add(Finding::about(index, &member.email, reason.as_str(), reason.message()));
                kept.push((member, reason));
            }
        }
    }
    if !report.is_empty() && (!keep_used || removed.is_empty()) {
        return Err(Error::new(Code::BatchInUse, report.undo_summary()).with_report(report));
    }
    Ok((removed, kept))
}
